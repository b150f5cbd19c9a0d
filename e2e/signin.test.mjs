// A server that asks who is there: signing in, what a sign-in reaches, and how
// it ends and goes on. The real binary with keys, and real pages.

import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { Proxy } from './proxy.mjs';
import { at, root, until, useRig } from './rig.mjs';
import { conversation } from './oracle.mjs';

const rig = useRig();
const run = promisify(execFile);
const axe = readFileSync(path.join(root, 'node_modules/axe-core/axe.min.js'), 'utf8');

/** Seconds between pings, at which streams look whether they may go on. */
const heartbeat = '1s';
const token = '[data-testid=token]';
const composer = '[data-testid=composer]';
const bar = '[data-testid=signed-out]';
const signInPage = '[data-testid=sign-in]';

/** A server with keys, whose own calls are an administrator's. */
async function guarded(t, ...flags) {
  const server = await rig.server(t, '--auth-keys', '--auth-grace', '1s', '--stream-heartbeat', heartbeat, ...flags);
  server.headers = { Authorization: `Bearer ${await key(server, '--name', 'operator', '--admin')}` };
  return server;
}

const cli = async (server, ...args) => (await run(server.binary, ['token', ...args, '--data', server.data], { timeout: 30_000 })).stdout.trim();

/** Makes a key, and waits until the server, which looks once in a second, takes it. */
async function key(server, ...args) {
  const secret = await cli(server, 'create', ...args);
  await until(async () => (await fetch(server.url + '/v1/me', { headers: { Authorization: `Bearer ${secret}` } })).ok, 'a key being taken');
  return secret;
}

const revoke = (server, secret) => cli(server, 'revoke', secret.split('_')[1]);

/** The ways in which events come, by what a network lets through. */
const networks = { ws: {}, sse: { ws: 'refuse' }, poll: { ws: 'refuse', sse: 'refuse' } };

async function through(t, server, faults = {}) {
  const proxy = await new Proxy(server.url).start();
  t.after(() => proxy.close());
  return Object.assign(proxy, faults);
}

async function signIn(page, secret) {
  await page.fill(token, secret);
  await page.keyboard.press('Enter');
}

/** An agent's turn in words, each of which is somewhere in the log once. */
class Turn {
  count = 0;
  constructor(server, session) {
    Object.assign(this, { server, session });
  }
  begin() {
    return this.server.call(`/v1/sessions/${this.session}/events`, [
      { type: 'prompt', turn: 't1', data: { text: 'Count.' } },
      { type: 'turn_start', turn: 't1', data: { prompt: 'Count.', agent: 'test' } },
    ]);
  }
  /** So many more words, each an event. */
  async say(n) {
    for (let i = 0; i < n; i++) await this.server.call(`/v1/sessions/${this.session}/events`, [{ type: 'text_delta', turn: 't1', data: { text: `w${++this.count}. ` } }]);
  }
  /** Waits until the page shows every word once, in order. */
  async shown(page) {
    const want = Array.from({ length: this.count }, (_, i) => `w${i + 1}.`).join(' ');
    await until(async () => {
      const got = ((await page.locator(conversation).innerText()).match(/w\d+\./g) ?? []).join(' ');
      return got === want || got;
    }, 'each word once, in order');
  }
}

/** Everything that a script on the page could find, as one text. */
async function reachable(page) {
  return page.evaluate(async () => {
    const stores = [];
    for (const { name } of await indexedDB.databases()) {
      const db = await new Promise((done, fail) => Object.assign(indexedDB.open(name), { onsuccess: (e) => done(e.target.result), onerror: fail }));
      for (const store of db.objectStoreNames) stores.push(await new Promise((done, fail) => Object.assign(db.transaction(store).objectStore(store).getAll(), { onsuccess: (e) => done(e.target.result), onerror: fail })));
      db.close();
    }
    const fields = [...document.querySelectorAll('input, textarea')].map((f) => f.value);
    const resources = performance.getEntries().map((e) => e.name);
    return JSON.stringify([location.href, document.cookie, { ...localStorage }, { ...sessionStorage }, stores, fields, resources, history.state, document.documentElement.outerHTML]);
  });
}

async function audit(page, where) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { iframes: false, resultTypes: ['violations'] }));
  assert.deepEqual(violations.map((v) => `${where}: ${v.id} (${v.impact}): ${v.nodes.map((n) => n.target).join(' ')}`), []);
}

