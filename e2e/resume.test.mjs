// The console in the middle of a turn: reloaded, left and come back to, in two
// tabs, on two devices, offline, over a server that is killed. In the end each
// page shows what a reader shows who was left alone, text for text.

import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { at, connections, until, useRig } from './rig.mjs';
import { assertSame, conversation, level, place, readAll } from './oracle.mjs';
import { ingest } from './producer.mjs';
import { setStage } from './stage.mjs';

const rig = useRig();

/** Tests at a time: they wait more than they work. */
const concurrency = 3;

describe('left and come back to in mid-turn', { concurrency }, () => {
  test('a page that is reloaded three times shows the same conversation', async (t) => {
    const stage = await setStage(t, rig);
    const producer = stage.begin();
    for (const share of [0.2, 0.5, 0.8]) {
      await producer.part(share);
      await stage.subject.reload();
    }
    await stage.finish(t);
  });

  test('a page that was at other sessions and other pages shows the same conversation', async (t) => {
    const stage = await setStage(t, rig);
    await stage.server.call('/v1/sessions/other/events', [{ type: 'text', data: { text: 'Something else.' } }]);
    const { subject, proxy, session } = stage;
    const producer = stage.begin();
    const places = [at('', 'other'), '/#/inbox', at('', session, 'timing'), '/#/search', at('', session, 'replay'), '/#/'];
    for (const [i, where] of places.entries()) {
      await producer.part((i + 1) / 8);
      await subject.evaluate((hash) => (location.hash = hash), where.slice(where.indexOf('#')));
      if (i % 2) await subject.goBack();
      else await subject.evaluate((hash) => (location.hash = hash), new URL(at(proxy.url, session)).hash);
      await subject.waitForSelector(conversation);
    }
    await subject.goto(at(proxy.url, session));
    await stage.finish(t);
  });

  test('a page that was left for another document and came back shows the same conversation', async (t) => {
    const stage = await setStage(t, rig);
    const { subject, proxy } = stage;
    await subject.evaluate(() => addEventListener('pageshow', (e) => (window.kept = e.persisted)));
    const producer = stage.begin();
    let kept = 0;
    for (const share of [0.25, 0.5, 0.75]) {
      await producer.part(share);
      await subject.goto(proxy.url + '/healthz');
      await producer.part(share + 0.1);
      await subject.goBack();
      await subject.waitForSelector(conversation);
      kept += (await subject.evaluate(() => window.kept === true)) ? 1 : 0;
    }
    t.diagnostic(`the browser had kept the page ${kept} times of 3`);
    await stage.finish(t);
  });

  test('a page that the browser had frozen shows the same conversation', async (t) => {
    const stage = await setStage(t, rig);
    const cdp = await stage.device.context.newCDPSession(stage.subject);
    const producer = stage.begin();
    await producer.part(0.3);
    await cdp.send('Page.setWebLifecycleState', { state: 'frozen' });
    stage.proxy.cut(); // what a network does to one that is silent
    await producer.part(0.6);
    await cdp.send('Page.setWebLifecycleState', { state: 'active' });
    await stage.finish(t);
  });
});

