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

test('when the reader that spoke for the connection goes, another one\'s session is still heard, without a hole or a double', async () => {
  await server.append('voice', drafts(5));
  const c = client();
  const heard: number[] = [];
  c.onMessage((m) => m.kind === 'events' && heard.push(...m.events.map((e) => e.id)));
  const first = c.session('voice');
  const seen: number[] = [];
  void (async () => {
    for await (const e of c) seen.push(e.id);
  })();
  await until('the first events', () => heard.length === 5);
  const second = c.session('voice', { after: 2 });
  first.close();
  await server.append('voice', drafts(3));
  await until('the rest', () => second.cursor === 8 && heard.at(-1) === 8 && seen.at(-1) === 8);
  expect(heard).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  expect(seen).toEqual(heard);
  second.close();
  await server.append('voice', drafts(1));
  await sleep(100);
  expect(heard).toHaveLength(8);
});

test('an iterator begins where it was made, however late it is asked', async () => {
  await server.append('late', drafts(5));
  const c = client({ session: 'late' });
  const [all, one] = [c[Symbol.asyncIterator](), c.session('late', { after: 1 })];
  const own = one[Symbol.asyncIterator]();
  await until('the others have read it', () => one.caughtUp && one.cursor === 5);
  expect((await all.next()).value).toMatchObject({ id: 1 });
  expect((await own.next()).value).toMatchObject({ id: 2 });
});

test('an iterator over a subscription that has ended says why, and throw gives back what it was given', async () => {
  await server.append('thrown', drafts(2));
  const c = client();
  const gone = c.session('nowhere');
  await new Promise((done) => gone.addEventListener('close', done));
  await expect(gone[Symbol.asyncIterator]().next()).rejects.toMatchObject({ problem: { code: 'session_not_found' } });
  const it = c.session('thrown')[Symbol.asyncIterator]() as AsyncGenerator<LogEvent>;
  await it.next();
  await expect(it.throw(new Error('mine'))).rejects.toThrow('mine');
});

test('a place that is none is refused at once: the server would end all sessions for it', () => {
  const c = client();
  for (const at of [{ after: -1 }, { after: 1.5 }, { after: NaN }, { tail: -1 }]) expect(() => c.session('s', at)).toThrow(/whole numbers/);
});

test.each(['ws', 'sse', 'poll'] as const)('auth that rejects with nothing, or never answers, does not stop a connection over %s for ever', async (transport) => {
  await server.append(`auth-${transport}`, drafts(2));
  let asked = 0;
  const bad = [() => Promise.reject(), () => new Promise<string>(() => {}), () => Promise.reject(new Error('not now'))];
  const auth = () => bad[asked++]?.() ?? Promise.resolve('good');
  const c = client({ transport, auth, limits: { requestMs: 200, helloMs: 300, baseMs: 5, maxMs: 20 } });
  const sub = c.session(`auth-${transport}`);
  await until('the events', () => sub.cursor === 2);
  expect(asked).toBeGreaterThan(3);
});

test('over polls a tail is asked for alone, not as all of the session', async () => {
  await server.append('tailed', drafts(20));
  await server.append('other', drafts(1));
  const asked: string[] = [];
  let first = () => {};
  const begun = new Promise<void>((done) => (first = done));
  const slow: typeof fetch = async (input, init) => {
    asked.push(String(input).replace(/.*\/v1/, ''));
    first();
    if (asked.length === 1) await sleep(100);
    return fetch(input, init);
  };
  const c = client({ transport: 'poll', fetch: slow });
  const sub = c.session('tailed', { tail: 2 });
  await begun;
  const other = c.session('other');
  await until('both', () => sub.caughtUp && other.caughtUp);
  expect(asked.filter((path) => path.includes('tailed:0'))).toEqual([]);
  expect(sub.cursor).toBe(20);
});

test('a connection that is closed says nothing more, also when it was still loading', async () => {
  const c = client({ share: true });
  const states: string[] = [];
  c.addEventListener('state', (e) => states.push((e as CustomEvent).detail.phase));
  c.close();
  await sleep(50);
  expect(states).toEqual(['closed']);
});
