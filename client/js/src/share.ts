// One connection per browser. The tab that has the lock leads: it opens the
// connection and reads on it for the others, which tell it over a channel what
// they read and where they are. Nobody trusts the channel: a reader checks by
// its cursor what it is given, and whoever is in doubt reads again from there.
import type { ConnectionState, SubscribeOptions } from './api.js';
import { hold, platformLocks, type Locks } from './lock.js';
import type { Reader, Source } from './source.js';
import type { Frame, LogEvent, Problem } from './types.js';

/** Followers look this often whether the leader answers. */
export const beatMs = 1_500;
/** Answers that may fail to come before a visible tab takes over from a leader that is frozen. */
export const missedMax = 3;
/** Beats without a word after which a follower is gone. Hidden tabs have their timers slowed to one a minute. */
export const goneBeats = 200;
/** Characters that a follower may be behind; then it reads again once it is level. It bounds what waits for a frozen tab. */
export const windowMax = 16 << 20;
/** Events and frames of one message. */
export const itemsMax = 500;

/** Pages of another version say other things, so they have a channel and a leader of their own. */
const version = 2;

type Items = readonly (LogEvent | Frame)[];

/** Of a follower. `here` asks for a `lead`; all say how much was taken since the last one. */
interface Word {
  t: 'here' | 'bye' | 'retry' | 'deny' | 'stop' | 'read';
  tab: string;
  took: number;
  address: string;
  session: string;
  at: SubscribeOptions;
  /** Of deny. */
  problem?: Problem | undefined;
}

/** Of the leader. `to`: that tab is not known, it is to say what it reads. */
interface Lead {
  t: 'lead';
  lead: string;
  term: number;
  state: ConnectionState;
  to?: string;
}

interface Batch {
  t: 'batch';
  to: string[];
  json: string;
}

type Message = Word | Lead | Batch;

/** The part of BroadcastChannel that is used. */
export type Channel = Pick<BroadcastChannel, 'onmessage' | 'postMessage' | 'close'>;

/** The platform, as tests replace it. */
export interface ShareEnv {
  locks: Locks | undefined;
  channel(name: string): Channel;
  visible(): boolean;
  every(ms: number, run: () => void): () => void;
}

const platform: ShareEnv = {
  locks: platformLocks(),
  channel: (name) => new BroadcastChannel(name),
  visible: () => globalThis.document?.visibilityState !== 'hidden',
  every: (ms, run) => {
    const timer = setInterval(run, ms);
    return () => clearInterval(timer);
  },
};

/** A source that is shared by the tabs that give the same name; where the platform cannot do that, this tab's own. */
export function share(name: string, open: () => Source, env: ShareEnv = platform): Source {
  if (!env.locks) return open();
  const full = `konlog:${version}:${name}`;
  let channel;
  try {
    channel = env.channel(full);
  } catch {
    return open();
  }
  return new Shared(full, open, channel, env.locks, env);
}

/** A reader of this tab. */
interface Local {
  reader: Reader;
  /** Where the leader sends what it reads for it; '' while it does not. */
  address: string;
  stop?: () => void;
  /** What came did not fit, twice: it waits for the next beat. */
  holes: number;
}

/** A follower, as the leader sees it. */
interface Tab {
  /** Characters that it was sent and has not taken. */
  owed: number;
  idle: number;
  reads: Map<string, () => void>;
}

const id = () => Math.random().toString(36).slice(2) + Date.now().toString(36);

class Shared implements Source {
  readonly #tab = id();
  #state: ConnectionState = { phase: 'connecting', transport: 'ws', attempt: 0, shared: true };
  readonly #listeners = new Set<(state: ConnectionState) => void>();
  readonly #locals = new Set<Local>();
  #closed = false;
  #release = () => {};
  readonly #stopBeat: () => void;
  // Of a follower.
  #lead = '';
  #term = 0;
  #joined = false;
  #missed = 0;
  #took = 0;
  #reads = 0;
  // Of the leader.
  #source: Source | undefined;
  #unlisten = () => {};
  readonly #tabs = new Map<string, Tab>();
  #out: { batch: Items; json: string[]; to: string[] } | undefined;

  constructor(readonly name: string, readonly open: () => Source, readonly channel: Channel, readonly locks: Locks, readonly env: ShareEnv) {
    channel.onmessage = ({ data }) => this.#closed || this.#hear(data ?? {});
    this.#stopBeat = env.every(beatMs, () => this.#beat());
    this.#compete(false);
    this.#join();
  }