describe('tabs and devices', { concurrency }, () => {
  test('two tabs have one connection, and the one that is left goes on when the other is closed', async (t) => {
    const stage = await setStage(t, rig);
    const { server, session, proxy, device } = stage;
    const second = await device.open(at(proxy.url, session));
    await level(second, server, session);
    await level(stage.subject, server, session);
    await until(async () => (await connections(server)) === 2 || `${await connections(server)} connections`, 'one connection for the watcher and one for both tabs');
    const producer = stage.begin();
    await producer.part(0.4);
    for (const page of [second, stage.subject]) await until(async () => (await place(page)).last > 0 || 'nothing yet', 'both tabs going along');
    await stage.subject.close(); // it came first, so it has the connection
    await producer.part(0.7);
    const third = await device.open(at(proxy.url, session));
    await level(third, server, session);
    await until(async () => (await connections(server)) === 2 || `${await connections(server)} connections`, 'one connection again');
    await stage.finish(t, { 'the second tab': second, 'the third tab': third });
  });

  test('tabs at different sessions have one connection too', async (t) => {
    const stage = await setStage(t, rig);
    const { server, proxy, device } = stage;
    await server.call('/v1/sessions/other/events', [{ type: 'text', data: { text: 'Something else.' } }]);
    const second = await device.open(at(proxy.url, 'other'));
    await level(second, server, 'other');
    await until(async () => (await connections(server)) === 2 || `${await connections(server)} connections`, 'one connection for the watcher and one for both tabs');
    stage.begin();
    await stage.finish(t);
    await server.call('/v1/sessions/other/events', [{ type: 'text', data: { text: 'And more of it.' } }]);
    await level(second, server, 'other');
    assert.match(await second.locator(conversation).innerText(), /And more of it/);
  });

  test('a question is answered on a second device, once', async (t) => {
    const stage = await setStage(t, rig, { turns: 1 });
    const { server, session, watcher, subject } = stage;
    await stage.begin().done;
    await server.call(`/v1/sessions/${session}/events`, [
      { type: 'turn_start', turn: 't9' },
      { type: 'permission_request', turn: 't9', data: { requestId: 'q-hand', tool: 'Bash', input: { command: 'make' } } },
    ]);
    for (const page of [watcher, subject]) await page.waitForSelector('[data-request=q-hand] [data-testid=allow]');
    await subject.waitForSelector('[data-testid=turn-state][data-state=waiting]');
    await Promise.all([watcher, subject].map((page) => page.locator('[data-request=q-hand] [data-testid=allow]').first().click({ timeout: 15_000 }).catch(() => {})));
    for (const page of [watcher, subject]) await page.waitForFunction(() => !document.querySelector('[data-item=question][data-request=q-hand] [data-testid=allow]'));
    const answers = (await server.events(session)).filter((e) => e.type === 'permission_response' && e.data.requestId === 'q-hand');
    assert.equal(answers.length, 1, 'answers in the log');
    assert.equal(answers[0].data.allow, true);
    await server.call(`/v1/sessions/${session}/events`, [{ type: 'turn_end', turn: 't9', data: { success: true } }]);
    await stage.finish(t);
  });

  test('of two devices that choose from a kontask at once one does, and its prompt stands once', async (t) => {
    const stage = await setStage(t, rig, { turns: 1, script: { kontasks: false } });
    const { server, session, watcher, subject } = stage;
    await stage.begin().done;
    const choices = [{ label: 'Ship it', value: 'Deploy to staging', primary: true }, { label: 'Wait', value: 'Wait a day' }];
    await server.call('/v1/kontasks/k-hand', { session, title: 'The build is green', status: 'ready', context: { choices } }, 'PUT');
    const choice = (page, n) => page.locator('[data-item=kontask][data-kontask=k-hand] [data-choice]').nth(n);
    for (const page of [watcher, subject]) await choice(page, 0).waitFor();
    await Promise.all([watcher, subject].map((page, n) => choice(page, n).click({ timeout: 15_000 }).catch(() => {})));
    await until(async () => (await server.events(session)).some((e) => e.type === 'kontask_chosen'), 'the choice being in the log');
    await Promise.all([watcher, subject].map((page) => level(page, server, session)));
    const events = await server.events(session);
    assert.equal(events.filter((e) => e.type === 'kontask_chosen').length, 1, 'choices in the log');
    const prompts = events.filter((e) => e.type === 'prompt' && e.data.kontaskId === 'k-hand');
    assert.equal(prompts.length, 1, 'prompts of the choice');
    assert.ok(choices.some((c) => c.value === prompts[0].data.text));
    await stage.finish(t);
  });
});

