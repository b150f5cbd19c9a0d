import { ProblemError, type Command, type Connection, type ConnectionState, type ConnectOptions, type Downgrade, type Message, type Pending, type Subscription, type SubscribeOptions } from './api.js';
import { platform, type Environment } from './environment.js';
import type { Feed } from './feed.js';
import { defaults, type Limits } from './limits.js';
import { Link } from './link.js';
import type { Outbox } from './outbox.js';
import type { RequestOptions, Rest } from './rest.js';
import type { Reader, Source } from './source.js';
import { Followed, iterate, listen, problemOf, tell } from './subscription.js';
import type { Ack, Blob as Stored, Draft, LogEvent, Me, Problem } from './types.js';

const sessionForm = /^\w[\w.:-]{0,127}$/;

/** Connects to a server. Nothing is read before a session is asked for. */
export function connect(options: ConnectOptions = {}): Connection {
  return new Connected(options, platform(options));
}

/** A part that reading can do without is loaded when it is first asked for; a load that failed is tried again by the next who asks. */
function once<T>(load: () => Promise<T>): () => Promise<T> {
  let loaded: Promise<T> | undefined;
  return () =>
    (loaded ??= load().catch((e) => {
      loaded = undefined;
      throw new ProblemError(problemOf({ code: 'unreachable', detail: `the client did not load: ${e}`, retryable: true }));
    }));
}

class Connected extends EventTarget implements Connection {
  readonly url: URL;
  readonly #limits: Limits;
  readonly #rest: () => Promise<Rest>;
  readonly #box: () => Promise<Outbox>;
  #outbox: Outbox | undefined;
  #source: Source | undefined;
  readonly #sourced: Promise<Source>;
  readonly #sessions = new Set<Followed>();
  /** Of several readers of a session one speaks for the connection, so that nothing is heard twice. */
  readonly #voices = new Map<string, Followed>();
  readonly #feeds = new Set<Feed>();
  #state: ConnectionState;
  #closed = false;

