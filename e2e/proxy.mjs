// A proxy that does to a console what networks do: refuses upgrades, holds
// streams back, cuts, stalls, and is not there. It knows HTTP, so that it can
// tell a WebSocket from an event stream from a poll.

import { createServer, request as ask } from 'node:http';
import { once } from 'node:events';
import { Transform } from 'node:stream';

/** Bytes that `buffer` gathers before it lets them on, as a proxy with one small buffer does. */
export const bufferBytes = 256 * 1024;

/** What can be done to each way of reading. */
export const faults = {
  ws: ['pass', 'refuse', 'hang', 'drop'], // drop: the next one ends without an answer
  sse: ['pass', 'refuse', 'hang', 'buffer'],
  poll: ['pass', 'refuse'],
  api: ['pass', 'refuse', 'lose'], // lose: a prompt arrives, and nobody hears that it did; other commands pass, since those of a session go in order
};

/** One proxy before one server. Set `ws`, `sse`, `poll`, `api`, `status`; call cut, stall, offline. */
export class Proxy {
  ws = 'pass';
  sse = 'pass';
  poll = 'pass';
  api = 'pass';
  /** What `refuse` answers. */
  status = { ws: 403, sse: 502, poll: 502, api: 502 };
  /** Requests seen, by kind. */
  seen = { ws: 0, sse: 0, poll: 0, api: 0, page: 0 };
  /** Streams that stand now, by kind. */
  open = { ws: 0, sse: 0, poll: 0, api: 0, page: 0 };
  /** Answers of the proxy's own, by path: {type, body}. For pages of the tests. */
  pages = new Map();
  /** Bytes after which an answer or a tunnel is cut; asked for each. */
  budget = () => Infinity;
  /** Every request as "kind METHOD url", for messages; the newest last. */
  log = [];

  #sockets = new Set();
  #gates = new Set();
  #stalled = false;
  #offline = false;

  constructor(target) {
    this.target = new URL(target);
  }

