// The client against the real server that asks for tokens, which expire while
// an agent speaks.
import { createHmac, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Connection, ConnectOptions } from '../src/api.js';
import { connect } from '../src/connect.js';
import type { TransportName } from '../src/types.js';
import { sleep, startServer, TestWebSocket, until, type Server } from './rig.js';

const secret = randomBytes(32);
const open = new Set<Connection>();
let server: Server;
let dir = '';

/** Seconds after the end of a token in which the server still takes it: clocks differ. */
const leeway = 30;
/** Seconds for which a token is good that is to expire: on a slow machine it must live until it is shown. */
const short = 4;

/** A signed token of the user, good for so many seconds. */
function token(sub: string, seconds: number, reach = '*'): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const body = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub, exp: Math.floor(Date.now() / 1000) - leeway + seconds, konlog: { read: [reach], write: [reach] } })}`;
  return `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`;
}

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'konlog-access-'));
  const file = path.join(dir, 'secret');
  await writeFile(file, secret, { mode: 0o600 });
  server = await startServer(['--auth-jwt-secret-file', file, '--auth-grace', '1s', '--stream-heartbeat', '500ms']);
  server.headers['authorization'] = 'Bearer ' + token('operator', 3_600);
}, 300_000);
afterEach(() => {
  for (const c of open) c.close();
  open.clear();
});
afterAll(async () => {
  await server?.close();
  await rm(dir, { recursive: true, force: true });
});

function client(options: ConnectOptions): Connection {
  const c = connect({ url: server.url, WebSocket: TestWebSocket, outbox: 'memory', ...options, limits: { baseMs: 5, maxMs: 50, pollWaitS: 2 } });
  open.add(c);
  return c;
}

/** Ids of the events of a session as they come. */
function read(c: Connection, session: string): number[] {
  const got: number[] = [];
  c.session(session).onMessage((m) => m.kind === 'events' && got.push(...m.events.map((e) => e.id)));
  return got;
}

const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);
const transports: TransportName[] = ['ws', 'sse', 'poll'];

describe.each(transports)('over %s', (transport) => {
  test('tokens that expire while an agent speaks are replaced: each event comes once and in order', async () => {
    let asked = 0;
    let sockets = 0;
    class Counted extends (TestWebSocket as unknown as new (url: string) => WebSocket) {
      constructor(url: string) {
        super(url);
        sockets++;
      }
    }
    const auth = () => (asked++, token('anna', short));
    const session = `speaks-${transport}`;
    await server.append(session, [{ type: 'note' }]);
    const c = client({ transport, auth, WebSocket: Counted as unknown as typeof WebSocket });
    const phases = new Set<string>();
    c.addEventListener('state', () => phases.add(c.state.phase));
    const got = read(c, session);
    let last = 1;
    await until('the third token', async () => {
      last = await server.append(session, [{ type: 'note' }, { type: 'note' }]);
      await sleep(20);
      return asked > 2;
    }, 50_000);
    last = await server.append(session, [{ type: 'note' }]);
    await until('all of it', () => got.length >= last);
    expect(got).toEqual(upTo(last));
    expect([...phases]).not.toContain('unauthorized');
    if (transport === 'ws') expect(sockets).toBe(1); // the connection took the new tokens
  });

  test('a token that nobody renews is the end until somebody does, and then it goes on at its place', async () => {
    const session = `ends-${transport}`;
    await server.append(session, [{ type: 'note' }]);
    let mine = token('anna', short);
    const c = client({ transport, auth: () => mine });
    const got = read(c, session);
    let last = 1;
    await until('the end', async () => {
      last = await server.append(session, [{ type: 'note' }]);
      await sleep(20);
      return c.state.phase === 'unauthorized';
    }, 50_000);
    expect(c.state.problem).toMatchObject({ status: 401, code: 'unauthorized' });
    expect(got).toEqual(upTo(got.length));
    const prompt = c.send({ session, command: 'prompt', body: { text: 'given meanwhile' } });
    await until('it waits', () => c.pending[0]?.state === 'waiting' && c.pending[0].problem !== undefined);
    mine = token('anna', 600);
    c.reconnect();
    last = (await prompt).id;
    await until('the rest', () => got.length >= last);
    expect(got).toEqual(upTo(last));
  });
});

test('a command is sent as nobody but who gave it', async () => {
  let who = 'anna';
  let seconds = short;
  const c = client({ auth: () => token(who, seconds) });
  await c.send({ session: 'whose', command: 'prompt', body: { text: 'known' } });
  expect(await c.me()).toMatchObject({ subject: 'anna', read: ['*'], write: ['*'], admin: false });
  seconds = -1;
  await until('the end of the token', () => c.me().then(() => false, () => true));
  const later = c.send({ session: 'whose', command: 'prompt', body: { text: 'of anna' } });
  await until('it waits', () => c.pending[0]?.problem !== undefined);
  [who, seconds] = ['bob', 600];
  c.reconnect();
  await until('it is not bob’s', () => c.pending.length === 0);
  await c.send({ session: 'whose', command: 'prompt', body: { text: 'of bob' } });
  who = 'anna';
  c.reconnect();
  await later;
  const { events } = await server.call<{ events: { data: { text: string } }[] }>('GET', '/v1/sessions/whose/events?types=prompt');
  expect(events.map((e) => e.data.text)).toEqual(['known', 'of bob', 'of anna']);
});