  constructor(options: ConnectOptions, env: Environment) {
    super();
    const { transport = 'auto', auth } = options;
    if (transport === 'ws' && !env.WebSocket) throw new Error('no WebSocket here: pass one, or another transport');
    const url = (this.url = address(options.url));
    const limits = (this.#limits = { ...defaults, ...options.limits });
    const base = url.origin + url.pathname.replace(/\/+$/, '');
    this.#state = { phase: 'connecting', transport: transport === 'auto' ? 'ws' : transport, attempt: 0 };
    this.#rest = once(async () => {
      const { Rest } = await import('./rest.js');
      const denied = (problem: Problem) => void this.#sourced.then((source) => source.deny(problem));
      return new Rest(url, { auth, fetch: options.fetch, requestMs: limits.requestMs, denied });
    });
    const store = options.outbox ?? (globalThis.indexedDB ? 'indexeddb' : 'memory');
    this.#box = once(async () => {
      const { Outbox } = await import('./outbox.js');
      const box = (this.#outbox = new Outbox({ rest: await this.#rest(), limits, store, scope: base, named: true }));
      if (this.#closed) box.close();
      listen(box, 'pending', () => tell(this, 'pending', this.pending));
      if (this.#state.phase === 'live') box.flush();
      return box;
    });
    if (store === 'indexeddb') this.#box().catch(() => {}); // something may wait there since the last visit
    const token = async (ticket?: true) => (auth ? (await this.#rest()).token(ticket) : undefined);
    const rest = { token, request: this.request };
    const link = (): Source => new Link({ base, rest, env, limits, transport });
    // Tabs belong together when they read the same in the same way, as the same user. In Node there are none.
    const { share: name = !auth && !!(globalThis.document && globalThis.navigator.locks && globalThis.BroadcastChannel) } = options;
    if (name) {
      const shared = import('./share.js').then(({ share }) => share(`${base} ${transport} ${name}`, link), link);
      this.#sourced = shared.then((source) => this.#take(source));
    } else this.#sourced = Promise.resolve(this.#take(link()));
    if (options.session) this.session(options.session, { after: options.after });
  }

  get state(): ConnectionState {
    return this.#state;
  }

  #take(source: Source): Source {
    this.#source = source;
    if (this.#closed) source.close();
    else {
      this.#changed(source.state);
      source.onState((state) => this.#changed(state));
    }
    return source;
  }

  #changed(state: ConnectionState): void {
    const { downgrade: before, phase } = this.#state;
    this.#state = state;
    tell(this, 'state', state);
    if (state.phase === 'live' && phase !== 'live') {
      this.#outbox?.flush();
      // When they are needed the network is no good, and what failed to load may not be tried again by a browser.
      void Promise.all([import('./transports/sse.js'), import('./transports/poll.js')]).catch(() => {});
    }
    const { downgrade } = state;
    if (downgrade?.to === before?.to) return;
    if (downgrade && (!before || downgrade.to === 'poll')) tell(this, 'downgrade', downgrade satisfies Downgrade);
    else tell(this, 'upgrade', state.transport);
  }

  readonly #follow = (reader: Reader): (() => void) => {
    if (this.#source) return this.#source.follow(reader);
    let stop: (() => void) | undefined = () => {};
    void this.#sourced.then((source) => stop &&= source.follow(reader));
    return () => {
      stop?.();
      stop = undefined;
    };
  };

  session(id: string, options: SubscribeOptions = {}): Subscription {
    if (!sessionForm.test(id)) throw new Error(`${id} is no session id: letters, digits, . _ : and -, at most 128`);
    // The server's refusal could not say which session it is about.
    if (![options.after, options.tail].every((n = 0) => Number.isSafeInteger(n) && n >= 0)) throw new Error('after and tail are whole numbers from 0');
    if (this.#closed) throw new Error('the connection is closed');
    const one = new Followed(this.#follow, id, options, this.#limits.iteratorMax);
    if (!this.#voices.has(id)) {
      this.#speak(one);
      for (const feed of this.#feeds) feed.add(id, options, false);
    }
    this.#sessions.add(one);
    listen(one, 'close', () => this.#left(one));
    return one;
  }

  #speak(one: Followed): void {
    this.#voices.set(one.session, one);
    one.onMessage((message) => tell(this, 'message', message));
  }

  #left(one: Followed): void {
    const { session } = one;
    const voice = this.#voices.get(session)!;
    this.#sessions.delete(one);
    if (![...this.#sessions].some((other) => other.session === session)) {
      this.#voices.delete(session);
      if (voice !== one) voice.close();
      for (const feed of this.#feeds) feed.remove(session);
    } // The others have cursors of their own, so one of them cannot go on for it.
    else if (voice === one) this.#speak(new Followed(this.#follow, session, one.position(), 0));
  }

  onMessage(back: (message: Message) => void): () => void {
    return listen(this, 'message', back);
  }

  [Symbol.asyncIterator](): AsyncGenerator<LogEvent> {
    // From here on, though what reads has to be loaded first.
    const at = new Map([...this.#sessions].map((one) => [one, one.position()]));
    return iterate(this.#follow, this.#limits.iteratorMax, this.#feeds, (feed) => {
      // Of several readers of a session it takes the first.
      for (const one of this.#sessions) feed.add(one.session, at.get(one) ?? one.options, false);
      if (this.#closed) feed.end();
    });
  }

  async send(command: Command): Promise<Ack> {
    return (await this.#box()).add(command);
  }

  get pending(): readonly Pending[] {
    return this.#outbox?.pending ?? [];
  }

  retryPending(key: string): void {
    this.#outbox?.retry(key);
  }

  dropPending(key: string): void {
    this.#outbox?.drop(key);
  }

  readonly request = async <T>(method: string, path: string, options?: RequestOptions): Promise<T> => (await this.#rest()).request<T>(method, path, options);

  append(session: string, events: Draft[]): Promise<{ first: number; last: number; duplicate: boolean }> {
    return this.request('POST', `/v1/sessions/${session}/events`, { body: events });
  }

  get<T>(path: string, options?: RequestOptions): Promise<T> {
    return this.request('GET', path, options);
  }

  upload(content: globalThis.Blob): Promise<Stored> {
    return this.request('POST', '/v1/blobs', { body: content });
  }

  me(): Promise<Me> {
    return this.get('/v1/me');
  }

  reconnect(): void {
    this.#source?.reconnect();
    this.#outbox?.flush();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const one of [...this.#sessions]) one.close();
    for (const feed of this.#feeds) feed.end();
    this.#source?.close();
    this.#outbox?.close();
    if (this.#state.phase !== 'closed') this.#changed({ ...this.#state, phase: 'closed' });
  }
}

function address(url: string | URL | undefined): URL {
  const here = globalThis.location?.href;
  if (!url && !here?.startsWith('http')) throw new Error('name the server: connect({ url })');
  return new URL(url ?? new URL(here!).origin, here);
}