describe('without a server', { concurrency }, () => {
  test('a page that was offline three times shows the same conversation, and says so quietly', async (t) => {
    const stage = await setStage(t, rig);
    const { subject, proxy, device } = stage;
    const producer = stage.begin();
    for (const share of [0.2, 0.45, 0.7]) {
      await producer.part(share);
      await subject.locator('[data-item]').first().waitFor();
      await device.context.setOffline(true);
      proxy.offline(true);
      await subject.waitForSelector('[data-testid=reconnecting]');
      assert.equal(await subject.locator('[data-testid=reconnecting]').count(), 1, 'one word about it');
      assert.ok((await subject.locator('[data-item]').count()) > 0, 'the conversation stays');
      await producer.part(share + 0.15);
      proxy.offline(false);
      await device.context.setOffline(false);
      await subject.waitForSelector('[data-testid=reconnecting]', { state: 'detached' });
    }
    await stage.finish(t);
  });

  test('a server that is killed and comes back loses no word, for any reader', async (t) => {
    const stage = await setStage(t, rig);
    const producer = stage.begin();
    for (const share of [0.3, 0.6]) {
      await producer.part(share);
      await stage.server.crash();
    }
    await stage.finish(t);
  });

  test('a stalled network loses no word', async (t) => {
    const stage = await setStage(t, rig);
    const producer = stage.begin();
    await producer.part(0.3);
    stage.proxy.stall();
    await producer.part(0.7);
    stage.proxy.cut();
    stage.proxy.stall(false);
    await stage.finish(t);
  });

  test('prompts typed offline are shown as waiting, also after a reload, and are sent once', async (t) => {
    const stage = await setStage(t, rig, { turns: 1 });
    const { subject, proxy, server, session } = stage;
    await stage.begin().done;
    await level(subject, server, session);
    proxy.ws = proxy.sse = proxy.poll = proxy.api = 'refuse'; // the page itself can still be loaded
    proxy.cut();
    for (const text of ['first words typed offline', 'second words typed offline']) {
      await subject.fill('[data-testid=composer]', text);
      await subject.click('[data-testid=send]');
      await subject.locator('[data-testid=pending][data-stored=true]', { hasText: text }).waitFor();
      assert.equal(await subject.inputValue('[data-testid=composer]'), '', 'the prompt was taken');
    }
    await subject.reload();
    await until(async () => (await subject.locator('[data-testid=pending]').count()) === 2 || subject.locator('body').innerText(), 'both prompts waiting after the reload');
    proxy.heal();
    const sent = async () => (await server.events(session)).filter((e) => e.type === 'prompt').map((e) => e.data.text).filter((text) => /typed offline/.test(text));
    await until(async () => (await sent()).length >= 2 || sent(), 'the prompts being sent');
    await subject.waitForSelector('[data-testid=pending]', { state: 'detached' });
    await subject.reload();
    await level(subject, server, session);
    assert.deepEqual(await sent(), ['first words typed offline', 'second words typed offline'], 'once, in order');
    await stage.finish(t);
  });

  test('a prompt whose answers are lost on the way stands in the log once', async (t) => {
    const stage = await setStage(t, rig, { turns: 1 });
    const { subject, proxy, server, session } = stage;
    await stage.begin().done;
    await level(subject, server, session);
    let tries = 0; // of the page: on a kept connection that ends the browser itself asks once more
    stage.device.context.on('request', (r) => void (tries += /\/prompts$/.test(r.url()) ? 1 : 0));
    proxy.api = 'lose';
    await subject.fill('[data-testid=composer]', 'words that arrive unheard');
    await subject.click('[data-testid=send]');
    const sent = async () => (await server.events(session)).filter((e) => e.type === 'prompt' && e.data.text === 'words that arrive unheard').length;
    await until(async () => (await sent()) > 0, 'the prompt being sent');
    await until(async () => tries >= 3 || `${tries} tries`, 'the prompt being sent again');
    proxy.heal();
    await subject.waitForSelector('[data-testid=pending]', { state: 'detached' });
    assert.equal(await sent(), 1, 'times in the log');
    await stage.finish(t);
  });

  test('prompts of a page that was closed offline are sent by the next one, once', async (t) => {
    const stage = await setStage(t, rig, { turns: 1 });
    const { proxy, server, session, device } = stage;
    await stage.begin().done;
    await level(stage.subject, server, session);
    proxy.offline();
    await stage.subject.fill('[data-testid=composer]', 'words of a closed page');
    await stage.subject.press('[data-testid=composer]', 'Enter');
    await stage.subject.locator('[data-testid=pending][data-stored=true]').waitFor();
    await stage.subject.close();
    proxy.heal();
    stage.subject = await device.open(at(proxy.url, session));
    const second = await device.open(at(proxy.url, session)); // both have the same outbox before them
    const sent = async () => (await server.events(session)).filter((e) => e.type === 'prompt' && e.data.text === 'words of a closed page').length;
    await until(async () => (await sent()) > 0, 'the prompt being sent');
    for (const page of [stage.subject, second]) await page.waitForSelector('[data-testid=pending]', { state: 'detached' });
    await stage.finish(t, { 'the second tab': second });
    assert.equal(await sent(), 1, 'times in the log');
  });
});

