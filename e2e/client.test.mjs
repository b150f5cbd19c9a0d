// The built client in a real browser, without the console: 20,000 events
// through a network that cuts every answer after a random number of bytes, on
// each transport; and tabs that share a connection.

import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { connections, root, until, useRig } from './rig.mjs';
import { startProxy } from './proxy.mjs';
import { append } from './producer.mjs';
import { Chance, newSeed } from './seed.mjs';

const rig = useRig({ prepare: buildClient });

/** Events that are read through the cuts. */
const events = 20_000;
/** Events that are there when the reader comes; the others come while it reads. */
const before20k = 12_000;
/** Events of one append. */
const batch = 500;

const modules = new Map();

async function buildClient({ work }) {
  const out = path.join(work, 'client');
  execFileSync(process.execPath, [path.join(root, 'node_modules/typescript/bin/tsc'), '-p', path.join(root, 'client/js/tsconfig.build.json'), '--outDir', out], { stdio: 'inherit' });
  for (const file of await readdir(out, { recursive: true })) {
    if (file.endsWith('.js')) modules.set('/client/' + file, { type: 'text/javascript', body: await readFile(path.join(out, file)) });
  }
}

/** A server, a proxy that also has the client's modules, and chance. */
async function setStage(t) {
  const chance = new Chance(newSeed());
  t.diagnostic(`SEED=${chance.seed}`);
  const server = await rig.server(t);
  await server.call('/v1/sessions/s1', undefined, 'PUT');
  const proxy = await startProxy(t, server.url);
  for (const [name, page] of modules) proxy.pages.set(name, page);
  proxy.pages.set('/reader', { type: 'text/html', body: '<!doctype html><title>reader</title>' });
  return { chance, server, proxy };
}

async function produce(server, from, to) {
  for (let n = from; n <= to; n += batch) {
    const list = [];
    for (let i = n; i < n + batch && i <= to; i++) list.push({ type: 'text_delta', turn: 'r-1', key: `k${i}`, data: { n: i, text: `word ${i} ` } });
    await append(server, 's1', list);
  }
}

// readInPage follows the session and keeps count: what came must be the next one, always.
async function readInPage(options) {
  const { connect } = await import('/client/index.js');
  const seen = (window.seen = { last: 0, faults: [], frames: {}, states: [], transports: [] });
  const connection = (window.connection = connect({ session: 's1', ...options }));
  const note = () => {
    const { phase, transport } = connection.state;
    if (seen.states.at(-1) !== phase) seen.states.push(phase);
    if (phase === 'live' && seen.transports.at(-1) !== transport) seen.transports.push(transport);
  };
  connection.addEventListener('state', note);
  connection.onMessage((m) => {
    note();
    if (m.kind === 'frame') return void (seen.frames[m.frame.type] = (seen.frames[m.frame.type] ?? 0) + 1);
    for (const e of m.events) {
      if (e.id !== seen.last + 1 || e.data.n !== e.id) seen.faults.push(`${e.id} (${e.data.n}) after ${seen.last}`);
      seen.last = e.id;
    }
  });
}

const lastOf = (page) => page.evaluate(() => window.seen.last);
const all = (page, what) => until(async () => (await lastOf(page)) >= events || `${await lastOf(page)} of ${events}; ${JSON.stringify(await page.evaluate(() => window.connection.state))}`, what, 60_000);

async function assertDense(page, who) {
  const seen = await page.evaluate(() => window.seen);
  assert.deepEqual(seen.faults.slice(0, 5), [], `${who}: events out of order, doubled or left out`);
  assert.equal(seen.last, events, who);
  for (const frame of ['gap', 'reset']) assert.equal(seen.frames[frame] ?? 0, 0, `${who}: ${frame}`);
  return seen;
}

// A poll's answer and a WebSocket's message count only when they are whole, so their budgets must let some through.
const budgets = { ws: [200, 250_000], sse: [200, 60_000], poll: [2000, 600_000], auto: [200, 250_000] };
// Waits are short: it is the cuts that are tried, not the patience.
const quick = { baseMs: 10, maxMs: 200, pollWaitS: 2 };

describe('the client in a browser', { concurrency: 2 }, () => {
  for (const [transport, [least, most]] of Object.entries(budgets)) {
    test(`reads ${events} events over ${transport} through cuts, each once and in order`, async (t) => {
      const { chance, server, proxy } = await setStage(t);
      await produce(server, 1, before20k);
      let cuts = 0;
      proxy.budget = () => {
        cuts++;
        return chance.int(least, most);
      };
      const page = await rig.page(t, proxy.url + '/reader');
      await page.evaluate(readInPage, { transport, limits: quick });
      await produce(server, before20k + 1, events);
      await all(page, `${events} events over ${transport}`);
      const seen = await assertDense(page, transport);
      assert.ok(cuts > 10, `only ${cuts} connections`);
      t.diagnostic(`${cuts} connections, live on ${seen.transports}`);
    });
  }

  test('tabs share one connection, also when the one that has it goes', async (t) => {
    const { server, proxy } = await setStage(t);
    const device = await rig.device(t);
    const pages = [];
    for (let i = 0; i < 3; i++) {
      pages.push(await device.open(proxy.url + '/reader'));
      await pages[i].evaluate(readInPage, { limits: quick });
    }
    const one = () => until(async () => (await connections(server)) === 1 || `${await connections(server)} connections`, 'one connection for all tabs');
    await produce(server, 1, 2000);
    await one();
    for (let from = 2001; from <= events; from += 6000) {
      const part = produce(server, from, Math.min(events, from + 5999));
      if (pages.length > 1 && from > 2001) await pages.shift().close();
      else proxy.cut();
      await part;
      await one();
    }
    for (const page of pages) await all(page, 'all events in the tabs that are left');
    for (const [i, page] of pages.entries()) await assertDense(page, `tab ${i}`);
    device.check('the tabs');
  });

  test('tabs that do not share have a connection each', async (t) => {
    const { server, proxy } = await setStage(t);
    const device = await rig.device(t);
    for (let i = 0; i < 2; i++) await (await device.open(proxy.url + '/reader')).evaluate(readInPage, { share: false });
    await until(async () => (await connections(server)) === 2 || `${await connections(server)} connections`, 'a connection each');
  });
});
