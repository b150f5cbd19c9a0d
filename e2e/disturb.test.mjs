// A thousand disturbances by chance: cuts, reloads, blocked carriers, killed
// servers, sleep, tabs that come and go, while agents work and people type.
// At the end of each round every page that is left shows the conversation of an
// undisturbed reader, each word once, and each prompt is in the log once.
//
// SEED=n repeats a run; KONLOG_DISTURBANCES=n says how many [1000].

import { test } from 'node:test';
import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { at, useRig } from './rig.mjs';
import { assertConversation, assertSame, assertTurns, conversation } from './oracle.mjs';
import { append, Producer } from './producer.mjs';
import { startProxy } from './proxy.mjs';
import { Chance, newSeed } from './seed.mjs';
import { Script } from './script.mjs';

const rig = useRig();

const disturbances = Number(process.env.KONLOG_DISTURBANCES ?? 1000);
/** Disturbances of a round: then all is compared, so that a fault is found near its cause. */
const roundSize = 250;
/** Devices of a round, each behind a proxy of its own. */
const devices = 4;
/** Tabs of a device: each of them costs a part of a processor while the agent works. */
const tabsMax = 2;
/** Events a second: all pages draw them, on two processors. */
const rate = 20;
/** Small screens are drawn quicker. */
const screen = { viewport: { width: 480, height: 640 }, reducedMotion: 'reduce' };
/** Milliseconds between two disturbances of one device. */
const restMs = [5, 60];
/** Milliseconds that a fault lasts. */
const lastsMs = [10, 250];
/** Milliseconds in which a page that was loaded has its console, and how often somebody tries. */
const appearsWithin = 5000;
const loadsMax = 5;
/** Milliseconds: two minutes' work where nothing else runs; what it must not do is never end. */
const timeoutMs = 15 * 60_000;
/** Prompts that people type in a round: more would wait than the server lets. */
const promptsMax = 20;

// How often each kind comes. A kill disturbs everybody, so it is rare.
const kinds = { cut: 30, reload: 8, stall: 9, offline: 9, refuseWs: 9, refuseBoth: 5, buffer: 4, elsewhere: 8, otherPage: 4, wake: 12, freeze: 4, tab: 3, closeTab: 3, type: 2, kill: 0.7 };

/** One person with one device. */
class Person {
  constructor(round, number, device, proxy) {
    Object.assign(this, { round, number, device, proxy, chance: round.chance.fork(number), pages: [], typed: [], log: [] });
    this.here = at(proxy.url, round.session);
  }

  async openTab() {
    const page = await this.device.context.newPage();
    this.pages.push(page);
    await this.load(page, () => page.goto(this.here));
  }

  // A page that is asked for while the server is dead has no script, and nobody but the person can ask again.
  async load(page, go) {
    for (let i = 0; i < loadsMax; i++) {
      await (i === 0 ? go() : page.reload()).catch(() => {});
      if (await page.waitForSelector('.app', { timeout: appearsWithin }).catch(() => undefined)) return;
      this.round.unloaded++;
    }
    throw new Error(`the console is not there after ${loadsMax} loads`);
  }

  async disturb() {
    let kind = this.chance.weighed(kinds);
    if (kind === 'closeTab' && this.pages.length < 2) kind = 'tab';
    if (kind === 'tab' && this.pages.length >= tabsMax) kind = 'closeTab';
    if (kind === 'type' && this.round.typed >= promptsMax) kind = 'cut';
    const page = this.chance.pick(this.pages);
    this.log.push(`${kind} ${this.pages.indexOf(page)}`);
    await this[kind](page);
    await pause(this.chance.int(...restMs));
  }

  lasting() {
    return pause(this.chance.int(...lastsMs));
  }

  cut() {
    this.proxy.cut();
  }

  async reload(page) {
    await this.load(page, () => page.reload({ waitUntil: this.chance.pick(['commit', 'domcontentloaded', 'load']) }));
  }

  async stall() {
    this.proxy.stall();
    await this.lasting();
    if (this.chance.next() < 0.5) this.proxy.cut();
    this.proxy.stall(false);
  }

