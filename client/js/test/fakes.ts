// A clock, a platform and carriers that do what a test says.
import type { Environment, Signal } from '../src/environment.js';
import { defaults, type Limits } from '../src/limits.js';
import { Link } from '../src/link.js';
import type { Reader } from '../src/source.js';
import type { Carrier, Ending, Item, Net, Place, Sink, Transport } from '../src/transports/transport.js';
import type { LogEvent, TransportName } from '../src/types.js';
import type { ConnectionState, SubscribeOptions } from '../src/api.js';

/** A clock that goes on only when told. */
export class Clock {
  time = 1_700_000_000_000;
  #timers: { at: number; run: () => void }[] = [];

  after = (ms: number, run: () => void) => {
    const timer = { at: this.time + ms, run };
    this.#timers.push(timer);
    return () => void (this.#timers = this.#timers.filter((t) => t !== timer));
  };

  get waiting(): number {
    return this.#timers.length;
  }

  /** Runs what is due within ms, in order, with everything that follows from it. */
  async go(ms: number): Promise<void> {
    const end = this.time + ms;
    for (;;) {
      await settle();
      const next = this.#timers.filter((t) => t.at <= end).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.#timers = this.#timers.filter((t) => t !== next);
      this.time = Math.max(this.time, next.at);
      next.run();
    }
    this.time = end;
    await settle();
  }

  /** The time goes on and no timer is called: the machine sleeps. */
  sleep(ms: number): void {
    this.time += ms;
  }
}

/** Lets everything run that only waits for promises. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 4; i++) await new Promise((done) => setImmediate(done));
}

export function memoryStorage(): NonNullable<Environment['storage']> & { all: Map<string, string> } {
  const all = new Map<string, string>();
  return { all, getItem: (k) => all.get(k) ?? null, setItem: (k, v) => void all.set(k, v), removeItem: (k) => void all.delete(k) };
}

/** A carrier as the test sees it. */
export interface FakeCarrier {
  transport: TransportName;
  places: Map<string, Place>;
  closed: boolean;
  pings: number;
  at: number;
  items(...batch: Item[]): void;
  hello(session?: string, change?: object): void;
  end(kind?: Ending['kind'], more?: Partial<Ending>): void;
}

export interface World {
  clock: Clock;
  link: Link;
  storage: ReturnType<typeof memoryStorage>;
  carriers: FakeCarrier[];
  /** The one opened last. */
  readonly last: FakeCarrier;
  states: ConnectionState[];
  signal(signal: Signal): void;
  offline: boolean;
  network: string;
  /** What /v1/ws answers to a plain request; undefined: nobody answers. */
  answer: { status: number; code?: string } | undefined;
  checks: number;
  /** What is asked by REST waits for this. */
  asked: Promise<void>;
  random: number;
  /** Carriers that said hello ping every 10 s. */
  pings: boolean;
  /** Opened carriers do this at once. */
  script: Partial<Record<TransportName, (carrier: FakeCarrier) => void>>;
}

interface WorldOptions {
  transport?: 'auto' | TransportName;
  limits?: Partial<Limits>;
  noWebSocket?: boolean;
  storage?: ReturnType<typeof memoryStorage>;
  network?: string;
}

export const helloOf = (session = 's', transport: string = 'websocket', change: object = {}): Item =>
  ({ type: 'hello', session, epoch: 'e1', floor: 1, head: 0, after: 0, through: 0, transport, heartbeatMs: 10_000, serverTime: '', status: { type: 'status', session, state: 'idle' }, questions: [], tasks: [], kontasks: [], ...change }) as unknown as Item;

export const eventOf = (id: number, session = 's', change: object = {}): LogEvent => ({ id, session, type: 'note', time: '', data: null, ...change }) as LogEvent;

export function world(options: WorldOptions = {}): World {
  const clock = new Clock();
  const storage = options.storage ?? memoryStorage();
  let listen: (signal: Signal) => void = () => {};
  const fetch = async () => {
    w.checks++;
    if (!w.answer) throw new TypeError('fetch failed');
    const { status, code } = w.answer;
    return new Response(code ? JSON.stringify({ code, detail: code }) : 'a page', { status, headers: status === 503 ? { 'Retry-After': '1' } : {} });
  };
  const env: Environment = {
    now: () => clock.time,
    random: () => w.random,
    after: clock.after,
    fetch: fetch as typeof globalThis.fetch,
    WebSocket: options.noWebSocket ? undefined : (class {} as unknown as typeof WebSocket),
    storage,
    network: () => w.network,
    offline: () => w.offline,
    onSignal(back) {
      listen = back;
      return () => (listen = () => {});
    },
  };
  const open =
    (transport: TransportName): Transport =>
    (_net: Net, places: readonly Place[], sink: Sink): Carrier => {
      const c: FakeCarrier = {
        transport,
        places: new Map(places.map((p) => [p.session, p])),
        closed: false,
        pings: 0,
        at: clock.time,
        items: (...batch) => c.closed || sink.items(batch),
        hello(session = 's', change = {}) {
          c.items(helloOf(session, transport, { after: c.places.get(session)?.after ?? 0, ...change }));
          if (w.pings) ping();
        },
        end: (kind = 'failed', more = {}) => c.closed || sink.end({ kind, detail: kind, ...more }),
      };
      const ping = () =>
        clock.after(10_000, () => {
          c.items({ type: 'ping', id: 0, serverTime: '' });
          if (!c.closed) ping();
        });
      w.carriers.push(c);
      const script = w.script[transport];
      if (script) queueMicrotask(() => script(c));
      const change = (session: string, place: Place | undefined) => {
        c.places.delete(session);
        if (place) c.places.set(session, place);
        if (place && script) queueMicrotask(() => c.hello(session));
      };
      const close = () => void (c.closed = true);
      return transport === 'sse' ? { close } : transport === 'poll' ? { close, change } : { close, change, ping: () => void c.pings++ };
    };
  const w: World = {
    clock, storage, carriers: [], states: [], offline: false, network: options.network ?? '', answer: { status: 426, code: 'upgrade_required' }, checks: 0,
    random: 0.5, pings: true, asked: Promise.resolve(), script: {}, link: undefined as unknown as Link,
    get last() {
      return w.carriers.at(-1)!;
    },
    signal: (s) => listen(s),
  };
  const rest = {
    token: async () => undefined,
    refuse: () => {},
    request: async () => (await w.asked, { head: 100, floor: 1 }) as never,
  };
  w.link = new Link({ base: 'http://h', rest, env, limits: { ...defaults, ...options.limits }, transport: options.transport, transports: { ws: open('ws'), sse: open('sse'), poll: open('poll') } });
  w.link.onState((s) => w.states.push(s));
  return w;
}

/** A reader that takes everything. */
export function reader(session = 's', at: SubscribeOptions = {}): Reader & { got: Item[]; at: SubscribeOptions; refuse: boolean } {
  const r = {
    session,
    at,
    refuse: false,
    got: [] as Item[],
    position: () => ({ ...r.at }),
    deliver(batch: readonly Item[]) {
      if (r.refuse) return false;
      r.got.push(...batch);
      for (const i of batch) if ('data' in i) r.at = { after: i.id };
      return true;
    },
  };
  return r;
}
