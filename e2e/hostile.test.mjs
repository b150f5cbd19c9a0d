// Agents are not trusted. Whatever they write, in whatever place: no script of
// theirs runs, nobody is asked for anything, and the page stays where it is.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { hostileEvents, hostileLines, html, markdown } from './corpus.mjs';
import { openDetails, readAll } from './oracle.mjs';
import { at, until, useRig } from './rig.mjs';

const rig = useRig();

/** Milliseconds in which a script or request that gets through would have shown itself. */
const settleMs = 150;

/** A server that must not be asked: the console's policy is not told of it. */
async function startTrap(t) {
  const asked = [];
  const trap = createServer((request, answer) => {
    asked.push(request.url);
    answer.end();
  }).listen(0, '127.0.0.1');
  await once(trap, 'listening');
  t.after(() => (trap.closeAllConnections(), trap.close()));
  const host = `127.0.0.1:${trap.address().port}`;
  const url = `http://${host}`;
  return { url, asked, set: (value) => JSON.parse(JSON.stringify(value).replaceAll('TRAPHOST', host).replaceAll('TRAP', url)) };
}

/** A session that has the corpus everywhere, with a card for each HTML. */
async function feed(server, trap) {
  const title = '"><img src=x onerror=alert(70)>';
  await server.call('/v1/sessions/h1', { title, scope: title.slice(0, 60), tags: [title.slice(0, 60)], meta: { x: title } }, 'PUT');
  await server.call('/v1/sessions/h1/events', trap.set(hostileEvents()));
  await server.call('/v1/sessions/h1/events', trap.set(hostileLines().map((data) => ({ type: 'agent', data }))));
  for (const [i, output] of trap.set(html).entries()) {
    const record = { session: 'h1', title: `${i} ${title}`, description: output, status: 'ready', tags: [title], createdBy: title, context: { output: `<p class="card">Card ${i}</p>${output}`, choices: [{ label: title, value: output, primary: true }] } };
    await server.call(`/v1/kontasks/hk-${i}`, record, 'PUT');
  }
}

// Listens, in the page, for what no card may be able to do.
function guard() {
  if (window !== top) return;
  window.heard = [];
  addEventListener('message', (e) => e.source !== window && window.heard.push(JSON.stringify(e.data)));
}

async function open(t, server) {
  const device = await rig.device(t);
  await device.context.addInitScript(guard);
  const page = await device.open(server.url + '/#/');
  const left = [];
  page.on('framenavigated', (frame) => {
    if (frame === page.mainFrame() && new URL(frame.url()).origin !== server.url) left.push(frame.url());
  });
  device.context.on('page', (popup) => left.push('a window: ' + popup.url()));
  return { device, page, left };
}

async function assertUnharmed({ device, page, left }, trap, where) {
  await pause(settleMs);
  const state = await page.evaluate(() => ({
    pwned: window.pwned,
    heard: window.heard,
    stored: [localStorage.getItem('pwned'), document.cookie],
    title: document.title,
    // What is in the document may be looked at by whoever presses it.
    links: [...document.querySelectorAll('a[href], area[href]')].map((a) => a.protocol).filter((p) => !/^(https?|mailto):$/.test(p)),
    outside: [...document.querySelectorAll('a[href]')].filter((a) => a.origin !== location.origin && /^http/.test(a.protocol) && !/noopener|noreferrer/.test(a.rel)).map((a) => a.outerHTML),
    handlers: [...document.querySelectorAll('*')].filter((e) => [...e.attributes].some((a) => /^on/i.test(a.name))).map((e) => e.outerHTML.slice(0, 200)),
    elements: [...document.querySelectorAll('body script, object, embed, base, meta[http-equiv], [data-item] form, [data-item] style, [data-item] link')].map((e) => e.outerHTML.slice(0, 200)),
    images: [...document.images].map((i) => i.currentSrc || i.src).filter((s) => s && !s.startsWith(location.origin) && !/^(data|blob):/.test(s)),
    frames: [...document.querySelectorAll('iframe')].filter((f) => f.getAttribute('sandbox') !== '' || f.srcdoc).map((f) => f.outerHTML),
    covered: [...document.querySelectorAll('[data-item] *')].filter((e) => getComputedStyle(e).position === 'fixed' && !e.matches('dialog')).map((e) => e.outerHTML.slice(0, 200)),
  }));
  assert.doesNotMatch(state.title, /^pwned/, where);
  delete state.title;
  assert.deepEqual(state, { pwned: undefined, heard: [], stored: [null, ''], links: [], outside: [], handlers: [], elements: [], images: [], frames: [], covered: [] }, where);
  assert.deepEqual(trap.asked, [], `${where}: another origin was asked`);
  assert.deepEqual(left, [], `${where}: the page was left`);
  // The sanitizer parses in a document of its own that is never shown; browsers report what the policy would stop there. What came out is
  // looked at above.
  device.wrongs = device.wrongs.filter((w) => !/^a breach of the policy: (script-src-attr|style-src-(attr|elem)) inline |^a breach of the policy: base-uri /.test(w));
  device.check(where);
}

