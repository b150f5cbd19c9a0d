// The rig of the browser tests: the real binary on a real directory, a real
// browser, and pages that are watched for whatever they must not do.

import { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { chromium } from 'playwright-core';

/** The top of the source tree. */
export const root = path.resolve(path.dirname(new URL(import.meta.url).pathname), '..');
/** Milliseconds: a server that starts is ready by then. */
export const readyWithin = 30_000;
/** Milliseconds: a page has all there is by then, after the last append or the last fault. */
export const levelWithin = 60_000;

/** Makes the binary, one for all tests of a file; KONLOG_BINARY names one that is there. */
export function buildBinary(folder) {
  if (process.env.KONLOG_BINARY) return process.env.KONLOG_BINARY;
  const binary = path.join(folder, 'konlog');
  execFileSync('go', ['build', '-o', binary, './cmd/konlog'], { cwd: root, stdio: 'inherit' });
  return binary;
}

/** Debian's headless Chromium, or what CHROMIUM names. The back-forward cache is on, as it is for people. */
export function launchBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium-headless-shell',
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
    ignoreDefaultArgs: ['--disable-back-forward-cache'],
  });
}

/** A port that nobody listens on. */
export async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}

/** The real binary on one port and one data directory, over restarts. `headers` go with each call. */
export class Server {
  constructor(binary, port, data, flags = []) {
    Object.assign(this, { binary, port, data, url: `http://127.0.0.1:${port}`, child: undefined, log: '', headers: {} });
    this.args = ['serve', '--addr', `127.0.0.1:${port}`, '--data', data, ...flags];
  }

  async start() {
    this.log = '';
    this.child = spawn(this.binary, this.args, { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const out of [this.child.stdout, this.child.stderr]) out.on('data', (d) => (this.log += d));
    const end = Date.now() + readyWithin;
    for (;;) {
      try {
        if ((await fetch(this.url + '/readyz')).ok) return;
      } catch {}
      if (this.child.exitCode !== null || Date.now() > end) throw new Error('the server does not start:\n' + this.log);
      await pause(20);
    }
  }

  async stop(signal = 'SIGTERM') {
    if (!this.child || this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exit = once(this.child, 'exit');
    this.child.kill(signal);
    await exit;
  }

  /** kill -9, and up again on the same port. */
  async crash() {
    await this.stop('SIGKILL');
    await this.start();
  }

  /** A REST call; what is no success is thrown with the server's words. */
  async call(route, body, method = body === undefined ? 'GET' : 'POST') {
    const { headers } = this;
    const json = body !== undefined && { headers: { ...headers, 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
    return settle(await fetch(this.url + route, { method, headers, ...json }), `${method} ${route}`);
  }

  /** A POST of lines of JSON. */
  async lines(route, lines) {
    const body = lines.map((line) => JSON.stringify(line)).join('\n');
    return settle(await fetch(this.url + route, { method: 'POST', headers: { ...this.headers, 'Content-Type': 'application/x-ndjson' }, body }), `POST ${route}`);
  }

  /** Every event of a session, by REST. */
  async events(session) {
    const all = [];
    for (let next = 0; ; ) {
      const page = await this.call(`/v1/sessions/${session}/events?after=${next}&limit=10000`);
      all.push(...page.events);
      next = page.next;
      if (page.caughtUp) return all;
    }
  }
}

async function settle(answer, what) {
  const said = answer.status === 204 ? undefined : await answer.json();
  if (!answer.ok) throw Object.assign(new Error(`${what}: ${answer.status} ${JSON.stringify(said)}`), { problem: said });
  return said;
}

/**
 * Has the binary and the browser made before the tests of a file and put away
 * after them; gives what makes servers, contexts and pages for one test.
 * `prepare` makes what else the tests of the file need.
 */
export function useRig({ prepare } = {}) {
  const rig = new Rig();
  before(async () => {
    rig.work = await mkdtemp(path.join(tmpdir(), 'konlog-e2e-'));
    rig.binary = buildBinary(rig.work);
    rig.browser = await launchBrowser();
    await prepare?.(rig);
  });
  after(async () => {
    await rig.browser?.close();
    if (rig.work) await rm(rig.work, { recursive: true, force: true });
  });
  return rig;
}

class Rig {
  async server(t, ...flags) {
    const server = new Server(this.binary, await freePort(), await mkdtemp(path.join(this.work, 'data-')), flags);
    t.after(() => server.stop('SIGKILL'));
    await server.start();
    return server;
  }

  /** A browser of its own: cookies, storage, locks, channels. What its pages do wrong is in `wrongs`. */
  async device(t, options = {}) {
    const context = await this.browser.newContext(options);
    t.after(() => context.close());
    return new Device(context).watch();
  }

  /** A page on a device of its own. */
  async page(t, url, options) {
    return (await this.device(t, options)).open(url);
  }
}

/** What pages of a console may never do, told as it happens. */
export class Device {
  constructor(context) {
    Object.assign(this, { context, wrongs: [], foreign: [] });
    context.on('weberror', (e) => this.wrongs.push('an error: ' + (e.error().stack ?? e.error())));
    context.on('dialog', (d) => {
      this.wrongs.push('a dialog: ' + d.message());
      d.dismiss().catch(() => {});
    });
    context.on('request', (r) => {
      if (/^(https?|wss?):/.test(r.url()) && !/^(https?|wss?):\/\/127\.0\.0\.1:/.test(r.url())) this.foreign.push(r.url());
    });
  }

  /** Has breaches of the console's own policy told. A card in a frame may try what it likes: it is stopped there. */
  async watch() {
    await this.context.exposeBinding('konlogBreach', ({ frame }, what) => {
      if (frame.parentFrame() === null) this.wrongs.push('a breach of the policy: ' + what);
    });
    await this.context.addInitScript(() => {
      addEventListener('securitypolicyviolation', (e) => window.konlogBreach?.(`${e.violatedDirective} ${e.blockedURI} at ${e.sourceFile}:${e.lineNumber} ${e.sample}`));
    });
    return this;
  }

  async open(url) {
    const page = await this.context.newPage();
    await page.goto(url);
    return page;
  }

  /** Throws what went wrong so far. */
  check(what = 'the page') {
    assert.deepEqual(this.wrongs, [], `${what} did what it must not`);
    assert.deepEqual(this.foreign, [], `${what} asked somebody else`);
  }
}

/** Asks until the answer is true, or throws with the last words. */
export async function until(ask, what, within = levelWithin) {
  const end = Date.now() + within;
  for (let last; ; ) {
    try {
      last = await ask();
      if (last === true) return;
    } catch (err) {
      last = err;
    }
    if (Date.now() > end) throw new Error(`${what} did not come about in ${within} ms: ${last instanceof Error ? last.message : JSON.stringify(last)}`);
    await pause(25);
  }
}

/** Streams that the server serves now, of all transports. */
export async function connections(server) {
  return Object.values((await server.call('/health/realtime')).connections).reduce((a, b) => a + b, 0);
}

/** The address of a place in the console: of a session, or of one of its views. */
export const at = (base, session, view = '', query = '') => `${base}/${query && '?' + query}#/s/${encodeURIComponent(session)}${view && '/' + view}`;
