// The stage of most tests: a server, a proxy before it, a session in which an
// agent is at work, one reader who is left alone and one who is not.

import { at } from './rig.mjs';
import { assertConversation, assertSame, assertTurns, level } from './oracle.mjs';
import { startProxy } from './proxy.mjs';
import { Producer } from './producer.mjs';
import { Chance, newSeed } from './seed.mjs';
import { Script } from './script.mjs';

/** Sets the stage. `subject` is the page that is to be disturbed, behind `proxy`; `watcher` reads from the server itself. */
export async function setStage(t, rig, { turns = 3, rate = 150, session = 's1', serverFlags = [], script: shape = {}, device: deviceOptions, query = '' } = {}) {
  const chance = new Chance(newSeed());
  t.diagnostic(`SEED=${chance.seed}`);
  const server = await rig.server(t, ...serverFlags);
  await server.call(`/v1/sessions/${session}`, { title: 'On the stage' }, 'PUT');
  const proxy = await startProxy(t, server.url);
  const script = new Script(chance, { turns, ...shape });
  const stage = new Stage(rig, { chance, server, proxy, session, script, query });
  stage.producer = new Producer(server, session, { rate });
  t.after(() => stage.producer.end().catch(() => {}));
  const watching = await rig.device(t);
  stage.watcher = await watching.open(at(server.url, session));
  stage.device = await rig.device(t, deviceOptions);
  stage.subject = await stage.device.open(at(proxy.url, session, '', query));
  await level(stage.watcher, server, session);
  return stage;
}

class Stage {
  constructor(rig, parts) {
    Object.assign(this, { rig }, parts);
  }

  /** The agent begins. */
  begin() {
    this.producer.play(this.script.events);
    return this.producer;
  }

  /** Waits for the agent's end, then holds every page against a reader who came afterwards, the log and the server's turns. */
  async finish(t, others = {}) {
    const { server, session } = this;
    await this.producer.done;
    const events = await server.events(session);
    const fresh = await this.rig.page(t, at(server.url, session));
    const reference = await assertConversation(fresh, { server, session, events, who: 'a reader who came afterwards' });
    await assertTurns(reference, server, session, 'a reader who came afterwards');
    const pages = { 'the watcher': this.watcher, 'the subject': this.subject, ...others };
    for (const [who, page] of Object.entries(pages)) {
      if (page.isClosed()) continue;
      assertSame(await assertConversation(page, { server, session, events, who }), reference, who);
    }
    this.device.check('the subject');
    return { events, reference };
  }
}