test('hostile words run no script, ask nobody and stay in their place, on every page', { timeout: 300_000 }, async (t) => {
  const server = await rig.server(t);
  const trap = await startTrap(t);
  await feed(server, trap);
  const { head } = await server.call('/v1/sessions/h1');
  const opened = await open(t, server);
  const { page } = opened;
  const places = { list: '#/', inbox: '#/inbox', search: '#/search?q=alert', session: at('', 'h1'), replay: at('', 'h1', 'replay'), 'the end of the replay': at('', 'h1', 'replay') + '?id=' + head, events: at('', 'h1', 'events'), timing: at('', 'h1', 'timing'), diagnostics: '#/diagnostics' };
  for (const [where, hash] of Object.entries(places)) {
    await page.evaluate((h) => (location.hash = h.slice(h.indexOf('#'))), hash);
    await page.waitForLoadState();
    await pause(settleMs);
    if (/session|replay/.test(where)) await openDetails(page);
    await page.evaluate(() => document.querySelectorAll('summary').forEach((s) => s.parentElement.open || s.click()));
    await assertUnharmed(opened, trap, where);
    if (where !== 'session') continue;
    const items = await readAll(page); // a part of the rows is in the document: this goes through all of them
    assert.ok(items.length > 3 * markdown.length + html.length, `only ${items.length} items were drawn`);
    await assertUnharmed(opened, trap, 'the beginning of the session');
  }
});

test("a kontask's HTML is shown in its frame, and can do nothing from there", { timeout: 300_000 }, async (t) => {
  const server = await rig.server(t);
  const trap = await startTrap(t);
  await server.call('/v1/sessions/h1', undefined, 'PUT');
  const opened = await open(t, server);
  const { page } = opened;
  for (const [i, output] of trap.set(html).entries()) {
    const context = { output: `<p class="card" style="color: rgb(1, 2, 3)">Card ${i}</p>${output}`, choices: [{ label: 'Yes', value: 'yes' }] };
    await server.call(`/v1/kontasks/hk-${i}`, { session: 'h1', title: `Card ${i}`, status: 'ready', context }, 'PUT');
  }
  await page.evaluate((h) => (location.hash = h), new URL(at(server.url, 'h1')).hash);
  for (const i of html.keys()) {
    await openCard(page, i);
    const frame = page.locator('dialog[open] iframe[data-testid=kontask-output]');
    await frame.waitFor();
    assert.equal(await frame.getAttribute('sandbox'), '', 'no scripts, no same origin');
    const card = frame.contentFrame().locator('.card').first();
    await card.waitFor();
    assert.equal(await card.evaluate((e) => getComputedStyle(e).color), 'rgb(1, 2, 3)', 'the card keeps its styles');
    assert.equal(await page.locator('dialog[open]').getByText(/loading/i).count(), 0, `card ${i}: an endless loading`);
    await assertUnharmed(opened, trap, `card ${i}`);
    await pressInside(page);
    assert.deepEqual(trap.asked, [], `card ${i}: a press inside asked another origin`);
    assert.deepEqual(opened.left, [], `card ${i}: a press inside left the page`);
    assert.equal(new URL(page.url()).origin, server.url);
    opened.device.wrongs.length = 0; // where a press wanted to go was said and stopped by the policy
    // Not by Escape: the press inside may have left the focus in the frame, which hears it instead.
    await page.locator('dialog[open]').getByRole('button', { name: 'Close' }).click();
  }
});

function openCard(page, i) {
  return page.locator(`[data-item=kontask][data-kontask=hk-${i}]`).getByRole('button', { name: /details/i }).click();
}

// A person may press whatever a card offers.
async function pressInside(page) {
  for (const frame of page.frames().slice(1)) {
    for (const target of await frame.locator('a, button, summary, input').all()) await target.click({ force: true, noWaitAfter: true, timeout: 300 }).catch(() => {}); // one that cannot be pressed does no harm
  }
  await pause(settleMs);
}

test('the address of a card answers with a policy of its own, whoever opens it', async (t) => {
  const server = await rig.server(t);
  const trap = await startTrap(t);
  await server.call('/v1/kontasks/hk-all', { session: 'h1', title: 'Card', status: 'ready', context: { output: trap.set(html).join('') } }, 'PUT');
  const opened = await open(t, server);
  const { page } = opened;
  await page.evaluate((h) => (location.hash = h), new URL(at(server.url, 'h1')).hash);
  await openCard(page, 'all');
  const src = await page.locator('iframe[data-testid=kontask-output]').first().getAttribute('src');
  const answer = await fetch(new URL(src, server.url));
  const policy = answer.headers.get('content-security-policy');
  assert.match(policy, /(^|;)\s*sandbox\s*(;|$)/, 'the sandbox gives nothing back');
  assert.match(policy, /default-src 'none'/);
  assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
  await page.goto(new URL(src, server.url).href); // outside of any frame
  await pause(settleMs);
  assert.deepEqual(trap.asked, []);
  assert.deepEqual(opened.device.wrongs.filter((w) => !/policy/.test(w)), []);
});
