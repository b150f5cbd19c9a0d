// The carriers under a real browser: a plain EventSource and a plain WebSocket,
// as the author of any page would use them, and the server is killed while they
// read. The page keeps every id that it was given, so that a repeat or a hole
// shows: nothing here hides a duplicate.

import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { levelWithin, useRig } from './rig.mjs';

const rig = useRig();

// append sends one event until the server has answered for it. The key makes
// the repeats harmless, so that event n is the session's n-th and no other.
async function append(server, session, n, data) {
  const body = JSON.stringify({ type: 'text_delta', turn: 'r-1', key: `k-${n}`, data });
  const end = Date.now() + levelWithin;
  for (;;) {
    try {
      const answer = await fetch(`${server.url}/v1/sessions/${session}/events`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body,
      });
      const said = await answer.json();
      if (answer.ok) {
        assert.equal(said.first, n, 'the id of an event is its place');
        return;
      }
      assert.ok(said.retryable, `append ${n} was refused: ${JSON.stringify(said)}`);
    } catch (err) {
      if (err instanceof assert.AssertionError || Date.now() > end) throw err;
    }
    await pause(20);
  }
}

// produce appends events 1..count and does breaks[n]() beside event n.
async function produce(server, session, count, breaks) {
  let breaking = Promise.resolve();
  for (let n = 1; n <= count; n++) {
    if (breaks[n]) breaking = breaking.then(breaks[n]);
    await append(server, session, n, { n, text: `word${n} ` });
    await pause(4);
  }
  await breaking;
}

// openPage gives a page of the server's origin without scripts: the console has readers of its own. The policy of such an answer lets
// nothing run; here it stands for a page of somebody's own.
async function openPage(t, server) {
  const device = await rig.device(t, { bypassCSP: true });
  return { page: await device.open(server.url + '/healthz'), errors: device.wrongs };
}

// readInPage starts both readers in the page, as a page's author would.
function readInPage(session) {
  window.sse = { ids: [], ns: [], sseIDs: [], opens: 0, frames: [] };
  window.ws = { ids: [], ns: [], opens: 0, frames: [] };

  const source = new EventSource(`/v1/sessions/${session}/sse`);
  source.onopen = () => window.sse.opens++;
  source.onmessage = (m) => {
    const event = JSON.parse(m.data);
    window.sse.ids.push(event.id);
    window.sse.ns.push(event.data.n);
    window.sse.sseIDs.push(m.lastEventId);
  };
  for (const name of ['hello', 'bye', 'gap', 'reset']) source.addEventListener(name, () => window.sse.frames.push(name));
  window.sse.source = source;

  let last = 0;
  const connect = () => {
    const socket = new WebSocket(`ws://${location.host}/v1/sessions/${session}/ws?after=${last}`);
    socket.onopen = () => window.ws.opens++;
    socket.onmessage = (m) => {
      const frame = JSON.parse(m.data);
      if (!('data' in frame)) {
        window.ws.frames.push(frame.type);
        return;
      }
      last = frame.id;
      window.ws.ids.push(frame.id);
      window.ws.ns.push(frame.data.n);
    };
    socket.onclose = () => setTimeout(connect, 100);
  };
  connect();
}

function seen(page) {
  return page.evaluate(() => ({
    sse: { ...window.sse, source: undefined, state: window.sse.source.readyState },
    ws: window.ws,
  }));
}

function checkEveryEventOnce(name, reader, count) {
  const want = Array.from({ length: count }, (_, i) => i + 1);
  const duplicates = reader.ids.length - new Set(reader.ids).size;
  assert.equal(duplicates, 0, `${name}: ${duplicates} events came twice`);
  assert.deepEqual(reader.ids, want, `${name}: ids`);
  assert.deepEqual(reader.ns, want, `${name}: contents`);
  for (const frame of ['gap', 'reset']) assert.ok(!reader.frames.includes(frame), `${name}: got ${frame}`);
}

