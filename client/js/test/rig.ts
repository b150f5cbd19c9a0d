// What the tests of the client share: the real konlog binary on a port of its
// own, and a proxy before it that breaks connections on purpose.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { WebSocket as NodeWebSocket } from 'ws';

/** A WebSocket for Node 20, which has none of its own. */
export const TestWebSocket = NodeWebSocket as unknown as typeof WebSocket;

const repository = fileURLToPath(new URL('../../../', import.meta.url));
const startMs = 20_000; // for the server to answer
const buildMs = 240_000;

let built: Promise<string> | undefined;

/** The path of the konlog binary: KONLOG_BIN, else built from this tree, once per process. */
export function binary(): Promise<string> {
  built ??= process.env['KONLOG_BIN'] ? Promise.resolve(process.env['KONLOG_BIN']) : build();
  return built;
}

/** One file per checkout, for test runners end their workers without a chance to clean up. */
async function build(): Promise<string> {
  const dir = path.join(tmpdir(), 'konlog-client-test-' + createHash('sha256').update(repository).digest('hex').slice(0, 8));
  await mkdir(dir, { recursive: true });
  const [out, own] = [path.join(dir, 'konlog'), path.join(dir, `konlog.${process.pid}`)];
  await promisify(execFile)('go', ['build', '-o', own, './cmd/konlog'], { cwd: repository, timeout: buildMs });
  await rename(own, out); // whoever runs the old one keeps it
  return out;
}

/** A port that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

export interface Draft {
  type: string;
  turn?: string;
  parent?: string;
  key?: string;
  data?: unknown;
}

export interface Server {
  readonly url: string;
  readonly port: number;
  /** Go with each call of this rig. */
  readonly headers: Record<string, string>;
  /** Appends, and returns the id of the last one. */
  append(session: string, events: Draft[]): Promise<number>;
  /** A REST call; rejects when it is refused. */
  call<T = unknown>(method: string, path: string, body?: unknown): Promise<T>;
  /** Ends the process as a power cut would. */
  kill(): Promise<void>;
  /** Starts it again on the same port and data, perhaps with other flags. */
  start(flags?: string[]): Promise<void>;
  /** Stops it in order. */
  stop(): Promise<void>;
  /** Kills it and removes its data. */
  close(): Promise<void>;
}

/** Starts the real server; `flags` such as ['--stream-heartbeat', '1s']. */
export async function startServer(flags: string[] = []): Promise<Server> {
  const bin = await binary();
  const port = await freePort();
  const dir = await mkdtemp(path.join(tmpdir(), 'konlog-client-'));
  const url = `http://127.0.0.1:${port}`;
  const headers: Record<string, string> = {};
  let child: ChildProcess | undefined;

  async function start(now = flags): Promise<void> {
    flags = now;
    let log = '';
    const it = spawn(bin, ['serve', '--addr', `127.0.0.1:${port}`, '--data', path.join(dir, 'data'), ...flags], { stdio: ['ignore', 'pipe', 'pipe'] });
    child = it;
    it.stdout.on('data', (b: Buffer) => (log = (log + b).slice(-4000)));
    it.stderr.on('data', (b: Buffer) => (log = (log + b).slice(-4000)));
    const until = Date.now() + startMs;
    for (;;) {
      const ok = await fetch(`${url}/readyz`).then((r) => r.ok, () => false);
      if (ok) return;
      if (it.exitCode !== null || Date.now() > until) throw new Error(`konlog did not start:\n${log}`);
      await sleep(20);
    }
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    const it = child;
    child = undefined;
    if (!it || it.exitCode !== null || it.signalCode !== null) return;
    const gone = once(it, 'exit');
    it.kill(signal);
    await gone;
  }

  async function call<T>(method: string, route: string, body?: unknown): Promise<T> {
    const init: RequestInit = { method, headers };
    if (body !== undefined) {
      init.body = JSON.stringify(body);
      init.headers = { ...headers, 'content-type': 'application/json' };
    }
    const answer = await fetch(url + route, init);
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${route}: ${answer.status} ${text}`);
    return (text ? JSON.parse(text) : undefined) as T;
  }

  await start();
  return {
    url,
    port,
    headers,
    call,
    start,
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
    append: async (session, events) => (await call<{ last: number }>('POST', `/v1/sessions/${session}/events`, events)).last,
    close: async () => {
      await end('SIGKILL');
      await rm(dir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** What the proxy does to one connection. Bytes are those of the server's answer. */
export interface Fault {
  /** Answers with this status itself. */
  status?: number;
  /** Takes the request and never answers. */
  hang?: boolean;
  /** Cuts after so many bytes. */
  cutAfter?: number;
  /** Passes nothing more after so many bytes, and keeps the connection open. */
  stallAfter?: number;
  /** Collects the answer, as proxies do that want its end first. */
  buffer?: boolean;
  /** Passes the answer in pieces of this many bytes. */
  pieces?: number;
}

export interface Seen {
  /** Path and query of the first request. */
  path: string;
  upgrade: boolean;
  /** From 0, over all connections. */
  n: number;
}

export interface Proxy {
  readonly url: string;
  readonly port: number;
  /** Every connection so far. */
  readonly seen: Seen[];
  /** Decides over each new connection; undefined lets it through. */
  rule: (seen: Seen) => Fault | undefined;
  /** Cuts all that are open. */
  cut(): void;
  /** All that are open stay so and pass nothing more. */
  stall(): void;
  /** No longer listens, as a network that is away; open ones are cut. */
  down(): Promise<void>;
  up(): Promise<void>;
  close(): Promise<void>;
}

/** A proxy on a port of its own. Requests but upgrades get a connection each, so that a fault hits what it is meant for. */
export async function startProxy(target: { port: number }, rule: Proxy['rule'] = () => undefined): Promise<Proxy> {
  const open = new Set<Pipe>();
  const seen: Seen[] = [];
  let server: net.Server | undefined;
  const port = await freePort();

  async function up(): Promise<void> {
    if (server) return;
    server = net.createServer((socket) => {
      const pipe = new Pipe(socket, target.port, (head) => {
        const it = { path: head.split(' ')[1] ?? '', upgrade: /^upgrade:/im.test(head), n: seen.length };
        seen.push(it);
        return proxy.rule(it);
      });
      open.add(pipe);
      pipe.onEnd = () => open.delete(pipe);
    });
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  }
  async function down(): Promise<void> {
    const it = server;
    server = undefined;
    for (const pipe of open) pipe.cut();
    if (!it) return;
    it.close();
    await once(it, 'close');
  }
  const proxy: Proxy = {
    url: `http://127.0.0.1:${port}`,
    port,
    seen,
    rule,
    up,
    down,
    close: down,
    cut: () => open.forEach((pipe) => pipe.cut()),
    stall: () => open.forEach((pipe) => (pipe.stalled = true)),
  };
  await up();
  return proxy;
}

