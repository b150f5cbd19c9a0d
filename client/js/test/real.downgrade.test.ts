// Networks that do not let everything through, with the real server behind.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Connection, ConnectOptions, Downgrade } from '../src/api.js';
import { connect } from '../src/connect.js';
import type { Limits } from '../src/limits.js';
import { sleep, startProxy, startServer, TestWebSocket, until, type Fault, type Proxy, type Seen, type Server } from './rig.js';

let server: Server;
let proxy: Proxy;
let open: Connection[] = [];

beforeAll(async () => {
  server = await startServer(['--stream-heartbeat', '300ms']);
  proxy = await startProxy(server);
}, 300_000);
afterAll(async () => {
  await proxy?.close();
  await server?.close();
});
afterEach(() => {
  for (const c of open) c.close();
  open = [];
  proxy.rule = () => undefined;
  proxy.seen.length = 0;
});

const quick: Partial<Limits> = { helloMs: 2_000, baseMs: 5, maxMs: 50, pollWaitS: 1, probeMs: 500, climbMs: 60_000 };

function client(options: ConnectOptions = {}): Connection & { downgrades: Downgrade[] } {
  const limits = { ...quick, ...options.limits };
  const c = connect({ url: proxy.url, WebSocket: TestWebSocket, outbox: 'memory', ...options, limits });
  const downgrades: Downgrade[] = [];
  c.addEventListener('downgrade', (e) => downgrades.push((e as CustomEvent<Downgrade>).detail));
  open.push(c);
  return Object.assign(c, { downgrades });
}

const kind = (s: Seen) => (s.upgrade ? 'ws' : s.path.includes('/sse') ? 'sse' : s.path.includes('wait=') || /poll|events/.test(s.path) ? 'poll' : 'check');

