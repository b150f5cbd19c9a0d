// The client against the real server, through a proxy that breaks things.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Connection, ConnectOptions, Subscription } from '../src/api.js';
import { connect } from '../src/connect.js';
import type { Limits } from '../src/limits.js';
import type { LogEvent, TransportName } from '../src/types.js';
import { random, sleep, startProxy, startServer, TestWebSocket, until, type Proxy, type Server } from './rig.js';

let server: Server;
let proxy: Proxy;
const open = new Set<Connection>();

beforeAll(async () => {
  server = await startServer(['--stream-heartbeat', '500ms']);
  proxy = await startProxy(server);
}, 300_000);
afterAll(async () => {
  await proxy?.close();
  await server?.close();
});

const quick: Partial<Limits> = { helloMs: 1_000, baseMs: 5, maxMs: 50, pollWaitS: 2, probeMs: 1_000 };

function client(options: ConnectOptions = {}): Connection {
  const limits = { ...quick, ...options.limits };
  const c = connect({ url: proxy.url, WebSocket: TestWebSocket, share: false, outbox: 'memory', ...options, limits });
  open.add(c);
  return c;
}

async function clean(): Promise<void> {
  for (const c of open) c.close();
  open.clear();
  proxy.rule = () => undefined;
}

const drafts = (n: number, from = 0) => Array.from({ length: n }, (_, i) => ({ type: 'note', data: { n: from + i } }));

/** All events of a subscription, with what the promise P3 says checked as they come. */
function collect(sub: Subscription, after = 0): LogEvent[] {
  const got: LogEvent[] = [];
  let last = after;
  sub.onMessage((m) => {
    if (m.kind === 'frame') {
      if (m.frame.type === 'reset') last = 0;
      if (m.frame.type === 'gap') last = m.frame.to;
      return;
    }
    for (const e of m.events) {
      expect(e.id, `${sub.session} after ${last}`).toBe(last + 1);
      last = e.id;
      got.push(e);
    }
  });
  return got;
}

const transports: TransportName[] = ['ws', 'sse', 'poll'];

