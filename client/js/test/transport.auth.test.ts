// Credentials, refusals and close codes, by servers made for it.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocketServer, type WebSocket as Socket } from 'ws';
import type { Connection, ConnectOptions } from '../src/api.js';
import { connect } from '../src/connect.js';
import type { LogEvent } from '../src/types.js';
import { eventOf, helloOf } from './fakes.js';
import { TestWebSocket, until } from './rig.js';

let servers: Server[] = [];
let open: Connection[] = [];
afterEach(() => {
  for (const c of open) c.close();
  for (const s of servers) {
    s.closeAllConnections();
    s.close();
  }
  servers = [];
  open = [];
});

async function serve(answer: (q: IncomingMessage, r: ServerResponse) => void, socket?: (s: Socket, q: IncomingMessage) => void): Promise<string> {
  const server = createServer(answer);
  if (socket) new WebSocketServer({ server }).on('connection', socket);
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function client(url: string, options: ConnectOptions): { c: Connection; got: LogEvent[] } {
  const c = connect({ url, WebSocket: TestWebSocket, outbox: 'memory', ...options, limits: { baseMs: 1, maxMs: 20, helloMs: 1_000, ...options.limits } });
  open.push(c);
  const got: LogEvent[] = [];
  c.session('s').onMessage((m) => m.kind === 'events' && got.push(...m.events));
  return { c, got };
}

const json = (r: ServerResponse, status: number, body: object, headers = {}) => {
  r.writeHead(status, { 'Content-Type': status < 400 ? 'application/json' : 'application/problem+json', ...headers });
  r.end(JSON.stringify(body));
};
const stream = (r: ServerResponse) => r.writeHead(200, { 'Content-Type': 'text/event-stream' });
const say = (...items: object[]) => items.map((i) => `data: ${JSON.stringify(i)}\n\n`).join('');
const after = (q: IncomingMessage) => Number(new URL(q.url!, 'http://x').searchParams.get('after'));
const page = (q: IncomingMessage, head: number) => {
  const events = Array.from({ length: head - after(q) }, (_, i) => eventOf(after(q) + i + 1));
  return { session: 's', epoch: 'e1', floor: 1, head, next: head, caughtUp: true, status: { state: 'idle', serverTime: '' }, events };
};

describe('a token', () => {
  test('is asked for at each connect, once more after 401, and the cursor stays', async () => {
    let n = 0;
    const auth = async () => `t${++n}`;
    const seen: [string | undefined, number][] = [];
    const good = new Set(['t2', 't4']);
    const url = await serve((q, r) => {
      seen.push([q.headers.authorization, after(q)]);
      if (!good.has(q.headers.authorization?.slice(7) ?? '')) return json(r, 401, { code: 'unauthorized', detail: 'no' });
      const from = after(q);
      stream(r).write(say(helloOf('s', 'sse', { after: from, head: from + 2, through: from + 2 }), eventOf(from + 1), eventOf(from + 2)));
      if (from === 0) setTimeout(() => r.end(), 20); // its token has expired
    });
    const { c, got } = client(url, { transport: 'sse', auth });
    await until('both parts', () => got.length === 4);
    expect(seen).toEqual([['Bearer t1', 0], ['Bearer t2', 0], ['Bearer t3', 2], ['Bearer t4', 2]]);
    expect(got.map((e) => e.id)).toEqual([1, 2, 3, 4]);
    expect(c.state.transport).toBe('sse');
  });

  test('is asked for once more at once, not after a wait', async () => {
    const url = await serve((q, r) => {
      if (q.headers.authorization !== 'Bearer t2') return json(r, 401, { code: 'unauthorized', detail: 'no' });
      stream(r).write(say(helloOf('s', 'sse')));
    });
    let n = 0;
    const { c } = client(url, { transport: 'sse', auth: () => `t${++n}`, limits: { baseMs: 60_000, maxMs: 60_000, helloMs: 5_000 } });
    const phases: string[] = [];
    c.addEventListener('state', () => phases.push(c.state.phase));
    await until('live', () => c.state.phase === 'live');
    expect(phases).not.toContain('waiting');
  });

  test('that is refused again and again is waited with, and no transport is blamed', async () => {
    let asked = 0;
    const url = await serve((_, r) => json(r, 401, { code: 'unauthorized', detail: 'who are you?' }));
    const { c } = client(url, { WebSocket: undefined, auth: () => `t${++asked}`, limits: { maxMs: 30 } });
    await until('some attempts', () => asked > 10);
    expect(c.state).toMatchObject({ transport: 'sse', trouble: 'who are you?' });
    expect(c.state.attempt).toBeGreaterThan(2);
  });

  test('of a poll that expires is replaced', async () => {
    let valid = 't1';
    let n = 0;
    const url = await serve((q, r) => {
      if (q.headers.authorization !== 'Bearer ' + valid) return json(r, 401, { code: 'unauthorized', detail: 'no' });
      json(r, 200, page(q, after(q) + 3));
      if (after(q) === 6) valid = 't2';
    });
    const { got } = client(url, { transport: 'poll', auth: () => (n++ < 3 ? 't1' : 't2') });
    await until('more than one token lasts', () => got.length > 20);
    expect(got.map((e) => e.id)).toEqual(got.map((_, i) => i + 1));
  });

  test('buys a ticket for a WebSocket at each connect; 4401 means another, and the cursor stays', async () => {
    let tickets = 0;
    const opened: string[] = [];
    const bought: unknown[] = [];
    const url = await serve(
      (q, r) => {
        let body = '';
        q.on('data', (b) => (body += b)).on('end', () => {
          bought.push([q.url, q.headers.authorization, JSON.parse(body)]);
          json(r, 201, { ticket: `k${++tickets}` });
        });
      },
      (socket, q) => {
        opened.push(q.url!);
        socket.on('message', (m) => {
          const { after: from } = JSON.parse(String(m)) as { after: number };
          socket.send([helloOf('s', 'websocket', { after: from, head: from + 1, through: from + 1 }), eventOf(from + 1)].map((i) => JSON.stringify(i)).join('\n'));
          if (opened.length < 3) setTimeout(() => socket.close(4401, 'expired'), 10);
        });
      },
    );
    let n = 0;
    const { c, got } = client(url, { auth: () => `t${++n}` });
    await until('three connections', () => got.length === 3);
    expect(opened).toEqual(['/v1/ws?batch=1&ticket=k1', '/v1/ws?batch=1&ticket=k2', '/v1/ws?batch=1&ticket=k3']);
    expect(bought).toEqual(['t1', 't2', 't3'].map((t) => ['/v1/tickets', 'Bearer ' + t, { sessions: ['s'] }]));
    expect(got.map((e) => e.id)).toEqual([1, 2, 3]);
    expect(c.state.transport).toBe('ws');
  });

  test('is not asked to buy tickets of a server that has none', async () => {
    const url = await serve(
      (_, r) => json(r, 404, { code: 'not_found', status: 404, detail: 'no such route' }),
      (socket, q) => socket.on('message', () => socket.send(JSON.stringify(helloOf('s', 'websocket', { epoch: q.url })))),
    );
    const { c } = client(url, { auth: 't' });
    await until('live', () => c.state.phase === 'live');
    expect(c.state.transport).toBe('ws');
  });
});

test.each([1000, 1001, 1006, 1011, 4400, 4408])('close code %i is never the end', async (code) => {
  let n = 0;
  const url = await serve(
    (_, r) => json(r, 426, { code: 'upgrade_required' }),
    (socket) =>
      socket.on('message', (m) => {
        const { after: from } = JSON.parse(String(m)) as { after: number };
        socket.send(JSON.stringify(helloOf('s', 'websocket', { after: from, head: 9, through: 9 })));
        socket.send(JSON.stringify(eventOf(from + 1)));
        if (++n < 4) setTimeout(() => (code === 1006 ? socket.terminate() : socket.close(code)), 5);
      }),
  );
  const { c, got } = client(url, {});
  let closed = false;
  for (const name of ['close', 'error']) c.session('s').addEventListener(name, () => (closed = true));
  await until('four connections', () => got.length >= 4);
  expect(closed).toBe(false);
  expect(got.map((e) => e.id)).toEqual([1, 2, 3, 4]);
  expect(c.state).toMatchObject({ phase: 'live', transport: 'ws' });
});

test('a session that is deleted under a WebSocket (4404) is the end of that session alone', async () => {
  const url = await serve(
    (_, r) => json(r, 426, { code: 'upgrade_required' }),
    (socket) => socket.on('message', () => (socket.send(JSON.stringify(helloOf())), setTimeout(() => socket.close(4404), 5))),
  );
  const { c } = client(url, {});
  const words: string[] = [];
  const sub = c.session('s');
  sub.addEventListener('error', (e) => words.push((e as CustomEvent).detail.code));
  sub.addEventListener('close', () => words.push('close'));
  await until('the end', () => words.length === 2);
  expect(words).toEqual(['session_not_found', 'close']);
  expect(c.state.phase).toBe('connecting');
});

test('Retry-After of an answer is honoured', async () => {
  const at: number[] = [];
  const url = await serve((_, r) => {
    at.push(Date.now());
    json(r, 503, { code: 'shutting_down', detail: 'later' }, { 'Retry-After': '1' });
  });
  const { c } = client(url, { transport: 'sse' });
  await until('a second attempt', () => at.length === 2);
  expect(at[1]! - at[0]!).toBeGreaterThan(950);
  expect(c.state.trouble).toBe('later');
});

test('a page that answers for the server is no server', async () => {
  const url = await serve((_, r) => void r.writeHead(200, { 'Content-Type': 'text/html' }).end('<h1>please log in</h1>'));
  const { c } = client(url, { WebSocket: undefined });
  await until('some attempts', () => c.state.attempt > 5);
  expect(c.state.transport).toBe('sse');
  expect(c.state.phase).not.toBe('live');
});

test('a history that changes between two polls is told once, and read from its beginning', async () => {
  const url = await serve((q, r) => {
    const second = after(q) > 0 || made;
    made ||= second;
    json(r, 200, { ...page(q, second ? 5 : 3), epoch: second ? 'e2' : 'e1' });
  });
  let made = false;
  const { c, got } = client(url, { transport: 'poll' });
  const sub = c.session('s');
  const resets: unknown[] = [];
  sub.addEventListener('reset', (e) => resets.push((e as CustomEvent).detail));
  await until('the new history', () => got.length >= 8);
  expect(got.map((e) => e.id)).toEqual([1, 2, 3, 1, 2, 3, 4, 5]);
  expect(resets).toMatchObject([{ epoch: 'e2', reason: 'epoch_changed' }]);
});

test('a poll that is answered at once with nothing is not asked in a loop', async () => {
  let asked = 0;
  const url = await serve((q, r) => {
    asked++;
    json(r, 200, page(q, after(q)));
  });
  const { c } = client(url, { transport: 'poll' });
  await until('live', () => c.state.phase === 'live');
  await new Promise((done) => setTimeout(done, 1_200));
  expect(asked).toBeLessThan(6);
});

test('a Retry-After that is a date does not do away with the back-off', async () => {
  let asked = 0;
  const url = await serve((_, r) => (asked++, json(r, 503, { code: 'shutting_down', detail: 'later' }, { 'Retry-After': new Date().toUTCString() })));
  const { c } = client(url, { transport: 'sse', limits: { baseMs: 400, maxMs: 400 } });
  await until('it waits', () => c.state.phase === 'waiting');
  expect(c.state.retryAt).toBeGreaterThan(0);
  await new Promise((done) => setTimeout(done, 400));
  expect(asked).toBeLessThan(20);
});

test('that a frame was of no use to the server does not end a session', async () => {
  const url = await serve(
    (_, r) => json(r, 426, { code: 'upgrade_required' }),
    (s) => s.on('message', () => [helloOf('s', 'ws', { head: 1 }), { type: 'error', session: 's', code: 'invalid_frame', detail: 'not subscribed to s', retryable: false }, eventOf(1)].forEach((i) => s.send(JSON.stringify(i)))),
  );
  const { got } = client(url, { transport: 'ws' });
  await until('the event', () => got.length === 1);
});
