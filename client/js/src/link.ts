// This tab's own connection: opens carriers, judges their failures, and keeps
// every reader supplied over whatever is left of the network.
import type { ConnectionState, Downgrade } from './api.js';
import { backoff } from './backoff.js';
import type { Environment, Signal } from './environment.js';
import { Ladder } from './ladder.js';
import type { Limits } from './limits.js';
import { Line, type LineEvents } from './line.js';
import { Readers } from './readers.js';
import type { Rest } from './rest.js';
import type { Reader, Source } from './source.js';
import { check, endingOf } from './transports/http.js';
import { later } from './transports/later.js';
import type { Credentials, Ending, Item, Net, Place, Transport } from './transports/transport.js';
import { ws } from './transports/ws.js';
import type { Problem, TransportName } from './types.js';

const carriers: Record<TransportName, Transport> = {
  ws,
  sse: later(() => import('./transports/sse.js').then((m) => m.sse), false),
  poll: later(() => import('./transports/poll.js').then((m) => m.poll), true),
};

/** Attaches of one session in a row that brought nothing new, before the carrier is taken for broken. */
const fruitlessMax = 3;
/** Milliseconds after a server said that it stops, in which a failure says nothing about the transport. */
const restartMs = 15_000;
/** The longest that a server is believed when it says "later". */
const laterMaxMs = 600_000;
/** Back-off of sessions that could not even be read apart, as an attempt. */
const apartAttempt = 4;
/** In the place of a session: look whether any is left. */
const nobody = '';

export interface LinkOptions {
  /** Without a slash at its end. */
  base: string;
  rest: Credentials & Pick<Rest, 'request'>;
  env: Environment;
  limits: Limits;
  transport?: 'auto' | TransportName;
  /** In the place of the real ones, for tests. */
  transports?: Record<TransportName, Transport>;
}

export class Link implements Source {
  #state: ConnectionState;
  readonly #listeners = new Set<(state: ConnectionState) => void>();
  readonly #net: Net;
  readonly #transports: Record<TransportName, Transport>;
  readonly #ladder: Ladder;
  readonly #readers: Readers;
  readonly #unlisten: () => void;
  #closed = false;

  #main: Line | undefined;
  /** Is to take over once it was heard: a better transport, or the same with other sessions. */
  #next: Line | undefined;
  #nextFailed: (ending: Ending) => void = () => {};
  /** Reads what the carrier cannot bring. */
  #side: Line | undefined;
  readonly #apart = new Set<string>();
  /** Of the steps that wait: those of an older turn do nothing. */
  #turn = 0;

  /** Sessions whose readers or places changed. */
  readonly #dirty = new Set<string>();
  /** The same, when the carrier that is being opened does not know of them. */
  readonly #later = new Set<string>();
  readonly #timers = new Map<'apply' | 'retry' | 'climb' | 'apart', () => void>();

  /** A line is not made yet, or the last one's failure is being looked into. */
  #opening = false;
  #judging = false;
  #attempt = 0;
  #failures = 0; // before hello, in a row, of the transport in use
  #fruitless = 0;
  #byeMs: number | undefined;
  #restartUntil = 0;
  #climbAt: number | undefined;

  constructor({ transport = 'auto', transports = carriers, ...net }: LinkOptions) {
    this.#net = net;
    this.#transports = transports;
    this.#readers = new Readers(net.rest);
    this.#ladder = new Ladder(net.env, net.limits, net.base, transport);
    this.#state = { phase: 'connecting', transport: this.#ladder.transport, attempt: 0 };
    this.#unlisten = net.env.onSignal((signal) => this.#signal(signal));
  }

  get state(): ConnectionState {
    return this.#state;
  }

  onState(listen: (state: ConnectionState) => void): () => void {
    this.#listeners.add(listen);
    return () => this.#listeners.delete(listen);
  }