describe.each(transports)('over %s', (transport) => {
  test('thousands of events through a hundred cuts come once and in order', async () => {
    const [a, b] = [`cuts-${transport}-a`, `cuts-${transport}-b`];
    await server.append(a, drafts(1));
    await server.append(b, drafts(1));
    const next = random(transports.indexOf(transport) + 1);
    let cuts = 0;
    proxy.rule = () => (cuts++ < 100 ? { cutAfter: 200 + Math.floor(next() * 8_000) } : undefined);
    const c = client({ transport });
    const [one, two] = [collect(c.session(a)), collect(c.session(b))];
    const total = 3_000;
    for (let i = 1; i < total; i += 50) {
      await Promise.all([server.append(a, drafts(50, i)), server.append(b, drafts(25, i))]);
      await sleep(10);
    }
    const [headA, headB] = await Promise.all([a, b].map((s) => server.call<{ head: number }>('GET', '/v1/sessions/' + s).then((r) => r.head)));
    await until('all events', () => one.length >= headA! && two.length >= headB!, 60_000);
    expect(one.length).toBe(headA);
    expect(two.length).toBe(headB);
    expect(one.map((e) => (e.data as { n: number }).n)).toEqual(Array.from({ length: headA! }, (_, i) => i));
    expect(cuts).toBeGreaterThan(transport === 'poll' ? 60 : 50);
    expect(c.state.phase).toBe('live');
    await clean();
  }, 120_000);

  test('a server that is killed and comes back loses no reader', async () => {
    const s = `kill-${transport}`;
    await server.append(s, drafts(20));
    const c = client({ transport });
    const got = collect(c.session(s));
    await until('the first events', () => got.length === 20);
    await server.kill();
    await until('the loss is noticed', () => c.state.phase !== 'live');
    await sleep(200);
    await server.start();
    await server.append(s, drafts(20, 20));
    await until('the rest', () => got.length === 40);
    expect(c.state).toMatchObject({ phase: 'live', transport });
    await clean();
  }, 60_000);

  test('a session that was deleted and made again while away is reset once and read from its floor', async () => {
    const s = `epoch-${transport}`;
    await server.append(s, drafts(30));
    const c = client({ transport });
    const sub = c.session(s);
    const got = collect(sub);
    const resets: unknown[] = [];
    sub.addEventListener('reset', (e) => resets.push((e as CustomEvent).detail));
    await until('the first events', () => got.length === 30);
    await proxy.down();
    await server.call('DELETE', `/v1/sessions/${s}`);
    await server.append(s, drafts(12, 100));
    got.length = 0;
    await proxy.up();
    await until('the new history', () => got.length === 12);
    await sleep(100);
    expect(resets).toHaveLength(1);
    expect(resets[0]).toMatchObject({ session: s, reason: 'epoch_changed', epoch: sub.epoch });
    expect(got).toHaveLength(12);
    await clean();
  }, 60_000);

  test('a cursor beyond the head is reset once', async () => {
    const s = `beyond-${transport}`;
    await server.append(s, drafts(5));
    const sub = client({ transport }).session(s, { after: 50 });
    const got = collect(sub, 50);
    const resets: unknown[] = [];
    sub.addEventListener('reset', (e) => resets.push((e as CustomEvent).detail));
    await until('all', () => got.length === 5 && sub.caughtUp);
    expect(resets).toMatchObject([{ reason: 'cursor_beyond_head' }]);
    await clean();
  });

  test('a session that is not there, and one that is deleted, end with a word', async () => {
    const s = `gone-${transport}`;
    await server.append(s, drafts(3));
    const c = client({ transport });
    const words: string[] = [];
    for (const name of [s, `absent-${transport}`, `absent-${transport}-2`]) {
      const sub = c.session(name);
      sub.addEventListener('error', (e) => words.push(`${name} ${(e as CustomEvent).detail.code}`));
      sub.addEventListener('close', () => words.push(`${name} close`));
      if (name === s) await until('live', () => sub.caughtUp);
    }
    await until('the absent ones', () => words.length === 4);
    expect(c.state.phase).toBe('live');
    await server.call('DELETE', `/v1/sessions/${s}`);
    await until('the deleted one', () => words.length === 6);
    expect(words.sort()).toEqual([`absent-${transport} close`, `absent-${transport} session_not_found`, `absent-${transport}-2 close`, `absent-${transport}-2 session_not_found`, `${s} close`, `${s} session_not_found`]);
    await clean();
  });

  test('sessions come and go on a connection that stands', async () => {
    const names = Array.from({ length: 12 }, (_, i) => `many-${transport}-${i}`);
    for (const s of names) await server.append(s, drafts(10));
    const c = client({ transport });
    const all = new Map<string, LogEvent[]>();
    for (const s of names) {
      const sub = c.session(s, { tail: 4 });
      all.set(s, collect(sub, 6));
      if (s.endsWith('3')) await until('caught up', () => sub.caughtUp);
      if (s.endsWith('5')) sub.close();
    }
    await until('tails', () => [...all].every(([s, got]) => got.length === 4 || s.endsWith('5')));
    for (const s of names) await server.append(s, drafts(1, 10));
    await until('new ones', () => [...all].every(([s, got]) => got.length === 5 || s.endsWith('5')));
    expect(c.state.phase).toBe('live');
    await clean();
  });

  test('several readers of a session each have their own cursor', async () => {
    const s = `readers-${transport}`;
    await server.append(s, drafts(100));
    const c = client({ transport });
    const a = collect(c.session(s));
    await until('the first', () => a.length === 100);
    const b = collect(c.session(s, { after: 60 }), 60);
    const f = c.session(s, { tail: 10, fold: true });
    const d = collect(f, 90);
    await until('the others', () => b.length === 40 && d.length === 10);
    await server.append(s, drafts(5, 100));
    await until('all', () => a.length === 105 && b.length === 45 && d.length === 15);
    await clean();
  });

  test('a folded replay is taken with its holes, and what follows is dense', async () => {
    const s = `fold-${transport}`;
    const turn = 't1';
    await server.append(s, [{ type: 'turn_start', turn, data: {} }, ...Array.from({ length: 40 }, (_, i) => ({ type: 'text_delta', turn, data: { text: `${i} ` } }))]);
    await server.append(s, [{ type: 'text', turn, data: { text: 'whole' } }, ...Array.from({ length: 10 }, (_, i) => ({ type: 'text_delta', turn, data: { text: `${i} ` } }))]);
    const c = client({ transport });
    const sub = c.session(s, { fold: true });
    const got: LogEvent[] = [];
    sub.onMessage((m) => m.kind === 'events' && got.push(...m.events));
    await until('the replay', () => sub.caughtUp && sub.cursor === 52);
    expect(got.length).toBeLessThan(12);
    got.length = 0;
    await server.append(s, [{ type: 'text_delta', turn, data: { text: 'a' } }, { type: 'text_delta', turn, data: { text: 'b' } }]);
    await until('live', () => got.length === 2);
    expect(got.map((e) => e.id)).toEqual([53, 54]);
    await clean();
  });
});

test('a retention gap moves the cursor and is told', async () => {
  const own = await startServer(['--retention-events', '20', '--retention-interval', '100ms']);
  try {
    await own.append('s', drafts(100));
    await until('retention', async () => (await own.call<{ floor: number }>('GET', '/v1/sessions/s')).floor > 1);
    for (const transport of transports) {
      const sub = client({ transport, url: own.url }).session('s', { after: 3 });
      const gaps: { from: number; to: number }[] = [];
      sub.addEventListener('gap', (e) => gaps.push((e as CustomEvent).detail));
      const got = collect(sub, 3);
      await until('the rest', () => sub.caughtUp);
      expect(gaps).toHaveLength(1);
      expect(gaps[0]).toMatchObject({ from: 4, to: sub.floor - 1 });
      expect(got[0]!.id).toBe(sub.floor);
      expect(sub.cursor).toBe(100);
    }
  } finally {
    await clean();
    await own.close();
  }
}, 60_000);