  get state(): ConnectionState {
    return this.#state;
  }

  onState(listen: (state: ConnectionState) => void): () => void {
    this.#listeners.add(listen);
    return () => this.#listeners.delete(listen);
  }

  follow(reader: Reader): () => void {
    const local: Local = { reader, address: '', holes: 0 };
    this.#locals.add(local);
    this.#attach(local);
    return () => {
      this.#locals.delete(local);
      this.#detach(local);
    };
  }

  reconnect(): void {
    if (this.#source) this.#source.reconnect();
    else this.#say('retry');
  }

  deny(problem: Problem): void {
    if (this.#source) this.#source.deny(problem);
    else this.#say('deny', '', '', {}, problem);
  }

  close(): void {
    if (this.#closed) return;
    this.#say('bye');
    this.#closed = true;
    this.#stopBeat();
    this.#unlisten();
    this.#source?.close();
    this.channel.close();
    this.#release(); // last: who waits for the lock leads from here on
    this.#show({ ...this.#state, phase: 'closed' });
  }

  #show(state: ConnectionState): void {
    this.#state = state;
    for (const listen of this.#listeners) listen(state);
  }

  #post(message: Message): boolean {
    try {
      this.channel.postMessage(message);
      return true;
    } catch {
      if (!this.#source && !this.#closed) {
        this.#release();
        this.#open(); // without the others
      }
      return false;
    }
  }

  #say(t: Word['t'], address = '', session = '', at = {}, problem?: Problem): void {
    if (this.#source || this.#closed) return;
    const took = this.#took;
    this.#took = 0;
    this.#post({ t, tab: this.#tab, took, address, session, at, problem });
  }

  #beat(): void {
    if (this.#source) {
      for (const [tab, known] of this.#tabs) if (++known.idle > goneBeats) this.#drop(tab);
      return;
    }
    // Beats are counted, not time: a tab that was asleep itself has missed nothing yet.
    // By chance: of two that wait, one is enough.
    if (++this.#missed > missedMax && this.env.visible() && Math.random() < 0.5) this.#compete(true);
    for (const local of this.#locals) if (local.holes > 1) this.#again(local);
    if (this.#joined) this.#say('here');
    else this.#join();
  }

  // Who leads.

  #compete(steal: boolean): void {
    this.#release();
    this.#missed = 0;
    this.#release = hold(this.locks, this.name, steal, () => this.#open(), (stolen) => (stolen ? this.#retreat() : this.#open()));
  }

  /** Leads; or reads alone, when the platform's channel or locks fail. */
  #open(): void {
    if (this.#source || this.#closed) return;
    this.#lead = id();
    this.#term = Math.max(Date.now(), this.#term + 1);
    for (const local of this.#locals) local.address = '';
    const source = (this.#source = this.open());
    this.#unlisten = source.onState((state) => {
      this.#show(state);
      this.#announce();
    });
    this.#show(source.state);
    for (const local of this.#locals) this.#attach(local);
    this.#announce();
  }

  /** Another tab has taken the lock: this one was silent for too long. */
  #retreat(): void {
    if (this.#closed) return;
    this.#unlisten();
    for (const local of this.#locals) this.#detach(local);
    for (const tab of this.#tabs.keys()) this.#drop(tab);
    this.#source?.close();
    this.#source = this.#out = undefined;
    this.#show({ ...this.#state, phase: 'connecting', shared: true });
    this.#compete(false);
    this.#join();
  }

  #announce(to?: string): void {
    this.#post({ t: 'lead', lead: this.#lead, term: this.#term, state: this.#state, to });
  }

  #hear(m: Message): void {
    if (m.t === 'batch') this.#take(m);
    else if (m.t === 'lead') this.#heed(m);
    else if (this.#source && m.tab) this.#serve(m);
  }

  // Following.

  /** Begins anew with whoever leads, also with one that remembers this tab. */
  #join(): void {
    this.#joined = false;
    this.#say('bye');
    this.#say('here');
  }

  #attach(local: Local): void {
    if (this.#source) local.stop = this.#source.follow(local.reader);
    else if (this.#joined) {
      local.address = `${this.#tab}.${++this.#reads}`;
      this.#say('read', local.address, local.reader.session, local.reader.position());
    }
  }

  #detach(local: Local): void {
    local.stop?.();
    if (local.address) this.#say('stop', local.address);
    local.stop = undefined;
    local.address = '';
  }

  #again(local: Local): void {
    this.#detach(local);
    this.#attach(local);
  }

  #heed({ lead, term, state, to }: Lead): void {
    // One that was frozen may say that it leads before it learns better. After a silence anyone is believed: clocks are set back.
    const older = term < this.#term || (term === this.#term && lead < this.#lead);
    if (this.#source || (older && this.#missed <= missedMax)) return;
    this.#missed = 0;
    if (lead !== this.#lead) {
      this.#lead = lead;
      if (to !== this.#tab) this.#join();
    }
    this.#term = term;
    const shown = { ...state, shared: true };
    if (JSON.stringify(shown) !== JSON.stringify(this.#state)) this.#show(shown);
    if (to !== this.#tab) return;
    this.#joined = true;
    for (const local of this.#locals) this.#again(local);
  }

  #take({ to, json }: Batch): void {
    this.#missed = 0;
    let items: Items | undefined;
    for (const local of [...this.#locals]) {
      if (!local.address || !to.includes(local.address)) continue;
      items ??= JSON.parse(json) as Items;
      if (local.reader.deliver(items)) local.holes = 0;
      else if (++local.holes === 1) this.#again(local);
    }
    if (!to.some((address) => address.startsWith(this.#tab + '.'))) return;
    this.#took += json.length;
    if (this.#took > windowMax / 8) this.#say('here');
  }

  // Leading.

  #serve(m: Word): void {
    const { tab } = m;
    const known = this.#tabs.get(tab);
    if (m.t === 'bye') return this.#drop(tab);
    if (m.t === 'retry') this.#source?.reconnect();
    if (m.t === 'deny' && m.problem) this.#source?.deny(m.problem);
    if (!known) {
      this.#tabs.set(tab, { owed: 0, idle: 0, reads: new Map() });
      return this.#announce(tab);
    }
    known.idle = 0;
    known.owed = Math.max(0, known.owed - m.took);
    if (m.t === 'here') this.#announce();
    else if (m.t === 'read') known.reads.set(m.address, this.#source!.follow(this.#remote(m.address, m.session, m.at)));
    else if (m.t === 'stop') {
      known.reads.get(m.address)?.();
      known.reads.delete(m.address);
    }
  }

  #drop(tab: string): void {
    for (const stop of this.#tabs.get(tab)?.reads.values() ?? []) stop();
    this.#tabs.delete(tab);
  }

  /** Stands in for a follower's reader. */
  #remote(address: string, session: string, at: SubscribeOptions): Reader {
    return {
      session,
      position: () => ({ ...at }),
      deliver: (batch) => {
        advance(at, batch);
        // Readers that are level are given the same batch, one after the other: one message for all.
        if (this.#out?.batch !== batch) {
          this.#flush();
          const json = [];
          for (let i = 0; i < batch.length; i += itemsMax) json.push(JSON.stringify(batch.slice(i, i + itemsMax)));
          this.#out = { batch, json, to: [] };
          queueMicrotask(() => this.#flush());
        }
        this.#out.to.push(address);
        return true;
      },
    };
  }

  #flush(): void {
    const out = this.#out;
    this.#out = undefined;
    if (!out) return;
    const tabs = new Set(out.to.map((address) => address.split('.')[0]!));
    for (const json of out.json) {
      const sent = this.#post({ t: 'batch', to: out.to, json });
      for (const tab of tabs) {
        const known = this.#tabs.get(tab);
        // Forgotten, it is asked to read again as soon as it says a word.
        if (known && (!sent || (known.owed += json.length) > windowMax)) this.#drop(tab);
      }
    }
  }
}

/** Where a reader is that was given this. */
function advance(at: SubscribeOptions, batch: Items): void {
  for (const m of batch) {
    if ('data' in m) at.after = m.id;
    else if (m.type === 'gap') at.after = m.to;
    else if (m.type === 'hello' || m.type === 'reset') {
      at.epoch = m.epoch;
      // The hello of an attach further on is none of this reader's.
      at.after = m.type === 'hello' ? Math.min(at.after ?? m.after, m.after) : 0;
      delete at.tail;
    }
  }
}