  async start() {
    this.server = createServer((request, answer) => this.#request(request, answer));
    this.server.keepAliveTimeout = 30_000;
    this.server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    this.server.on('connection', (socket) => {
      if (this.#offline) return socket.destroy();
      this.#hold(socket);
    });
    this.server.on('clientError', (_, socket) => socket.destroy());
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    this.url = `http://127.0.0.1:${this.server.address().port}`;
    return this;
  }

  async close() {
    this.server.close();
    this.cut();
    this.server.closeAllConnections();
  }

  /** Ends every connection now, without a word. */
  cut() {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Holds back every byte, both ways, until called with false; connections stand. */
  stall(on = true) {
    this.#stalled = on;
    if (!on) for (const gate of this.#gates) gate.release();
  }

  /** Nobody is there: connections end, and new ones do not come about. */
  offline(on = true) {
    this.#offline = on;
    if (on) this.cut();
  }

  /** Lets everything through again. */
  heal() {
    this.ws = this.sse = this.poll = this.api = 'pass';
    this.offline(false);
    this.stall(false);
  }

  #hold(socket) {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
  }

  #note(kind, request) {
    this.seen[kind]++;
    this.log.push(`${kind} ${request.method} ${request.url}`);
    if (this.log.length > 500) this.log.shift();
  }

  #gate(bytes = Infinity) {
    const gate = new Gate(() => this.#stalled, bytes);
    this.#gates.add(gate);
    gate.on('close', () => this.#gates.delete(gate));
    return gate;
  }

  #forward(request) {
    return ask({
      host: this.target.hostname,
      port: this.target.port,
      method: request.method,
      path: request.url,
      headers: request.headers,
      agent: false, // a kept connection to a server that was killed would blame the proxy
    });
  }

  #request(request, answer) {
    const kind = kindOf(request);
    this.#note(kind, request);
    const own = this.pages.get(request.url.split('?')[0]);
    if (own) return answer.writeHead(200, { 'Content-Type': own.type }).end(own.body);
    if (this[kind] === 'refuse') return refuse(request, answer, this.status[kind]);
    if (this[kind] === 'hang') return request.resume();
    this.open[kind]++;
    const upstream = this.#forward(request);
    const gates = [this.#gate(), this.#gate(kind === 'page' ? Infinity : this.budget())];
    gates[1].on('spent', () => answer.destroy());
    answer.on('close', () => {
      this.open[kind]--;
      upstream.destroy();
      for (const gate of gates) gate.destroy();
    });
    upstream.on('error', () => (answer.headersSent ? answer.destroy() : refuse(request, answer, 502)));
    upstream.on('response', (came) => {
      if (this[kind] === 'lose' && /\/prompts$/.test(request.url)) return answer.destroy();
      const begin = () => !answer.headersSent && answer.writeHead(came.statusCode, came.statusMessage, came.rawHeaders);
      const held = kind === 'sse' && this.sse === 'buffer' ? new Buffered(bufferBytes) : undefined;
      // A proxy that buffers keeps the header too until it has something to send.
      if (held) {
        held.once('data', begin);
        came.once('end', begin);
      } else {
        begin();
        answer.flushHeaders();
      }
      came.on('error', () => answer.destroy());
      (held ? came.pipe(held) : came).pipe(gates[1]).pipe(answer);
    });
    request.pipe(gates[0]).pipe(upstream);
    gates[0].on('error', () => {});
    gates[1].on('error', () => {});
  }

  #upgrade(request, socket, head) {
    this.#note('ws', request);
    if (this.ws === 'hang') return;
    if (this.ws === 'drop') {
      this.ws = 'pass';
      return socket.destroy();
    }
    if (this.ws === 'refuse') {
      socket.end(`HTTP/1.1 ${this.status.ws} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
      return;
    }
    const upstream = this.#forward(request);
    upstream.on('error', () => socket.destroy());
    upstream.on('response', (came) => {
      // The server said no in plain HTTP.
      socket.write(headOf(came));
      came.pipe(socket);
    });
    upstream.on('upgrade', (came, other, rest) => {
      this.#hold(other);
      this.open.ws++;
      socket.once('close', () => this.open.ws--);
      socket.write(headOf(came));
      if (rest.length) socket.write(rest);
      if (head.length) other.write(head);
      const back = this.#gate(this.budget());
      back.on('spent', () => socket.destroy());
      other.pipe(back).pipe(socket);
      socket.pipe(this.#gate()).pipe(other);
      socket.on('close', () => other.destroy());
      other.on('close', () => socket.destroy());
    });
    socket.on('close', () => upstream.destroy());
    upstream.end();
  }
}

/** A proxy that is put away after the test. */
export async function startProxy(t, target) {
  const proxy = await new Proxy(target).start();
  t.after(() => proxy.close());
  return proxy;
}

/** Which way of reading a request is. */
function kindOf(request) {
  const { pathname, searchParams } = new URL(request.url, 'http://x');
  if (/\/sse$/.test(pathname) || /event-stream/.test(request.headers.accept ?? '')) return 'sse';
  if (/\/poll$/.test(pathname) || (/\/events$/.test(pathname) && searchParams.has('wait'))) return 'poll';
  return /^\/(v1|api)\//.test(pathname) ? 'api' : 'page';
}

function refuse(request, answer, status) {
  request.resume();
  answer.writeHead(status, { 'Content-Type': 'text/html' });
  answer.end('<h1>No</h1>');
}

function headOf(came) {
  let head = `HTTP/1.1 ${came.statusCode} ${came.statusMessage}\r\n`;
  for (let i = 0; i < came.rawHeaders.length; i += 2) head += `${came.rawHeaders[i]}: ${came.rawHeaders[i + 1]}\r\n`;
  return head + '\r\n';
}

// Gate lets bytes through unless the proxy is stalled, and keeps their order.
// When its budget is spent it says so, in the middle of whatever was said.
class Gate extends Transform {
  #shut;
  #left;
  #waiting;

  constructor(shut, bytes) {
    super();
    this.#shut = shut;
    this.#left = bytes;
  }

  _transform(chunk, _, done) {
    const go = () => {
      this.#left -= chunk.length;
      if (this.#left > 0) return done(null, chunk);
      done(null, chunk.subarray(0, Math.max(0, chunk.length + this.#left)));
      setImmediate(() => this.emit('spent'));
    };
    if (this.#shut()) this.#waiting = go;
    else go();
  }

  release() {
    const go = this.#waiting;
    this.#waiting = undefined;
    go?.();
  }
}

// Buffered gathers bytes and lets them on when it is full, or at the end.
class Buffered extends Transform {
  #size;
  #held = [];
  #bytes = 0;

  constructor(size) {
    super();
    this.#size = size;
  }

  _transform(chunk, _, done) {
    this.#held.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes < this.#size) return done();
    this._flush(done);
  }

  _flush(done) {
    const all = Buffer.concat(this.#held);
    this.#held = [];
    this.#bytes = 0;
    done(null, all);
  }
}