/** One connection through the proxy. */
class Pipe {
  stalled = false;
  onEnd = () => {};
  private head = '';
  private up: net.Socket | undefined;
  private passed = 0;
  private held: Buffer[] = [];

  constructor(
    private readonly down: net.Socket,
    private readonly port: number,
    private readonly judge: (head: string) => Fault | undefined,
  ) {
    down.setNoDelay(true);
    down.on('data', (b) => this.request(b));
    down.on('error', () => this.cut());
    down.on('close', () => this.cut());
  }

  cut(): void {
    this.down.destroy();
    this.up?.destroy();
    this.onEnd();
  }

  private request(bytes: Buffer): void {
    if (this.up) {
      if (!this.stalled) this.up.write(bytes);
      return;
    }
    this.head += bytes.toString('latin1');
    const end = this.head.indexOf('\r\n\r\n');
    if (end < 0) return;
    const fault = this.judge(this.head.slice(0, end)) ?? {};
    if (fault.status) {
      this.down.end(`HTTP/1.1 ${fault.status} Refused\r\nContent-Length: 7\r\nConnection: close\r\n\r\nrefused`);
      return;
    }
    if (fault.hang) return;
    this.up = net.connect(this.port, '127.0.0.1');
    this.up.setNoDelay(true);
    this.up.on('error', () => this.cut());
    this.up.on('close', () => this.ended(fault));
    this.up.on('data', (b) => this.answer(b, fault));
    let head = this.head.slice(0, end);
    if (!/^upgrade:/im.test(head)) head = head.replace(/\r\nconnection:[^\r]*/i, '') + '\r\nConnection: close';
    this.up.write(Buffer.from(head + this.head.slice(end), 'latin1'));
  }

  private answer(bytes: Buffer, fault: Fault): void {
    if (fault.buffer) this.held.push(bytes);
    if (fault.buffer || this.stalled) return;
    const cut = fault.cutAfter === undefined ? Infinity : fault.cutAfter - this.passed;
    const stall = fault.stallAfter === undefined ? Infinity : fault.stallAfter - this.passed;
    const piece = bytes.subarray(0, Math.max(0, Math.min(bytes.length, cut, stall)));
    this.passed += piece.length;
    this.write(piece, fault.pieces ?? piece.length);
    if (stall <= bytes.length) this.stalled = true;
    else if (cut <= bytes.length) {
      this.up?.destroy();
      this.down.destroySoon(); // what was passed arrives before the cut
    }
  }

  private write(bytes: Buffer, size: number): void {
    for (let i = 0; i < bytes.length; i += size) this.down.write(bytes.subarray(i, i + size));
  }

  private ended(fault: Fault): void {
    if (fault.buffer) this.down.write(Buffer.concat(this.held));
    if (!this.stalled) this.down.destroySoon();
    this.onEnd();
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}

/** Waits until the condition holds, else fails with what it is about. */
export async function until(what: string, condition: () => boolean | Promise<boolean>, ms = 15_000): Promise<void> {
  const end = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await sleep(5);
  }
}

/** Random numbers that come again with the same seed. */
export function random(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
