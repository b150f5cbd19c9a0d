// What users of a connection hold in hand, over the real server.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Connection, ConnectOptions, Message } from '../src/api.js';
import { ProblemError } from '../src/api.js';
import { connect } from '../src/connect.js';
import type { LogEvent } from '../src/types.js';
import { sleep, startServer, TestWebSocket, until, type Server } from './rig.js';

let server: Server;
let open: Connection[] = [];
beforeAll(async () => {
  server = await startServer();
}, 300_000);
afterAll(() => server?.close());
afterEach(() => {
  for (const c of open) c.close();
  open = [];
});

function client(options: ConnectOptions = {}): Connection {
  const c = connect({ url: server.url, WebSocket: TestWebSocket, ...options });
  open.push(c);
  return c;
}
const drafts = (n: number) => Array.from({ length: n }, (_, i) => ({ type: 'note', data: i }));

test('for await gives every event, from the place that was asked for, and ends with close', async () => {
  await server.append('it', drafts(50));
  const c = client();
  const sub = c.session('it', { after: 10 });
  const ids: number[] = [];
  for await (const e of sub) {
    ids.push(e.id);
    if (ids.length === 40) await server.append('it', drafts(5));
    if (ids.length === 45) sub.close();
  }
  expect(ids).toEqual(Array.from({ length: 45 }, (_, i) => i + 11));
});

test('a consumer that is far behind costs a bounded buffer, and misses nothing', async () => {
  await server.append('slow', drafts(3_000));
  const c = client({ limits: { iteratorMax: 100 } });
  const sub = c.session('slow');
  const ids: number[] = [];
  for await (const e of sub) {
    ids.push(e.id);
    if (e.id % 500 === 0) await sleep(30);
    if (e.id === 1_000) await server.append('slow', drafts(10));
    if (e.id === 3_010) break;
  }
  expect(ids).toEqual(Array.from({ length: 3_010 }, (_, i) => i + 1));
});

test('for await over a session that is not there rejects with its problem', async () => {
  const it = client().session('not-there')[Symbol.asyncIterator]();
  await expect(it.next()).rejects.toBeInstanceOf(ProblemError);
  await expect(client().session('not-there')[Symbol.asyncIterator]().next()).rejects.toMatchObject({ problem: { code: 'session_not_found' } });
});

test('the connection speaks for all its sessions, once each', async () => {
  await server.append('one', drafts(3));
  await server.append('two', drafts(2));
  const c = client({ session: 'one', after: 1 });
  const heard: Message[] = [];
  c.onMessage((m) => heard.push(m));
  const seen: string[] = [];
  const all = (async () => {
    for await (const e of c) seen.push(`${e.session} ${e.id}`);
  })();
  c.session('two');
  c.session('two', { after: 0 }); // a second reader says nothing here
  await until('all', () => seen.length === 4);
  await server.append('two', drafts(1));
  await until('live', () => seen.length === 5);
  expect(seen.sort()).toEqual(['one 2', 'one 3', 'two 1', 'two 2', 'two 3']);
  const events = heard.flatMap((m) => (m.kind === 'events' ? m.events : [])).map((e: LogEvent) => `${e.session} ${e.id}`);
  expect(events.sort()).toEqual(seen);
  c.close();
  await all;
});

test('a message says whether it is live, and frames stand where the server put them', async () => {
  await server.append('order', drafts(3));
  const sub = client().session('order');
  const heard: string[] = [];
  sub.onMessage((m) => heard.push(m.kind === 'events' ? `${m.live ? 'live' : 'replay'} ${m.events.map((e) => e.id)}` : m.frame.type));
  await until('caught up', () => sub.caughtUp);
  await server.append('order', drafts(1));
  await until('live', () => sub.cursor === 4);
  expect(heard.filter((h) => h !== 'status')).toEqual(['hello', 'replay 1,2,3', 'caught_up', 'live 4']);
  expect(sub).toMatchObject({ head: 4, floor: 1, session: 'order', status: { state: 'idle' } });
  expect(sub.epoch).toMatch(/^[0-9a-f-]{36}$/);
});

test('events are told by name', async () => {
  await server.append('names', drafts(1));
  const sub = client().session('names');
  const told: string[] = [];
  for (const name of ['message', 'status', 'caughtup', 'close', 'reset', 'gap', 'error']) sub.addEventListener(name, () => told.push(name));
  await until('caught up', () => sub.caughtUp);
  sub.close();
  expect(new Set(told)).toEqual(new Set(['message', 'status', 'caughtup', 'close']));
});

test('commands, appends and requests go through the same connection', async () => {
  await server.append('cmd', drafts(1));
  const c = client();
  const sub = c.session('cmd');
  const got: LogEvent[] = [];
  sub.onMessage((m) => m.kind === 'events' && got.push(...m.events));
  const ack = await c.send({ session: 'cmd', command: 'prompt', body: { text: 'hi' } });
  expect(ack.id).toBe(2);
  expect(await c.append('cmd', [{ type: 'note', data: 'x' }])).toMatchObject({ first: 3, last: 3 });
  await until('echo', () => got.length === 3);
  expect(got[1]).toMatchObject({ type: 'prompt', data: { text: 'hi' } });
  expect(await c.get<{ head: number }>('/v1/sessions/cmd')).toMatchObject({ head: 3 });
  await expect(c.get('/v1/sessions/absent')).rejects.toMatchObject({ problem: { code: 'session_not_found', status: 404 } });
  expect(await c.upload(new Blob(['hello']))).toMatchObject({ bytes: 5 });
  expect(c.pending).toEqual([]);
});

test('misuse is said at once and says what to do', () => {
  expect(() => connect()).toThrow(/name the server/);
  expect(() => connect({ url: server.url, transport: 'ws', WebSocket: undefined })).toThrow(/no WebSocket here/);
  expect(() => client().session('a/b')).toThrow(/is no session id/);
  const c = client();
  c.close();
  expect(() => c.session('a')).toThrow(/closed/);
  expect(c.state.phase).toBe('closed');
});

test('nothing keeps a process alive after close', async () => {
  const { execFile } = await import('node:child_process');
  const { promisify } = await import('node:util');
  const { mkdtemp, rm, writeFile } = await import('node:fs/promises');
  const { rolldown } = await import('rolldown');
  const dir = await mkdtemp('/tmp/konlog-exit-');
  try {
    const src = new URL('../src/index.ts', import.meta.url).pathname;
    const bundle = await rolldown({ input: src, resolve: { extensionAlias: { '.js': ['.ts', '.js'] } } });
    await bundle.write({ dir, format: 'es' });
    await server.append('exit', drafts(1));
    await writeFile(`${dir}/main.mjs`, `import { connect } from './index.js';\nconst c = connect({ url: ${JSON.stringify(server.url)}, session: 'exit' });\nfor await (const e of c) { console.log(e.id, c.state.transport); c.close(); }\n`);
    const { stdout } = await promisify(execFile)(process.execPath, [`${dir}/main.mjs`], { timeout: 10_000 });
    expect(stdout.trim()).toMatch(/^1 (sse|ws)$/);
  } finally {
    await rm(dir, { recursive: true });
  }
});
