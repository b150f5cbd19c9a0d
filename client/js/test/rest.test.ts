import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { ProblemError } from '../src/api.js';
import { Rest } from '../src/rest.js';
import type { Blob as Stored } from '../src/types.js';
import { startServer } from './rig.js';

type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void;

const servers: Server[] = [];
afterEach(() => servers.splice(0).forEach((server) => (server.closeAllConnections(), server.close())));

async function serve(handle: Handler): Promise<URL> {
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (b: Buffer) => parts.push(b)).on('end', () => handle(request, response, Buffer.concat(parts).toString()));
  });
  servers.push(server);
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

async function refused(call: Promise<unknown>) {
  const error = await call.then(() => undefined, (e: unknown) => e);
  expect(error).toBeInstanceOf(ProblemError);
  return (error as ProblemError).problem;
}

const json = (response: ServerResponse, status: number, value: unknown, headers = {}) => response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(value));

describe('a REST call', () => {
  it('sends JSON, keeps the path of the base, and gives what was answered', async () => {
    const base = await serve((request, response, body) => json(response, 201, { method: request.method, url: request.url, body, type: request.headers['content-type'], own: request.headers['x-own'] }));
    const rest = new Rest(new URL('/konlog/', base), { requestMs: 5_000 });
    const answer = await rest.request('POST', '/v1/x?a=b', { body: { text: 'é' }, headers: { 'X-Own': '1' } });
    expect(answer).toEqual({ method: 'POST', url: '/konlog/v1/x?a=b', body: '{"text":"é"}', type: 'application/json', own: '1' });
  });

  it('never takes the token to another host', async () => {
    const seen: string[] = [];
    const fake = (async (url: string) => (seen.push(url), new Response('{}'))) as unknown as typeof fetch;
    const rest = new Rest(new URL('http://konlog.test/?x=1#y'), { auth: 'secret', fetch: fake, requestMs: 5_000 });
    for (const path of ['https://evil.test/', '//evil.test/', '@evil.test/', 'v1/x']) await rest.request('GET', path);
    expect(seen.map((url) => new URL(url).host)).toEqual(Array(4).fill('konlog.test'));
  });

  it('gives an answer without content as undefined', async () => {
    const rest = new Rest(await serve((_, response) => response.writeHead(204).end()), { requestMs: 5_000 });
    expect(await rest.request('DELETE', '/v1/x')).toBeUndefined();
  });

  it('rejects with the problem of the server, whole, and with Retry-After', async () => {
    const sent = { type: 't', title: 'Too many prompts wait', status: 429, code: 'too_many_prompts', detail: 'wait', instance: '/x', requestId: 'r', retryable: true, head: 7 };
    const rest = new Rest(await serve((_, response) => json(response, 429, sent, { 'Retry-After': '5' })), { requestMs: 5_000 });
    expect(await refused(rest.request('POST', '/v1/x'))).toEqual({ ...sent, retryAfter: 5 });
  });

  it('calls what a proxy says unreachable, and says whether it may pass', async () => {
    let status = 502;
    const rest = new Rest(await serve((_, response) => response.writeHead(status, { 'Content-Type': 'text/html' }).end('<h1>no</h1>')), { requestMs: 5_000 });
    const retryable: Record<number, boolean> = {};
    for (status of [502, 503, 404, 403, 429, 408, 200]) {
      const problem = await refused(rest.request('GET', '/v1/x'));
      expect(problem).toMatchObject({ code: 'unreachable', status });
      retryable[status] = problem.retryable;
    }
    expect(retryable, 'a page with 200 is that of a network that wants a login').toEqual({ 502: true, 503: true, 404: false, 403: false, 429: true, 408: true, 200: true });
  });

  it('is unreachable when nobody listens', async () => {
    const base = await serve(() => {});
    servers.splice(0).forEach((server) => server.close());
    const problem = await refused(new Rest(base, { requestMs: 5_000 }).request('GET', '/v1/x'));
    expect(problem).toMatchObject({ code: 'unreachable', status: 0, retryable: true });
  });

  it('ends at its deadline: before the head, within the body, and when auth hangs', async () => {
    let half = false;
    const base = await serve((_, response) => void (half && response.writeHead(200).write('{"a":')));
    const rest = new Rest(base, { requestMs: 60 });
    for (half of [false, true]) expect(await refused(rest.request('GET', '/v1/x'))).toMatchObject({ code: 'unreachable', status: 0, detail: 'GET /v1/x: no answer in 0.06 s' });
    const hangs = new Rest(base, { requestMs: 60, auth: () => new Promise(() => {}) });
    expect((await refused(hangs.request('GET', '/v1/x'))).detail).toContain('no answer in 0.06 s');
    expect((await refused(rest.request('GET', '/v1/x', { timeoutMs: 20 }))).detail).toContain('0.02 s');
  });

  it('that its caller aborts rejects with the reason given', async () => {
    const rest = new Rest(await serve(() => {}), { requestMs: 5_000 });
    const abort = new AbortController();
    const call = rest.request('GET', '/v1/x', { signal: abort.signal });
    abort.abort(new Error('left'));
    await expect(call).rejects.toThrow('left');
    await expect(rest.request('GET', '/v1/x', { signal: abort.signal })).rejects.toThrow('left');
  });
});