  async offline() {
    const told = this.chance.next() < 0.7; // the platform does not always notice
    if (told) await this.device.context.setOffline(true);
    this.proxy.offline(true);
    await this.lasting();
    this.proxy.offline(false);
    if (told) await this.device.context.setOffline(false);
  }

  async network(faults) {
    Object.assign(this.proxy, faults);
    this.proxy.cut();
    await this.lasting();
    this.proxy.heal();
  }

  refuseWs() {
    return this.network({ ws: this.chance.pick(['refuse', 'hang']) });
  }

  refuseBoth() {
    return this.network({ ws: 'refuse', sse: this.chance.pick(['refuse', 'hang']) });
  }

  buffer() {
    return this.network({ ws: 'refuse', sse: 'buffer' });
  }

  async go(page, hash, back) {
    await page.evaluate((h) => (location.hash = h), hash);
    await this.lasting();
    // The step is made later, and would undo what comes after it. It may lead to a page that is loaded anew.
    if (back)
      await page
        .evaluate(
          () =>
            new Promise((done) => {
              addEventListener('popstate', done, { once: true });
              setTimeout(done, 1000);
              history.back();
            }),
        )
        .catch(() => page.waitForLoadState());
    else await page.evaluate((h) => (location.hash = h), new URL(this.here).hash);
  }

  /** A step back that something overtook leaves the page elsewhere: whoever wants to read or write goes there. */
  backHere(page) {
    return page.evaluate((h) => location.hash === h || (location.hash = h), new URL(this.here).hash);
  }

  elsewhere(page) {
    return this.go(page, '#/s/other', this.chance.next() < 0.5);
  }

  otherPage(page) {
    const { session } = this.round;
    return this.go(page, this.chance.pick(['#/', '#/inbox', '#/search', `#/s/${session}/timing`, `#/s/${session}/events`, `#/s/${session}/replay`]), true);
  }

  wake(page) {
    return page.evaluate((name) => (name === 'visibilitychange' ? document : window).dispatchEvent(new Event(name)), this.chance.pick(['visibilitychange', 'pageshow', 'online', 'focus']));
  }

  async freeze(page) {
    const cdp = await this.device.context.newCDPSession(page);
    await cdp.send('Page.setWebLifecycleState', { state: 'frozen' });
    await this.lasting();
    await cdp.send('Page.setWebLifecycleState', { state: 'active' });
    await cdp.detach();
  }

  tab() {
    return this.openTab();
  }

  async closeTab(page) {
    this.pages.splice(this.pages.indexOf(page), 1);
    await page.close();
  }

  // A prompt counts once the box is empty: then the page has taken it.
  async type(page) {
    const text = `typed by ${this.number} ${this.typed.length} ${this.round.session}`;
    this.round.typed++;
    await this.backHere(page);
    await page.waitForFunction((s) => document.querySelector('.session-head h1')?.title === s, this.round.session);
    const box = page.locator('[data-testid=composer]');
    await box.fill(text);
    await box.press('Enter');
    await page.waitForFunction(() => document.querySelector('[data-testid=composer]')?.value === '');
    // On the disk it is a moment later.
    await page.waitForFunction((text) => [...document.querySelectorAll('[data-testid=pending]')].every((p) => !p.textContent.includes(text) || p.dataset.stored === 'true' || p.dataset.state === 'sent'), text);
    this.typed.push(text);
  }

  kill() {
    return this.round.kill();
  }
}

const says = (page) => page.evaluate(() => document.body.innerText.replace(/\s+/g, ' ').slice(-600)).catch((err) => `does not answer: ${err.message}`);

/** One session that agents write to while people are disturbed. */
class Round {
  constructor(t, server, number, count, chance) {
    Object.assign(this, { t, server, number, left: count, chance, session: `round-${number}`, typed: 0, unloaded: 0, people: [], killing: undefined });
  }

  // One kill at a time; who comes meanwhile waits for the same one.
  kill() {
    this.killing ??= this.server.crash().finally(() => (this.killing = undefined));
    return this.killing;
  }