describe('signing in', { concurrency: 2 }, () => {
  for (const [transport, faults] of Object.entries(networks)) {
    test(`opens the place that was asked for, live over ${transport}, and leaves nothing secret in the page`, async (t) => {
      const server = await guarded(t);
      const secret = await key(server, '--name', 'anna', '--read', '*', '--write', '*');
      const turn = new Turn(server, 's1');
      await turn.begin();
      await turn.say(5);
      const proxy = await through(t, server, faults);
      const device = await rig.device(t);
      const page = await device.open(at(proxy.url, 's1'));
      await page.locator(signInPage).waitFor();
      assert.equal(await page.locator('.app').count(), 0, 'nothing else is there');
      await page.waitForFunction(() => document.activeElement?.getAttribute('name') === 'token');
      await page.evaluate(() => (window.same = true));
      await signIn(page, 'konlog_nobody_nothing');
      await page.getByText('This token is not valid').waitFor();
      assert.equal(await page.locator(signInPage).count(), 1);
      await signIn(page, secret);
      await turn.shown(page);
      await turn.say(5);
      await turn.shown(page);
      assert.equal(await page.evaluate(() => window.same), true, 'without a reload');
      assert.equal(new URL(page.url()).hash, '#/s/s1');
      await until(async () => (await page.locator('[data-testid=transport]').getAttribute('data-transport')) === transport, `the transport being ${transport}`);
      const found = await reachable(page);
      for (const part of [secret, secret.split('_')[2], (await device.context.cookies())[0].value]) assert.ok(!found.includes(part), 'a secret can be found');
      const [cookie, ...more] = await device.context.cookies();
      assert.deepEqual([cookie.httpOnly, cookie.sameSite, more], [true, 'Strict', []]);
      assert.ok(proxy.log.every((line) => !line.includes(secret)), 'a secret is in an address');
      await page.reload();
      await turn.shown(page);
      device.check();
    });
  }

  test('is asked of nobody by a server without keys, which shows no account', async (t) => {
    const server = await rig.server(t);
    await server.call('/v1/sessions/s1/events', [{ type: 'text', data: { text: 'Free for all.' } }]);
    const page = await rig.page(t, at(server.url, 's1'));
    await page.getByText('Free for all.').waitFor();
    await page.locator(composer).waitFor();
    const answers = await page.evaluate(() => performance.getEntriesByType('resource').filter((e) => e.responseStatus === 401).length);
    assert.deepEqual([answers, await page.locator('[data-testid=account]').count(), await page.locator(signInPage).count()], [0, 0, 0]);
  });

  for (const [name, viewport] of Object.entries({ desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } })) {
    for (const colorScheme of ['light', 'dark']) {
      test(`axe finds nothing in what is about it, ${name}, ${colorScheme}`, async (t) => {
        const server = await guarded(t);
        const secret = await key(server, '--name', 'rita', '--read', '*');
        const turn = new Turn(server, 's1');
        await turn.begin();
        await turn.say(1);
        await server.call('/v1/sessions/s1/events', [{ type: 'permission_request', turn: 't1', data: { requestId: 'q1', tool: 'Bash', input: { command: 'make' } } }]);
        const page = await rig.page(t, at(server.url, 's1'), { viewport, colorScheme, isMobile: name === 'phone', hasTouch: name === 'phone', reducedMotion: 'reduce' });
        await page.locator(signInPage).waitFor();
        await signIn(page, 'wrong');
        await page.getByText('This token is not valid').waitFor();
        await page.locator('summary').click();
        await audit(page, 'the sign-in');
        await signIn(page, secret);
        await turn.shown(page);
        await audit(page, 'a session that is only to be read');
        await page.locator('[data-testid=account]').click();
        await page.getByText('no session').waitFor();
        await audit(page, 'the account');
        await page.keyboard.press('Escape');
        await revoke(server, secret);
        await page.locator(bar).waitFor();
        await audit(page, 'the bar');
        await page.locator(bar).getByRole('button').click();
        await page.locator('dialog ' + token).waitFor();
        await audit(page, 'the sign-in in a dialog');
        const { content, window: width } = await page.evaluate(() => ({ content: document.documentElement.scrollWidth, window: innerWidth }));
        assert.ok(content <= width, `the page is ${content} wide, the window ${width}`);
      });
    }
  }
});