describe('auth', () => {
  const guarded = (good: () => string) => serve((request, response) => (request.headers.authorization === `Bearer ${good()}` ? json(response, 200, { ok: true }) : json(response, 401, { code: 'unauthorized', title: 'no', retryable: false, status: 401 })));

  it('that is a string is sent, and not tried twice', async () => {
    let calls = 0;
    const base = await guarded(() => (calls++, 'good'));
    expect(await new Rest(base, { auth: 'good', requestMs: 5_000 }).request('GET', '/')).toEqual({ ok: true });
    calls = 0;
    expect((await refused(new Rest(base, { auth: 'bad', requestMs: 5_000 }).request('GET', '/'))).status).toBe(401);
    expect(calls).toBe(1);
  });

  it('that is a function is asked once again after a 401, and kept until then', async () => {
    let good = 'one';
    let asked = 0;
    const rest = new Rest(await guarded(() => good), { auth: async () => (asked++, good), requestMs: 5_000 });
    await rest.request('GET', '/');
    await rest.request('GET', '/');
    expect(asked).toBe(1);
    good = 'two';
    expect(await Promise.all([1, 2, 3].map(() => rest.request('GET', '/')))).toEqual([{ ok: true }, { ok: true }, { ok: true }]);
    expect(asked).toBe(2);
  });

  it('that gives a token nobody takes is a refusal, not a loop', async () => {
    let asked = 0;
    const rest = new Rest(await guarded(() => 'good'), { auth: () => `bad ${asked++}`, requestMs: 5_000 });
    expect((await refused(rest.request('GET', '/'))).status).toBe(401);
    expect(asked).toBe(2);
  });

  it('that never answers is not waited for without end, and asked again by the next', async () => {
    let asked = 0;
    const auth = () => (asked++ ? Promise.resolve('good') : new Promise<string>(() => {}));
    const rest = new Rest(await guarded(() => 'good'), { auth, requestMs: 50 });
    expect(await refused(rest.token())).toMatchObject({ code: 'unreachable', retryable: true });
    expect(await rest.request('GET', '/', { timeoutMs: 5_000 })).toEqual({ ok: true });
  });

  it('that fails says why, and may be tried again', async () => {
    const rest = new Rest(await guarded(() => 'good'), { auth: () => Promise.reject(new Error('login is down')), requestMs: 5_000 });
    expect(await refused(rest.request('GET', '/'))).toMatchObject({ code: 'unreachable', retryable: true, detail: 'auth gave no token: login is down' });
  });
});

describe('against the real server', () => {
  it('an upload is stored once, and refusals have their codes', async () => {
    const server = await startServer();
    try {
      const rest = new Rest(new URL(server.url), { requestMs: 5_000 });
      const blob = await rest.request<Stored>('POST', '/v1/blobs', { body: new Blob(['hello'], { type: 'text/x-own' }) });
      expect(blob).toMatchObject({ sha256: '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824', bytes: 5, contentType: 'text/x-own' });
      expect(await (await fetch(server.url + blob.url)).text()).toBe('hello');
      expect((await refused(rest.request('GET', '/v1/sessions/none'))).code).toBe('session_not_found');
      expect((await refused(rest.request('POST', '/v1/sessions/none/stop', { body: {} }))).code).toBe('session_not_found');
    } finally {
      await server.close();
    }
  });
});