async function runThroughStops(t, signals) {
  const count = 150 * (signals.length + 1);
  const session = 'e2e';
  const server = await rig.server(t);
  await fetch(`${server.url}/v1/sessions/${session}`, { method: 'PUT' });
  const { page, errors } = await openPage(t, server);
  const resumed = [];
  let asked = 0;
  page.on('request', async (r) => {
    if (!r.url().endsWith('/sse')) return;
    asked++;
    const id = (await r.allHeaders())['last-event-id'];
    if (id) resumed.push(Number(id));
  });
  await page.evaluate(readInPage, session);
  await page.waitForFunction(() => window.sse.opens > 0 && window.ws.opens > 0);

  const breaks = {};
  signals.forEach((signal, i) => {
    breaks[150 * (i + 1)] = async () => {
      const opens = await page.evaluate(() => window.sse.opens);
      await server.stop(signal);
      await server.start();
      await page.waitForFunction((o) => window.sse.opens > o, opens, { timeout: levelWithin });
    };
  });
  await produce(server, session, count, breaks);
  await page
    .waitForFunction((n) => window.sse.ids.at(-1) >= n && window.ws.ids.at(-1) >= n, count, { timeout: levelWithin })
    .catch(() => {}); // the checks below say what is missing

  const got = await seen(page);
  checkEveryEventOnce('EventSource', got.sse, count);
  checkEveryEventOnce('WebSocket', got.ws, count);
  assert.deepEqual(got.sse.sseIDs.map(Number), got.sse.ids, 'the browser keeps each id as its Last-Event-ID');
  assert.ok(got.sse.opens > signals.length, `EventSource opened ${got.sse.opens} times`);
  assert.ok(got.ws.opens > signals.length, `WebSocket opened ${got.ws.opens} times`);
  assert.equal(resumed.length, asked - 1, 'each reconnect brought a Last-Event-ID');
  assert.deepEqual(errors, [], 'errors in the page');
  t.diagnostic(`${count} events, EventSource opened ${got.sse.opens} times (Last-Event-ID seen: ${resumed}), WebSocket ${got.ws.opens}`);
  return got;
}

describe('a page of anybody', { concurrency: 4 }, () => {
  test('a page gets every event once while the server is killed three times', async (t) => {
    await runThroughStops(t, ['SIGKILL', 'SIGKILL', 'SIGKILL']);
  });

  test('a page gets every event once while the server is stopped and started', async (t) => {
    const got = await runThroughStops(t, ['SIGTERM']);
    assert.ok(got.sse.frames.includes('bye'), 'EventSource was told that the server goes');
    assert.ok(got.ws.frames.includes('bye'), 'WebSocket was told that the server goes');
  });

  test('a page that opens late gets the whole history, then what follows', async (t) => {
    const server = await rig.server(t);
    await produce(server, 'late', 300, {});
    const { page } = await openPage(t, server);
    await page.evaluate(readInPage, 'late');
    await page.waitForFunction(() => window.sse.ids.length >= 100);
    for (let n = 301; n <= 330; n++) await append(server, 'late', n, { n, text: 'more ' });
    await page.waitForFunction(() => window.sse.ids.at(-1) >= 330 && window.ws.ids.at(-1) >= 330);
    const got = await seen(page);
    checkEveryEventOnce('EventSource', got.sse, 330);
    checkEveryEventOnce('WebSocket', got.ws, 330);
  });

  test('a page comes back although a reader that takes in nothing makes the stop long', async (t) => {
    const server = await rig.server(t);
    const { page } = await openPage(t, server);
    const text = 'x'.repeat(900_000); // twenty of these fill every buffer on the way
    for (let n = 1; n <= 20; n++) await append(server, 'long', n, { n, text });
    const stalled = connect(Number(new URL(server.url).port), '127.0.0.1');
    t.after(() => stalled.destroy());
    stalled.on('error', () => {}); // the server cuts it in the end
    stalled.pause();
    stalled.write('GET /v1/sessions/long/sse HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
    await page.evaluate(() => {
      window.source = new EventSource('/v1/sessions/long/sse?after=20');
      window.source.onmessage = (m) => (window.last = m.lastEventId);
    });
    await page.waitForFunction(() => window.source.readyState === EventSource.OPEN);
    await server.stop('SIGTERM');
    await server.start();
    await append(server, 'long', 21, { n: 21 });
    await page.waitForFunction(() => window.last === '21' || window.source.readyState === EventSource.CLOSED);
    assert.equal(await page.evaluate(() => window.last), '21', 'the browser gave up: it was refused while the server stopped');
  });
});