describe('a sign-in that ends in mid-turn', { concurrency: 2 }, () => {
  for (const [transport, faults] of Object.entries(networks)) {
    test(`by the token's expiry, over ${transport}: what was read stays, and nothing is lost or twice when it goes on`, async (t) => {
      const server = await guarded(t);
      const second = await key(server, '--name', 'second', '--subject', 'anna', '--read', '*', '--write', '*');
      const turn = new Turn(server, 's1');
      await turn.begin();
      const proxy = await through(t, server, faults);
      const page = await rig.page(t, at(proxy.url, 's1'));
      await page.locator(signInPage).waitFor();
      await page.evaluate(() => (window.same = true));
      await signIn(page, await key(server, '--name', 'first', '--subject', 'anna', '--read', '*', '--write', '*', '--expires', '15s'));
      await turn.say(1);
      await turn.shown(page);
      for (let i = 0; (await page.locator(bar).count()) === 0; i++) {
        assert.ok(i < 600, 'the sign-in does not end');
        await turn.say(1);
        await page.waitForTimeout(50);
      }
      const read = ((await page.locator(conversation).innerText()).match(/w\d+\./g) ?? []).length;
      assert.ok(read > 0, 'what was read is no more');
      await turn.say(20);
      await page.fill(composer, 'half a thought');
      await page.locator(bar).getByRole('button').click();
      await signIn(page, second);
      await page.locator(bar).waitFor({ state: 'detached' });
      await turn.say(5);
      await turn.shown(page);
      assert.equal(await page.inputValue(composer), 'half a thought');
      const below = () => page.locator(conversation).evaluate((it) => it.scrollHeight - it.clientHeight - it.scrollTop);
      await until(async () => (await below()) < 2 || `${await below()} pixels are below`, 'the page being where it was, at its end');
      assert.equal(await page.evaluate(() => window.same), true, 'the page was loaded anew');
    });
  }

  test('by a revocation is over within a heartbeat or two, and a prompt that is given then goes out once, after the next', async (t) => {
    const server = await guarded(t);
    const [first, second] = [await key(server, '--name', 'a1', '--subject', 'anna', '--read', '*', '--write', '*'), await key(server, '--name', 'a2', '--subject', 'anna', '--read', '*', '--write', '*')];
    const turn = new Turn(server, 's1');
    await turn.begin();
    await turn.say(3);
    const page = await rig.page(t, at(server.url, 's1'));
    await page.locator(signInPage).waitFor();
    await signIn(page, first);
    await turn.shown(page);
    await page.fill(composer, 'sent before');
    await page.keyboard.press('Enter');
    const prompts = async () => (await server.events('s1')).filter((e) => e.type === 'prompt').map((e) => e.data.text);
    await until(async () => (await prompts()).includes('sent before'), 'the first prompt');
    await revoke(server, first);
    await page.locator(bar).waitFor({ timeout: 10_000 });
    await page.fill(composer, 'sent after');
    await page.keyboard.press('Enter');
    await page.getByText('waits for your sign-in').waitFor();
    assert.ok(!(await prompts()).includes('sent after'));
    await page.locator(bar).getByRole('button').click();
    await signIn(page, second);
    await until(async () => (await prompts()).includes('sent after'), 'the second prompt');
    await page.locator('[data-testid=pending]').waitFor({ state: 'detached' });
    assert.deepEqual(await prompts(), ['Count.', 'sent before', 'sent after']);
  });

  test('and goes on as somebody else shows and sends nothing of the first', async (t) => {
    const server = await guarded(t);
    const anna = await key(server, '--name', 'anna', '--read', '*', '--write', '*');
    const bob = await key(server, '--name', 'bob', '--read', 'b-*', '--write', 'b-*');
    await server.call('/v1/sessions/a-1/events', [{ type: 'text', data: { text: 'Of anna alone.' } }]);
    await server.call('/v1/sessions/b-1/events', [{ type: 'text', data: { text: 'Of bob.' } }]);
    const page = await rig.page(t, at(server.url, 'a-1'));
    await page.locator(signInPage).waitFor();
    await signIn(page, anna);
    await page.getByText('Of anna alone.').waitFor();
    await page.fill(composer, 'known');
    await page.keyboard.press('Enter');
    await until(async () => (await server.events('a-1')).some((e) => e.data?.text === 'known'), 'the first prompt');
    await revoke(server, anna);
    await page.locator(bar).waitFor();
    await page.fill(composer, 'never as bob');
    await page.keyboard.press('Enter');
    await page.getByText('waits for your sign-in').waitFor();
    await page.fill(composer, 'a draft of anna');
    await page.locator(bar).getByRole('button').click();
    await Promise.all([page.waitForEvent('load'), signIn(page, bob)]);
    await page.locator('[data-session="b-1"]').first().waitFor();
    await page.evaluate(() => (location.hash = '#/s/b-1'));
    await page.getByText('Of bob.').waitFor();
    await page.fill(composer, 'of bob himself');
    await page.keyboard.press('Enter');
    await until(async () => (await server.events('b-1')).some((e) => e.data?.text === 'of bob himself'), 'the prompt of bob');
    const text = await page.evaluate(() => document.body.innerText);
    for (const word of ['Of anna alone.', 'never as bob', 'a draft of anna']) assert.ok(!text.includes(word), word);
    assert.ok(!(await server.events('a-1')).some((e) => e.data?.text === 'never as bob'));
    const again = await key(server, '--name', 'again', '--subject', 'anna', '--read', '*', '--write', '*');
    await page.locator('[data-testid=account]').click();
    await page.locator('[data-testid=sign-out]').click();
    await page.locator(signInPage).waitFor();
    await page.evaluate(() => (location.hash = '#/s/a-1'));
    await Promise.all([page.waitForEvent('load'), signIn(page, again)]);
    await until(async () => (await server.events('a-1')).filter((e) => e.data?.text === 'never as bob').length === 1, 'the prompt of anna, once');
    await until(async () => (await page.inputValue(composer)) === 'a draft of anna', 'the draft of anna');
  });
});