describe('what gets through is used', () => {
  const table: [string, (k: string) => Fault | undefined, string, string[]][] = [
    ['upgrades refused', (k) => (k === 'ws' ? { status: 403 } : undefined), 'sse', ['failing']],
    ['WebSocket path refused', (k) => (k === 'ws' || k === 'check' ? { status: 403 } : undefined), 'sse', ['refused']],
    ['upgrades hang', (k) => (k === 'ws' ? { hang: true } : undefined), 'sse', ['silent']],
    ['upgrades pass and then nothing does', (k) => (k === 'ws' ? { stallAfter: 180 } : undefined), 'sse', ['silent']],
    ['upgrades hang, streams are buffered', (k) => (k === 'ws' ? { hang: true } : k === 'sse' ? { buffer: true } : undefined), 'poll', ['silent']],
    ['upgrades refused, streams answered by 502', (k) => (k === 'ws' ? { status: 403 } : k === 'sse' ? { status: 502 } : undefined), 'poll', ['failing']],
    ['upgrades and streams are cut after a few bytes', (k) => (k === 'ws' || k === 'sse' ? { cutAfter: 20 } : undefined), 'poll', ['failing']],
  ];
  test.each(table)('%s', async (name, rule, transport, reasons) => {
    proxy.rule = (s) => rule(kind(s));
    const session = `d-${table.findIndex((t) => t[0] === name)}`;
    await server.append(session, [{ type: 'note', data: 1 }]);
    const c = client();
    const ids: number[] = [];
    c.session(session).onMessage((m) => m.kind === 'events' && ids.push(...m.events.map((e) => e.id)));
    await until('the event', () => ids.length === 1);
    expect(c.state).toMatchObject({ phase: 'live', transport });
    expect(c.downgrades.map((d) => d.reason)).toEqual(reasons);
    expect(c.downgrades[0]!.to).toBe(transport);
    await server.append(session, [{ type: 'note', data: 2 }]);
    await until('the next one', () => ids.length === 2);
    expect(ids).toEqual([1, 2]);
  });

  test('a change in mid-turn loses and doubles nothing, down and up again', async () => {
    const c = client({ limits: { climbMs: 300 } });
    const upgrades: string[] = [];
    c.addEventListener('upgrade', () => upgrades.push(c.state.transport));
    const ids: number[] = [];
    await server.append('turn', [{ type: 'note' }]);
    c.session('turn').onMessage((m) => m.kind === 'events' && ids.push(...m.events.map((e) => e.id)));
    await until('live', () => c.state.phase === 'live');
    let last = 1;
    const write = async (n: number) => {
      for (let i = 0; i < n; i++) {
        last = await server.append('turn', [{ type: 'note', data: i }, { type: 'note', data: -i }]);
        await sleep(5);
      }
    };
    for (const blocked of [['ws'], ['ws', 'sse'], [] as string[]]) {
      proxy.rule = (s) => (blocked.includes(kind(s)) ? { hang: true } : undefined);
      proxy.cut();
      await Promise.all([write(60), until('another transport', () => c.state.phase === 'live' && c.state.transport === (['ws', 'sse', 'poll'] as const)[blocked.length], 20_000)]);
      await write(10);
    }
    await until('all', () => ids.length >= last);
    expect(ids).toEqual(Array.from({ length: last }, (_, i) => i + 1));
    expect(c.downgrades.map((d) => d.to)).toEqual(['sse', 'poll']);
    expect(upgrades.at(-1)).toBe('ws');
    expect(c.state.downgrade).toBeUndefined();
  }, 60_000);

  test('a carrier that goes silent is replaced after three heartbeats', async () => {
    await server.append('silent', [{ type: 'note' }]);
    for (const transport of ['ws', 'sse'] as const) {
      const c = client({ transport });
      const sub = c.session('silent');
      await until('caught up', () => sub.caughtUp);
      const before = proxy.seen.length;
      proxy.stall();
      await until('another carrier', () => proxy.seen.length > before && c.state.phase === 'live', 10_000);
      await server.append('silent', [{ type: 'note' }]);
      await until('what came meanwhile', () => sub.cursor === sub.head && sub.head > 1);
      c.close();
    }
  }, 30_000);

  test('a server that is stopped in order is come back to when it said, on the same transport', async () => {
    const own = await startServer(['--drain-spread', '200ms']);
    try {
      await own.append('s', [{ type: 'note' }]);
      for (const transport of ['ws', 'sse', 'poll'] as const) {
        const c = client({ url: own.url, WebSocket: transport === 'sse' ? undefined : TestWebSocket, transport: transport === 'poll' ? 'poll' : 'auto' });
        const sub = c.session('s');
        await until('caught up', () => sub.caughtUp);
        await own.stop();
        await until('it is missed', () => c.state.phase !== 'live');
        await own.start();
        const last = await own.append('s', [{ type: 'note' }]);
        await until('it is back', () => sub.cursor === last);
        expect(c.state).toMatchObject({ phase: 'live', transport });
        expect(c.downgrades.map((d) => d.reason)).toEqual(transport === 'sse' ? ['unsupported'] : []);
        c.close();
      }
    } finally {
      await own.close();
    }
  }, 60_000);

  test.each([
    ['a feed that is not pushed is read all the same', ['--taskmaster-push=false'], 'ws'],
    ['a server that offers nothing that waits is read all the same', ['--websocket-enabled=false', '--sse-enabled=false', '--polling-enabled=false'], 'poll'],
  ])('%s', async (_, flags, transport) => {
    const own = await startServer(flags);
    try {
      await own.append('s', [{ type: 'note' }]);
      const c = client({ url: own.url, limits: { plainMs: 100 } });
      const [feed, s] = [c.session('_feed'), c.session('s')];
      await until('both', () => feed.caughtUp && s.caughtUp && feed.cursor > 0);
      const before = feed.cursor;
      await own.append('t', [{ type: 'note' }]);
      const last = await own.append('s', [{ type: 'note' }]);
      await until('news', () => feed.cursor > before && s.cursor === last);
      expect(c.state).toMatchObject({ phase: 'live', transport });
    } finally {
      await own.close();
    }
  }, 60_000);
});
