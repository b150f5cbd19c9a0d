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

  test.each(['sse', 'poll', 'ws'] as const)('that is refused twice is the end of trying over %s, and no transport is blamed; reconnect goes on at the cursor', async (transport) => {
    let asked = 0;
    let requests = 0;
    let good = false;
    const url = await serve(
      (q, r) => {
        requests++;
        if (!good) return json(r, 401, { code: 'unauthorized', status: 401, detail: 'who are you?' });
        if (q.url === '/v1/tickets') return json(r, 201, { ticket: 'k' });
        if (q.url!.includes('/events')) return json(r, 200, page(q, after(q) + 2));
        stream(r).write(say(helloOf('s', 'sse', { after: after(q), head: 9, through: 9 }), eventOf(after(q) + 1), eventOf(after(q) + 2)));
      },
      (socket) => socket.on('message', (m) => {
        const { after: from } = JSON.parse(String(m)) as { after: number };
        socket.send([helloOf('s', 'websocket', { after: from, head: 9, through: 9 }), eventOf(from + 1), eventOf(from + 2)].map((i) => JSON.stringify(i)).join('\n'));
      }),
    );
    const options = transport === 'sse' ? { WebSocket: undefined } : { transport };
    const { c, got } = client(url, { ...options, auth: () => `t${++asked}`, limits: { maxMs: 2 } });
    await until('the end of trying', () => c.state.phase === 'unauthorized');
    expect(c.state).toMatchObject({ transport, problem: { status: 401, code: 'unauthorized', detail: 'who are you?' } });
    expect(c.state.retryAt).toBeUndefined();
    expect(asked).toBeLessThanOrEqual(3);
    const before = requests;
    const other = c.session('another');
    await new Promise((done) => setTimeout(done, 60)); // thirty of the longest waits
    expect(requests).toBe(before);
    other.close();
    good = true;
    c.reconnect();
    await until('the events', () => got.length >= 2);
    expect(got.slice(0, 2).map((e) => e.id)).toEqual([1, 2]);
    expect(c.state).toMatchObject({ phase: 'live', transport });
    expect(c.state.problem).toBeUndefined();
  });

  test('that expires in mid-stream and is not renewed leaves the reader where it is, over a sign-in', async () => {
    let good = 'Bearer old';
    let mine = 'old';
    const seen: number[] = [];
    const open: ServerResponse[] = [];
    const url = await serve((q, r) => {
      if (q.headers.authorization !== good) return json(r, 401, { code: 'unauthorized', status: 401, detail: 'expired' });
      const from = after(q);
      seen.push(from);
      stream(r).write(say(helloOf('s', 'sse', { after: from, head: from + 3, through: from + 3 }), eventOf(from + 1), eventOf(from + 2), eventOf(from + 3)));
      open.push(r);
    });
    const { c, got } = client(url, { transport: 'sse', auth: () => mine });
    await until('the first part', () => got.length === 3);
    good = 'Bearer new';
    open[0]!.end(say({ type: 'bye', reason: 'unauthorized', reconnectMs: 0 }));
    await until('the end of trying', () => c.state.phase === 'unauthorized');
    mine = 'new';
    c.reconnect();
    await until('the second part', () => got.length === 6);
    expect(got.map((e) => e.id)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(seen).toEqual([0, 3]);
  });

  test('that a REST call finds refused stops the streams as well', async () => {
    let good = true;
    const url = await serve((_, r) => {
      if (!good) return json(r, 401, { code: 'unauthorized', status: 401, detail: 'revoked' });
      stream(r).write(say(helloOf('s', 'sse'), eventOf(1)));
    });
    const { c, got } = client(url, { transport: 'sse', auth: 't' });
    await until('the event', () => got.length === 1);
    good = false;
    await expect(c.get('/v1/sessions')).rejects.toMatchObject({ problem: { code: 'unauthorized' } });
    expect(c.state).toMatchObject({ phase: 'unauthorized', problem: { detail: 'revoked' } });
    good = true;
    c.reconnect();
    await until('live again', () => c.state.phase === 'live');
  });

  test('that is about to expire is renewed on the WebSocket, which stands', async () => {
    const said: { type: string; token?: string; ref?: string }[] = [];
    let opened = 0;
    const url = await serve(
      (q, r) => (q.url === '/v1/tickets' ? json(r, 201, { ticket: 'k' }) : json(r, 426, { code: 'upgrade_required' })),
      (socket) => {
        opened++;
        socket.on('message', (m) => {
          const frame = JSON.parse(String(m)) as (typeof said)[number];
          said.push(frame);
          if (frame.type === 'subscribe') {
            socket.send([helloOf('s', 'websocket', { head: 3, through: 1 }), eventOf(1)].map((i) => JSON.stringify(i)).join('\n'));
            socket.send(JSON.stringify({ type: 'auth_expiring', graceMs: 30_000 }));
          } else if (frame.type === 'auth') socket.send([{ type: 'ack', ref: frame.ref }, eventOf(2)].map((i) => JSON.stringify(i)).join('\n'));
        });
      },
    );
    let n = 0;
    const { c, got } = client(url, { auth: () => `t${++n}` });
    await until('what comes after it', () => got.length === 2);
    expect(said.filter((f) => f.type === 'auth')).toEqual([{ type: 'auth', token: 't2', ref: 'auth' }]);
    expect(opened).toBe(1);
    expect(c.state.phase).toBe('live');
  });

  test('that cannot be renewed loses nothing: it goes on until the server closes, and ends no session', async () => {
    let opened = 0;
    const url = await serve(
      (q, r) => (q.url === '/v1/tickets' && !opened ? json(r, 201, { ticket: 'k' }) : json(r, 401, { code: 'unauthorized', status: 401, detail: 'expired' })),
      (socket) => {
        opened++;
        socket.on('message', (m) => {
          const frame = JSON.parse(String(m)) as { type: string; ref?: string };
          if (frame.type === 'subscribe') {
            socket.send([helloOf('s', 'websocket', { head: 3, through: 1 }), eventOf(1), { type: 'auth_expiring', graceMs: 100 }].map((i) => JSON.stringify(i)).join('\n'));
          } else if (frame.type === 'auth') {
            socket.send([{ type: 'error', ref: frame.ref, code: 'unauthorized', detail: 'no', retryable: false }, eventOf(2)].map((i) => JSON.stringify(i)).join('\n'));
            socket.send(JSON.stringify({ type: 'bye', reason: 'unauthorized', reconnectMs: 0 }));
            socket.close(4401, 'unauthorized');
          }
        });
      },
    );
    const { c, got } = client(url, { auth: 'stale' });
    const ended: unknown[] = [];
    c.session('s').addEventListener('error', (e) => ended.push((e as CustomEvent).detail));
    await until('the end of trying', () => c.state.phase === 'unauthorized');
    expect(got.map((e) => e.id)).toEqual([1, 2]);
    expect([ended, opened]).toEqual([[], 1]);
  });

  test('of a session that must be asked for first is no word about the session', async () => {
    let good = false;
    const url = await serve((q, r) => {
      if (!good) return json(r, 401, { code: 'unauthorized', status: 401, detail: 'no', retryable: false });
      if (q.url === '/v1/sessions/s') return json(r, 200, { head: 7, floor: 1 });
      json(r, 200, page(q, 7));
    });
    const c = connect({ url, transport: 'poll', outbox: 'memory', auth: 't', limits: { baseMs: 1, maxMs: 20 } });
    open.push(c);
    const got: number[] = [];
    const said: unknown[] = [];
    const [s, t] = [c.session('s', { tail: 2 }), c.session('s', { after: 6 })];
    s.onMessage((m) => m.kind === 'events' && got.push(...m.events.map((e) => e.id)));
    for (const one of [s, t]) one.addEventListener('error', (e) => said.push(e));
    await until('the end of trying', () => c.state.phase === 'unauthorized');
    good = true;
    c.reconnect();
    await until('its tail', () => got.length === 2);
    expect([got, said]).toEqual([[6, 7], []]);
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
    expect(bought).toEqual(['t1', 't2', 't3'].map((t) => ['/v1/tickets', 'Bearer ' + t, {}]));
    expect(got.map((e) => e.id)).toEqual([1, 2, 3]);
    expect(c.state.transport).toBe('ws');
  });

  test('opens a WebSocket that takes further sessions without another', async () => {
    let opened = 0;
    const url = await serve(
      (_, r) => json(r, 201, { ticket: 'k' }),
      (socket) => {
        opened++;
        socket.on('message', (m) => {
          const { type, session } = JSON.parse(String(m)) as { type: string; session: string };
          if (type === 'subscribe') socket.send([helloOf(session, 'websocket', { head: 1, through: 1 }), eventOf(1, session)].map((i) => JSON.stringify(i)).join('\n'));
        });
      },
    );
    const { c, got } = client(url, { auth: 't' });
    await until('the first', () => got.length === 1);
    const more: string[] = [];
    c.session('other').onMessage((m) => m.kind === 'events' && more.push(m.session));
    await until('the other', () => more.length === 1);
    expect(opened).toBe(1);
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

describe('without a token', () => {
  /** A server that knows a browser by its cookie. */
  async function cookies() {
    const it = { signedIn: false, upgrades: 0, plain: 0, tickets: 0, url: '', sockets: [] as Socket[] };
    const server = createServer((q, r) => {
      it.plain++;
      if (q.url === '/v1/tickets') it.tickets++;
      json(r, it.signedIn ? 426 : 401, it.signedIn ? { code: 'upgrade_required', status: 426 } : { code: 'unauthorized', status: 401, detail: 'sign in' });
    });
    const sockets = new WebSocketServer({ server, verifyClient: (_, answer) => (it.upgrades++, answer(it.signedIn, 401)) });
    sockets.on('connection', (socket) => {
      it.sockets.push(socket);
      socket.on('message', (m) => {
        const { after: from } = JSON.parse(String(m)) as { after: number };
        socket.send([helloOf('s', 'websocket', { after: from, head: from + 1, through: from + 1 }), eventOf(from + 1)].map((i) => JSON.stringify(i)).join('\n'));
      });
    });
    servers.push(server);
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    it.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return it;
  }

  test.each(['auto', 'ws'] as const)('a WebSocket that is not let in (%s) is found to want a sign-in, by one plain request', async (transport) => {
    const it = await cookies();
    const { c, got } = client(it.url, { transport });
    await until('the end of trying', () => c.state.phase === 'unauthorized');
    expect(c.state).toMatchObject({ transport: 'ws', problem: { detail: 'sign in' } });
    expect([it.upgrades, it.plain, it.tickets]).toEqual([1, 1, 0]);
    it.signedIn = true;
    c.reconnect();
    await until('the event', () => got.length === 1);
    expect([c.state.transport, it.tickets]).toEqual(['ws', 0]);
  });

  test('a sign-out, and a sign-in later, is no hole in what is read', async () => {
    const it = await cookies();
    it.signedIn = true;
    const { c, got } = client(it.url, {});
    await until('the first', () => got.length === 1);
    it.signedIn = false;
    it.sockets[0]!.send(JSON.stringify({ type: 'bye', reason: 'unauthorized', reconnectMs: 0 }));
    it.sockets[0]!.close(4401, 'unauthorized');
    await until('the end of trying', () => c.state.phase === 'unauthorized');
    it.signedIn = true;
    c.reconnect();
    await until('the second', () => got.length === 2);
    expect(got.map((e) => e.id)).toEqual([1, 2]);
  });

  test('a refusal that is none of konlog’s, such as a proxy’s, stops it as well', async () => {
    const url = await serve((_, r) => void r.writeHead(401, { 'Content-Type': 'text/html' }).end('<h1>who?</h1>'));
    const { c } = client(url, { transport: 'sse' });
    await until('the end of trying', () => c.state.phase === 'unauthorized');
    expect(c.state.problem).toMatchObject({ status: 401, detail: 'status 401' });
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