  follow(reader: Reader): () => void {
    this.#readers.add(reader);
    this.#touch(reader.session);
    return () => {
      if (this.#readers.remove(reader)) this.#touch(reader.session);
    };
  }

  reconnect(): void {
    if (this.#main?.heard) this.#probe(true);
    else this.#connect();
  }

  deny(problem: Problem | undefined): boolean {
    if (this.#closed || problem?.status !== 401) return false;
    this.#drop();
    this.#set({ phase: 'unauthorized', problem });
    return true;
  }

  close(): void {
    if (this.#closed) return;
    this.#drop();
    this.#closed = true;
    this.#unlisten();
    this.#set({ phase: 'closed' });
    this.#listeners.clear();
  }

  /** What belongs to one phase is not taken on to the next. */
  #set(change: Partial<ConnectionState>): void {
    const state = { ...this.#state, retryAt: undefined, problem: undefined, ...change };
    if (JSON.stringify(state) === JSON.stringify(this.#state)) return;
    this.#state = state;
    for (const listen of this.#listeners) listen(state);
  }

  /** One timer of a kind: a new one takes the place of the old. */
  #after(kind: 'apply' | 'retry' | 'climb' | 'apart', ms: number, run: () => void): void {
    this.#timers.get(kind)?.();
    const cancel = this.#net.env.after(ms, () => {
      this.#timers.delete(kind);
      run();
    });
    this.#timers.set(kind, cancel);
  }

  // What is read.

  /** The readers of a session changed, or one has to attach again. Changes that come together are made together. */
  #touch(session: string): void {
    if (this.#closed) return;
    this.#dirty.add(session);
    if (!this.#timers.has('apply')) this.#after('apply', 0, () => this.#apply());
  }

  #apply(): void {
    const dirty = [...this.#dirty];
    this.#dirty.clear();
    const main = this.#main;
    if (this.#state.phase === 'unauthorized') return;
    if (!this.#readers.sessions.length) return this.#idle();
    if (!main && !this.#opening) {
      // What waits to connect reads all there is by then.
      if (!this.#timers.has('retry') && !this.#judging) this.#connect();
      return;
    }
    for (const session of dirty) {
      if (this.#apart.has(session)) void this.#change(main, session, (place) => this.#aside(session, place));
      else if (main?.carrier.change) void this.#change(main, session, (place) => this.#move(main, session, place));
      // A carrier that is being opened may have been told its sessions already.
      if (main?.carrier.change ? this.#next || this.#opening : !main?.heard) this.#later.add(session);
    }
    // Not for nobody: what is left may all be read apart, and one carrier after the other would have nothing to bring.
    if (main?.heard && !main.carrier.change && dirty.some((s) => s && !this.#apart.has(s))) this.#refresh();
  }

  /** Nobody reads: nothing is open. */
  #idle(): void {
    this.#drop();
    this.#set({ phase: 'connecting', transport: this.#ladder.transport, attempt: 0, trouble: undefined });
  }

  async #change(main: Line | undefined, session: string, set: (place: Place | undefined) => void): Promise<void> {
    const tails = main?.transport === 'ws' && !this.#apart.has(session);
    try {
      const place = await this.#readers.place(session, tails, true);
      if (this.#main === main || this.#apart.has(session)) set(place);
    } catch (e) {
      if (this.#main === main) this.#lose(endingOf(e));
    }
  }

  #move(main: Line, session: string, place: Place | undefined): void {
    main.carrier.change!(session, place);
    if (!place) return;
    main.sessions.add(session);
    if (main.carrier.ping) main.probe(false); // the server answers at once
  }

  /** Reads by requests of its own what the carrier cannot bring: the server does not push it, or could not read it just now. */
  #aside(session: string, place: Place | undefined): void {
    if (this.#side) return this.#side.carrier.change!(session, place);
    if (!place) return;
    const { env, limits } = this.#net;
    this.#side = new Line('poll', this.#transports.poll, this.#net, [place], {
      heard() {},
      jumped() {},
      items: (_, batch) => this.#deliver(batch, this.#apart),
      end: (_, { problem }) => {
        if (this.deny(problem)) return;
        this.#side = undefined;
        const all = [...this.#apart];
        this.#apart.clear();
        this.#after('apart', backoff(limits, apartAttempt, env.random), () => all.forEach((one) => this.#touch(one)));
      },
    });
  }

  #deliver(batch: readonly Item[], on: Set<string>): void {
    const { again, apart, fresh, bye } = this.#readers.deliver(batch, on);
    if (fresh) this.#attempt = this.#fruitless = 0;
    if (bye && !['error', 'unauthorized'].includes(bye.reason)) {
      this.#byeMs = bye.reconnectMs ?? 0;
      this.#restartUntil = this.#net.env.now() + restartMs;
    }
    for (const session of apart) {
      this.#apart.add(session);
      this.#touch(session);
    }
    for (const session of again) this.#touch(session);
    if (again.size && ++this.#fruitless > fruitlessMax) {
      this.#fruitless = 0;
      this.#lose({ kind: 'failed', detail: 'events are missing in what came' });
    }
    if (!this.#readers.sessions.length) this.#touch(nobody);
  }

  // Opening.

  /** Lets go of all that is open or waits. */
  #drop(): number {
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    this.#main?.close();
    this.#next?.close();
    this.#side?.close();
    this.#main = this.#next = this.#side = undefined;
    this.#apart.clear();
    this.#dirty.clear();
    this.#later.clear();
    this.#judging = this.#opening = false;
    return ++this.#turn;
  }

  #connect(): void {
    if (this.#closed) return;
    const turn = this.#drop();
    const { transport } = this.#ladder;
    this.#opening = true;
    this.#byeMs = undefined;
    this.#set({ phase: 'connecting', transport });
    const wanted = () => turn === this.#turn;
    this.#open(transport, true, wanted, (line) => (this.#main = line)).catch((e) => wanted() && this.#failed(transport, undefined, endingOf(e)));
  }

  /** Takes a line with all sessions, or none when there are none, unless that is no longer wanted by then. */
  async #open(transport: TransportName, fold: boolean, wanted: () => boolean, take: (line: Line | undefined) => void): Promise<void> {
    const sessions = this.#readers.sessions.filter((s) => !this.#apart.has(s));
    const tails = transport === 'ws' || sessions.length === 1;
    const places: Place[] = [];
    for (const session of sessions) {
      const place = await this.#readers.place(session, tails, fold);
      if (place) places.push(place);
    }
    // Taken at once: a carrier may fail before anybody who waits for a promise.
    if (!wanted()) return;
    this.#opening = false;
    take(places.length ? new Line(transport, this.#transports[transport], this.#net, places, this.#events) : undefined);
    if (!places.length) this.#touch(nobody);
  }

  /** Opens the line that takes over when it is heard. */
  #succeed(transport: TransportName, fold: boolean, failed: (ending: Ending) => void): void {
    this.#next?.close();
    this.#next = undefined;
    this.#nextFailed = failed;
    this.#opening = true;
    const turn = ++this.#turn;
    const main = this.#main;
    const wanted = () => turn === this.#turn && main === this.#main;
    this.#open(transport, fold, wanted, (line) => (this.#next = line)).catch((e) => {
      if (!wanted()) return;
      this.#opening = false;
      failed(endingOf(e));
    });
  }

  /** A new carrier of the same kind, for other sessions or because nobody knows whether this one lives. */
  #refresh(): void {
    const main = this.#main!;
    main.muted = true; // what it has from now on the new one brings too
    this.#succeed(main.transport, true, (ending) => this.#lose(ending));
  }

  readonly #events: LineEvents = {
    heard: (line) => this.#heard(line),
    items: (line, batch) => line === this.#main && this.#deliver(batch, line.sessions),
    end: (line, ending) => {
      if (line === this.#next) {
        this.#next = undefined;
        this.#nextFailed(ending);
      } else if (line === this.#main) this.#failed(line.transport, line, ending);
    },
    jumped: () => this.#probe(true),
  };

  #heard(line: Line): void {
    if (line === this.#next) {
      this.#main?.close();
      this.#next = undefined;
      this.#main = line;
    }
    this.#failures = 0;
    this.#ladder.works(line.transport);
    for (const session of this.#later) this.#touch(session);
    this.#later.clear();
    this.#climbLater();
    this.#set({ phase: 'live', transport: line.transport, attempt: 0, trouble: undefined, downgrade: this.#ladder.downgrade });
  }

  // Failing.

  /** The carrier in use is no good any more. */
  #lose(ending: Ending): void {
    const main = this.#main;
    main?.close();
    this.#failed(main?.transport ?? this.#ladder.transport, main, ending);
  }

  #failed(transport: TransportName, line: Line | undefined, ending: Ending): void {
    const turn = this.#drop();
    const { env, limits } = this.#net;
    if (!this.#readers.sessions.length) return this.#idle();
    if (line?.heard) {
      if (env.now() - line.heardAt > limits.helloMs) this.#attempt = 0; // it stood
      return this.#wait(ending);
    }
    if (!line) return this.#wait(ending); // there was no carrier to blame
    this.#judging = true;
    this.#set({ trouble: ending.detail });
    const judged = this.#judge(transport, ending).catch((e) => void (ending = endingOf(e)));
    void judged.then((reason) => {
      if (turn !== this.#turn) return;
      this.#judging = false;
      if (reason === undefined) return this.#wait(ending);
      this.#failures = 0;
      if (this.#ladder.down(reason)) return this.#connect();
      this.#ladder.level = 0; // not even the last resort works, so it is not the transports' fault
      this.#wait(ending);
    });
  }

  /** Whether the transport is to blame for a carrier that never said hello, and why. */
  async #judge(transport: TransportName, { kind }: Ending): Promise<Downgrade['reason'] | undefined> {
    if (kind === 'denied' || this.#net.env.now() < this.#restartUntil) return undefined;
    if (kind === 'refused' || kind === 'unsupported') return kind;
    // A browser does not say why there is no WebSocket. Plain requests that fail too mean that the server is away: then no transport is any better.
    const found = await check(this.#net);
    if (found === 'away') return undefined;
    if (found === 'refused' && transport === 'ws') return 'refused';
    if (kind === 'silent') return kind;
    return ++this.#failures >= this.#net.limits.failuresToStepDown ? 'failing' : undefined;
  }

  #wait({ detail, retryMs = 0, problem }: Ending): void {
    if (this.deny(problem)) return;
    const { env, limits } = this.#net;
    const told = this.#byeMs;
    this.#byeMs = undefined;
    // A server that stops says itself when to come back; that is no failure.
    const pause = backoff(limits, told === undefined ? this.#attempt++ : 0, env.random);
    const delay = Math.min(laterMaxMs, told ?? retryMs) + pause;
    this.#after('retry', delay, () => this.#connect());
    this.#set({ phase: env.offline() ? 'offline' : 'waiting', attempt: this.#attempt, retryAt: env.now() + delay, trouble: detail });
  }

  // Climbing, and doubts.

  #climbLater(): void {
    const { env, limits } = this.#net;
    if (!this.#ladder.level) this.#climbAt = undefined;
    // A moment and not a wait: a carrier that is cut again and again must not put it off.
    else this.#after('climb', Math.max(0, (this.#climbAt ??= env.now() + limits.climbMs) - env.now()), () => this.#climb(0));
  }

  /** Tries the better transports beside the one that works, best first. */
  #climb(level: number): void {
    if (!this.#main?.heard) return;
    this.#climbAt = undefined;
    if (this.#next || this.#opening || level >= this.#ladder.level) return this.#climbLater();
    // Not folded: the reader moves on meanwhile, and cannot take a run in half.
    this.#succeed(this.#ladder.order[level]!, false, () => this.#climb(level + 1));
  }

  #probe(force: boolean): void {
    const main = this.#main;
    if (!main?.heard) return;
    if (main.carrier.ping) main.probe(true);
    else if (force || this.#net.env.now() - main.lastAt > main.heartbeatMs) this.#refresh();
  }

  #signal(signal: Signal): void {
    if (this.#closed || this.#state.phase === 'unauthorized' || !this.#readers.sessions.length) return;
    if (this.#main?.heard) {
      if (signal === 'online') this.#climbAt = this.#net.env.now();
      this.#probe(signal !== 'wake');
      if (this.#main.carrier.ping) this.#climbLater();
    } else if (signal === 'online' || (signal === 'wake' && this.#timers.has('retry'))) {
      if (signal === 'online') this.#ladder.recall(); // another network, perhaps
      this.#attempt = 0;
      this.#connect();
    }
  }
}