describe('who may do what', { concurrency: 2 }, () => {
  test('who may only read is told so in words, and no control fails at a press', async (t) => {
    const server = await guarded(t);
    const secret = await key(server, '--name', 'rita', '--read', '*', '--write', 'mine-*');
    for (const session of ['mine-1', 'theirs'])
      await server.call(`/v1/sessions/${session}/events`, [
        { type: 'prompt', turn: 't1', data: { text: 'Go.' } },
        { type: 'turn_start', turn: 't1', data: { prompt: 'Go.' } },
        { type: 'permission_request', turn: 't1', data: { requestId: `q-${session}`, tool: 'Bash', input: { command: 'make' } } },
        { type: 'kontask_ready', turn: 't1', data: { kontaskId: `k-${session}`, title: 'A card', context: { choices: [{ label: 'Ship', value: 'Ship it' }] } } },
      ]);
    const device = await rig.device(t);
    const page = await device.open(server.url + '/#/inbox');
    await page.locator(signInPage).waitFor();
    await signIn(page, secret);
    // The inbox first: what was looked at is not in it any more.
    const row = (session) => page.locator(`[data-testid=inbox] [data-session=${session}]`);
    await row('theirs').locator('[data-choice]').waitFor();
    assert.deepEqual(await row('theirs').locator('button[data-testid], [data-choice]').evaluateAll((all) => all.map((b) => b.disabled)), [true, true, true]);
    await row('theirs').getByText('not write').first().waitFor();
    await row('mine-1').locator('[data-choice]').click();
    await until(async () => (await server.events('mine-1')).some((e) => e.type === 'kontask_chosen'), 'the choice');
    await page.evaluate(() => (location.hash = '#/s/theirs'));
    await page.getByTestId('read-only').waitFor();
    assert.match(await page.getByTestId('read-only').innerText(), /may read this session, but not write/);
    await page.locator('.ask button').first().waitFor();
    await page.locator('[data-kontask] [data-choice]').first().waitFor();
    const enabled = () => page.locator('.ask button, [data-kontask] [data-choice]').evaluateAll((all) => all.map((b) => !b.disabled));
    assert.deepEqual(await enabled(), [false, false, false, false], 'a button that would fail is on');
    await page.locator('[data-request] .ask-state').getByText('not write').waitFor();
    await page.locator('.session-head .menu-button').last().click();
    await page.locator('[role=menuitem]').first().waitFor();
    assert.deepEqual(await page.locator('[role=menuitem]:disabled').allInnerTexts(), ['Rename', 'Close', 'Delete']);
    await page.locator('.menu-why').getByText('not write').waitFor();
    await page.keyboard.press('Escape');
    await page.evaluate(() => (location.hash = '#/s/mine-1'));
    await page.locator(composer).waitFor();
    await page.locator('[data-request] [data-testid=allow]').click();
    await until(async () => (await server.events('mine-1')).some((e) => e.type === 'permission_response'), 'the answer');
    await page.getByRole('button', { name: 'New session' }).click();
    await page.locator('dialog textarea').fill('Begin here.');
    await page.locator('dialog').getByRole('button', { name: 'Create' }).click();
    await until(async () => /#\/s\/mine-/.test(page.url()) && !page.url().endsWith('mine-1'), 'a session that it may write to');
    device.check();
  });

  test('who may write nothing makes no session', async (t) => {
    const server = await guarded(t);
    const page = await rig.page(t, server.url + '/#/');
    await page.locator(signInPage).waitFor();
    await signIn(page, await key(server, '--name', 'rita', '--read', '*'));
    await page.locator('main').getByText('your access reaches').waitFor();
    assert.ok(await page.getByRole('button', { name: 'New session' }).isDisabled());
    await server.call('/v1/sessions/made/events', [{ type: 'text', data: { text: 'Hello' } }]);
    await page.locator('[data-session=made]').first().waitFor();
  });

  test('two users on two devices see their own sessions, live, and nothing of the other’s', async (t) => {
    const server = await guarded(t);
    const users = {};
    for (const name of ['anna', 'bob']) {
      const page = await rig.page(t, server.url + '/#/');
      await page.locator(signInPage).waitFor();
      await signIn(page, await key(server, '--name', name, '--read', `${name}-*`, '--write', `${name}-*`));
      await page.locator('[data-testid=account]').waitFor();
      users[name] = page;
    }
    for (const name of ['anna', 'bob']) await server.call(`/v1/sessions/${name}-1/events`, [{ type: 'text', data: { text: `A secret of ${name}.` } }]);
    await until(async () => (await server.call('/v1/search?q=secret')).hits.length >= 2 || 'not yet', 'both texts being found');
    for (const [name, page] of Object.entries(users)) {
      const other = name === 'anna' ? 'bob' : 'anna';
      await page.locator(`[data-session="${name}-1"]`).first().waitFor();
      await page.evaluate((id) => (location.hash = `#/s/${id}`), `${name}-1`);
      await page.getByText(`A secret of ${name}.`).waitFor();
      await page.evaluate((id) => (location.hash = `#/s/${id}`), `${other}-1`);
      await page.getByText('There is no session').waitFor();
      await page.evaluate(() => (location.hash = '#/search?q=secret'));
      await page.getByText(`A secret of ${name}.`).first().waitFor();
      await page.reload();
      await page.locator(`[data-session="${name}-1"]`).first().waitFor();
      assert.ok(!(await page.evaluate(() => document.documentElement.outerHTML)).includes(`secret of ${other}`));
      assert.equal(await page.locator(`[data-session="${other}-1"]`).count(), 0);
    }
  });

  test('frames and images come by the cookie', async (t) => {
    const server = await guarded(t);
    const image = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');
    const blob = await (await fetch(server.url + '/v1/blobs', { method: 'POST', headers: { ...server.headers, 'Content-Type': 'image/png' }, body: image })).json();
    await server.call('/v1/sessions/s1/events', [
      { type: 'prompt', turn: 't1', data: { text: 'Look.', images: [{ url: blob.url, mediaType: 'image/png', sha256: blob.sha256 }] } },
      { type: 'kontask_ready', turn: 't1', data: { kontaskId: 'k1', title: 'A card', context: { output: '<p>In a frame.</p>' } } },
    ]);
    const page = await rig.page(t, at(server.url, 's1'));
    await page.locator(signInPage).waitFor();
    await signIn(page, await key(server, '--name', 'rita', '--read', '*'));
    await page.locator(`${conversation} img`).first().waitFor();
    await until(() => page.locator(`${conversation} img`).first().evaluate((i) => i.complete && i.naturalWidth === 1), 'the image');
    await page.getByRole('button', { name: /output and details/i }).click();
    await page.frameLocator('iframe[data-testid=kontask-output]').getByText('In a frame.').waitFor();
  });
});

test('a sign-out in one tab locks all tabs, and a sign-in in one opens them', async (t) => {
  const server = await guarded(t);
  const secret = await key(server, '--name', 'anna', '--read', '*', '--write', '*');
  const turn = new Turn(server, 's1');
  await turn.begin();
  await turn.say(3);
  const device = await rig.device(t);
  const a = await device.open(at(server.url, 's1'));
  await a.locator(signInPage).waitFor();
  await signIn(a, secret);
  await turn.shown(a);
  const b = await device.open(at(server.url, 's1'));
  await turn.shown(b);
  await b.fill(composer, 'typed in b');
  await a.locator('[data-testid=account]').click();
  await a.locator('[data-testid=sign-out]').click();
  for (const page of [a, b]) {
    await page.locator(signInPage).waitFor();
    assert.ok(!(await page.evaluate(() => document.body.innerText)).includes('w1.'), 'the conversation is still there');
  }
  assert.equal((await device.context.cookies()).length, 0);
  await turn.say(3);
  await signIn(b, secret);
  for (const page of [a, b]) await turn.shown(page);
  assert.equal(await b.inputValue(composer), 'typed in b');
});