  async run() {
    const { t, server, session, chance } = this;
    await server.call(`/v1/sessions/${session}`, undefined, 'PUT');
    this.watcher = await rig.page(t, at(server.url, session), screen);
    for (let n = 0; n < devices; n++) {
      const person = new Person(this, n, await rig.device(t, screen), await startProxy(t, server.url));
      await person.openTab();
      this.people.push(person);
    }
    this.stopped = false;
    const agent = this.agent(new Script(chance, { turns: 60, size: 2 }).events);
    try {
      await Promise.all(this.people.map((p) => this.disturb(p)));
    } finally {
      this.stopped = true;
    }
    await agent;
    await this.killing;
    await this.runPrompts();
    await this.compare();
  }

  async disturb(person) {
    while (this.left > 0) {
      this.left--;
      try {
        await person.disturb();
      } catch (err) {
        throw new Error(`device ${person.number}, after ${person.log.slice(-8).join(', ')}: ${err.message}`, { cause: err });
      }
    }
  }

  // The agent works until the people are done, and ends the turn that it is in.
  async agent(events) {
    const producer = new Producer(this.server, this.session, { rate });
    for (let at = 0; at < events.length && !this.stopped; ) {
      let end = at + 1;
      while (end < events.length && events[end].type !== 'prompt') end++;
      await producer.play(events.slice(at, end)).done;
      at = end;
    }
  }

  /** What was typed waits in the log until an agent runs it. */
  async runPrompts() {
    for (const { person, page } of this.tabs()) {
      await page.waitForSelector('[data-testid=pending]', { state: 'detached' }).catch(() => assert.fail(`device ${person.number}: prompts are still pending`));
    }
    const { turns } = await this.server.call(`/v1/sessions/${this.session}/turns?state=queued&limit=500`);
    for (const { turn } of turns.reverse()) {
      await append(this.server, this.session, [
        { type: 'turn_start', turn },
        { type: 'text', turn, data: { text: 'Done.' } },
        { type: 'turn_end', turn, data: { success: true, reason: 'done' } },
      ]);
    }
  }

  *tabs() {
    for (const person of this.people) for (const page of person.pages) yield { person, page };
  }

  async compare() {
    const { t, server, session } = this;
    const events = await server.events(session);
    events.forEach((e, i) => assert.equal(e.id, i + 1, 'ids in the log'));
    const typed = this.people.flatMap((p) => p.typed).sort();
    assert.deepEqual(events.filter((e) => e.type === 'prompt' && /^typed by/.test(e.data.text)).map((e) => e.data.text).sort(), typed, 'what was typed, once each');
    const fresh = await rig.page(t, at(server.url, session));
    const reference = await assertConversation(fresh, { server, session, events, who: 'a reader who came afterwards' });
    await assertTurns(reference, server, session, 'a reader who came afterwards');
    assertSame(await assertConversation(this.watcher, { server, session, events, who: 'the watcher' }), reference, 'the watcher');
    for (const { person, page } of this.tabs()) {
      const who = `device ${person.number}, tab ${person.pages.indexOf(page)}`;
      await person.backHere(page);
      try {
        await page.waitForSelector(conversation);
        assertSame(await assertConversation(page, { server, session, events, who }), reference, who);
      } catch (err) {
        throw new Error(`round ${this.number}: ${err.message}\nlast disturbances: ${person.log.slice(-20).join(', ')}\nthe page at ${page.url()}: ${await says(page)}`, { cause: err });
      }
    }
    for (const person of this.people) person.device.check(`device ${person.number}`);
    t.diagnostic(`round ${this.number}: ${events.length} events, ${typed.length} prompts typed, ${[...this.tabs()].length} tabs at the end, ${reference.length} items, ${this.unloaded} loads while the server was dead`);
    for (const { page } of this.tabs()) await page.close();
    await this.watcher.close();
    await fresh.close();
  }
}

test(`${disturbances} disturbances: no word is missing, none comes twice`, { timeout: timeoutMs }, async (t) => {
  const chance = new Chance(newSeed());
  t.diagnostic(`SEED=${chance.seed}`);
  const server = await rig.server(t);
  await server.call('/v1/sessions/other/events', [{ type: 'text', data: { text: 'Something else.' } }]);
  const began = Date.now();
  for (let n = 0, left = disturbances; left > 0; n++, left -= roundSize) {
    await new Round(t, server, n, Math.min(left, roundSize), chance.fork(n)).run();
  }
  t.diagnostic(`${disturbances} disturbances in ${Math.round((Date.now() - began) / 1000)} s`);
});