describe("an agent's own lines", { concurrency }, () => {
  // What konlog ingest makes of an agent's format; its marks are the words themselves.
  for (const recording of ['claude-code-duplex-4turns.jsonl', 'gemini-stream-tools.jsonl', 'acp-v1-gemini-permissions.jsonl']) {
    test(`${recording}: a page that is reloaded, cut and left without a server shows the same conversation`, async (t) => {
      const stage = await setStage(t, rig);
      const { server, session, subject, proxy, watcher } = stage;
      let going = true;
      const done = ingest(t, server, session, recording, 0.5).finally(() => (going = false));
      for (let n = 0; going && n < 6; n++) {
        await pause(250);
        if (n % 3 === 0) proxy.cut();
        else if (n % 3 === 1) await subject.reload();
        else await server.crash();
      }
      await done;
      const fresh = await rig.page(t, at(server.url, session));
      await level(fresh, server, session);
      const reference = await readAll(fresh);
      for (const [who, page] of Object.entries({ 'the watcher': watcher, 'the subject': subject })) {
        await level(page, server, session);
        assertSame(await readAll(page), reference, who);
      }
      assert.match(reference.map((i) => i.text).join(' '), /notes\.md/, 'what the agent said');
      stage.device.check('the subject');
    });
  }
});

describe('an hour later', { concurrency }, () => {
  const card = { title: 'The night build is green', status: 'ready', description: 'It took an hour.', context: { choices: [{ label: 'Ship it', value: 'Deploy', primary: true }] } };

  test('a kontask that came while the page slept for an hour is shown when it wakes', async (t) => {
    const stage = await setStage(t, rig, { turns: 1, script: { kontasks: false } });
    const { server, session, device, proxy } = stage;
    await stage.subject.close();
    stage.subject = await device.context.newPage();
    await stage.subject.clock.install();
    await stage.subject.goto(at(proxy.url, session));
    const producer = stage.begin();
    await producer.part(0.5);
    // The lid is closed: connections die without a word, and no timer runs.
    proxy.stall();
    await stage.subject.clock.pauseAt(Date.now() + 30_000);
    await producer.done;
    await server.call('/v1/kontasks/k-late', { session, ...card }, 'PUT');
    proxy.cut();
    proxy.stall(false);
    await stage.subject.clock.fastForward('01:00:00');
    await stage.subject.clock.resume();
    await stage.subject.locator('[data-item=kontask][data-kontask=k-late] [data-choice]').first().waitFor();
    await stage.finish(t);
  });

  test('a kontask that came while no page was open is shown, counted, and in the inbox', async (t) => {
    const stage = await setStage(t, rig, { turns: 1, script: { kontasks: false } });
    const { server, session, device, proxy } = stage;
    const producer = stage.begin();
    await producer.part(0.5);
    await stage.subject.close();
    await producer.done;
    await stage.watcher.close(); // what somebody looks at has been seen, and leaves the inbox
    await server.call('/v1/kontasks/k-late', { session, ...card }, 'PUT');
    stage.subject = await device.open(proxy.url + '/#/inbox');
    await stage.subject.getByText('The night build is green').first().waitFor();
    await stage.subject.goto(at(proxy.url, session));
    await stage.subject.locator('[data-item=kontask][data-kontask=k-late] [data-choice]').first().waitFor();
    await stage.finish(t);
  });
});
