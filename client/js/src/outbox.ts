// Commands that wait until the server has answered for them. Each has a key,
// so sending one twice does it once: whatever is in doubt is sent again.
import { ProblemError, type Command, type Pending } from './api.js';
import type { Limits } from './limits.js';
import { hold, platformLocks, type Locks } from './lock.js';
import { browserStore, type Kept, type Store } from './outboxstore.js';
import { unreachable, type Rest } from './rest.js';
import type { Ack, Me, Problem } from './types.js';

/** Requests at a time: browsers have six connections per host, and the carrier wants one. */
const sendsMax = 4;
/** What another tab has not sent this long after the server was back is sent here. */
const strandedMs = 10_000;
/** A longer Retry-After is not waited for. */
const retryAfterMax = 300_000;

export interface OutboxOptions {
  rest: Pick<Rest, 'request'>;
  limits: Pick<Limits, 'baseMs' | 'maxMs' | 'outboxMax' | 'requestMs'>;
  store: 'indexeddb' | 'memory';
  /** Commands are shared with tabs of the same scope: one server. */
  scope: string;
  /** The server may know several users: commands are sent as who gave them, and shown to nobody else. */
  named?: boolean;
  /** The platform's, for tests. */
  env?: { store?: Store; locks?: Locks };
}

/** A command of this tab. */
interface Entry {
  /** What is shown of it; replaced, never changed. */
  p: Pending;
  /** It is on disk, as far as there is one: it may be sent. */
  ready?: boolean;
  /** Another page wrote it down. */
  found?: boolean;
  /** It was refused once, perhaps because somebody else is here now. */
  doubted?: boolean;
  /** The server said when. */
  notBefore: number;
  tries: number;
  waiters: { resolve(ack: Ack): void; reject(error: ProblemError): void }[];
}

const paths = { prompt: 'prompts', stop: 'stop', answer: 'answers', seen: 'seen' } as const;

/** Of a server that asks for no credentials: commands are nobody's then. */
const local = 'local';

/** Kept over a reload: what a person meant to say. A late stop would stop another turn; of seen there is always a next. */
const kept = ({ command }: Pending) => command !== 'stop' && command !== 'seen';

/** 32 hex digits. Not randomUUID: that is missing on pages over plain HTTP. */
const random = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('');

const pathOf = ({ command, session, body = {} }: Command) =>
  '/v1/' + (command === 'choose' ? `kontasks/${encodeURIComponent(body.kontaskId as string)}/choose` : `sessions/${encodeURIComponent(session)}/${paths[command]}`);

const entryOf = (p: Pending, ready: boolean): Entry => ({ p, ready, notBefore: 0, tries: 0, waiters: [] });

export class Outbox extends EventTarget {
  readonly #o: OutboxOptions;
  readonly #tab = random();
  readonly #store: Store | undefined;
  readonly #locks: Locks | undefined;
  readonly #name: string;
  readonly #started: Promise<unknown>;
  readonly #closed = new AbortController();
  #channel: BroadcastChannel | undefined;
  #release = () => {};
  /** In the order in which they were given. */
  #own: Entry[] = [];
  #others: Kept[] = [];
  readonly #watched = new Set<string>();
  #pending: readonly Pending[] = [];
  #time = 0;
  #sends = 0;
  /** Who gives commands here, '' for nobody in particular; undefined until the server has said it. */
  #who: string | undefined;
  /** The server has said it since the last doubt. */
  #sure: boolean;
  #asking = false;
  /** The server asks for other credentials: all wait for flush. */
  #held = false;
  /** Calls in a row that reached nobody. */
  #misses = 0;
  #retryAt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stranded: ReturnType<typeof setTimeout> | undefined;

  constructor(options: OutboxOptions) {
    super();
    this.#o = options;
    this.#sure = !options.named;
    this.#name = `konlog-outbox:${options.scope}:`;
    this.#store = options.env?.store ?? (options.store === 'indexeddb' ? browserStore(options.scope) : undefined);
    this.#locks = options.env?.locks ?? platformLocks();
    this.#started = this.#store ? this.#start() : Promise.resolve();
  }

  /** What is not answered, this tab's and others', oldest first. The same array until it changes. */
  get pending(): readonly Pending[] {
    return this.#pending;
  }

  /** Sends a command, now or when it can be. Rejects with ProblemError when it is refused for good. */
  add(given: Command): Promise<Ack> {
    const { session, command, body = {} } = given;
    const answer = new Promise<Ack>((resolve, reject) => {
      pathOf(given); // what has none is refused at once
      if (this.#closed.signal.aborted) return reject(closed());
      const waiter = { resolve, reject };
      const same = command === 'seen' && this.#own.find(({ p }) => p.command === command && p.session === session && p.state === 'waiting' && (!p.subject || this.#mine(p)));
      if (same) {
        same.waiters.push(waiter);
        return this.#set(same, { body: { id: Math.max(same.p.body.id as number, body.id as number) } });
      }
      const max = this.#o.limits.outboxMax;
      if (this.#pending.length >= max) return reject(problem('outbox_full', `${max} commands wait to be sent: connect, or drop some of them`));
      this.#time = Math.max(Date.now(), this.#time + 1);
      // A copy: the caller may go on with its own.
      // While it is not known whether somebody else has signed in, whose it is shows when the server is asked.
      const subject = this.#who && (this.#sure || this.#held) ? { subject: this.#who } : {};
      const entry = entryOf({ key: random(), session, command, body: JSON.parse(JSON.stringify(body)), time: this.#time, state: 'waiting', ...subject }, false);
      entry.waiters.push(waiter);
      this.#own.push(entry);
      this.#changed();
      void this.#started.then(() => this.#save(entry)).then(() => {
        entry.ready = true;
        this.#pump();
      });
    });
    answer.catch(() => {}); // who does not wait for it sees a refusal in pending
    return answer;
  }

  /** The server can be reached, perhaps as somebody else: nothing waits any longer for that. */
  flush(): void {
    this.#misses = this.#retryAt = 0;
    this.#held = false;
    this.#sure = !this.#o.named;
    for (const e of this.#own) e.doubted = false;
    if (this.#o.named && this.#own.length + this.#others.length) void this.#ask();
    this.#pump();
    clearTimeout(this.#stranded);
    if (this.#store) this.#stranded = setTimeout(() => void this.#adopt((e) => e.state === 'waiting' && e.time < Date.now() - strandedMs), strandedMs);
  }

  /** Sends a refused command again. */
  retry(key: string, tell = true): void {
    const entry = this.#own.find(({ p }) => p.key === key);
    if (entry?.p.state === 'refused') {
      this.#set(entry, { state: 'waiting', problem: undefined });
      void this.#save(entry);
      this.#pump();
    } else if (tell) this.#post({ retry: key });
  }

  /** Takes a command away; when it is being sent, the server may have it all the same. */
  drop(key: string, tell = true): void {
    if (tell) this.#post({ drop: key });
    const entry = this.#own.find(({ p }) => p.key === key);
    if (entry) return this.#settle(entry, (w) => w.reject(problem('dropped', 'the command was dropped before it was answered')));
    this.#others = this.#others.filter((e) => e.key !== key);
    this.#changed();
    if (tell) void this.#forget(key);
  }

  /** Ends. What is kept is sent by another tab, or by the next page. */
  close(): void {
    this.#closed.abort();
    clearTimeout(this.#timer);
    clearTimeout(this.#stranded);
    this.#channel?.close();
    this.#channel = undefined;
    this.#release();
    for (const e of this.#own) for (const w of e.waiters.splice(0)) w.reject(closed());
  }

  async #start(): Promise<void> {
    try {
      this.#channel = new BroadcastChannel(this.#name);
      this.#channel.onmessage = ({ data }) => {
        if (data.drop) this.drop(data.drop, false);
        else if (data.retry) this.retry(data.retry, false);
        else void this.#read();
      };
    } catch {
      // Others' commands are then seen after a reload.
    }
    const locks = this.#locks;
    // Before anything of this tab can be seen: who gets this lock takes this tab for gone.
    if (locks) await new Promise<void>((resolve) => (this.#release = hold(locks, this.#name + this.#tab, false, resolve, () => resolve())));
    await (locks ? this.#read() : this.#adopt(() => true));
  }

  /** Whether it was given by who is here now. */
  #mine({ subject = '' }: Pending): boolean {
    return subject === (this.#who ?? '');
  }

  /** The same of one that this tab has in hand: what was given here and bears no name is of who is here. */
  #ours({ p, found }: Entry): boolean {
    return (!found && !p.subject) || this.#mine(p);
  }

  /** Puts a name to what was given here since it was last known who is. */
  async #sign(subject: string): Promise<void> {
    for (const e of subject ? this.#own : [])
      if (!e.p.subject && !e.found) {
        this.#set(e, { subject });
        await this.#save(e);
      }
  }

  /** Asks whom the server takes this client for, before anything is sent. */
  async #ask(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    try {
      await this.#become((await this.#o.rest.request<Me>('GET', '/v1/me')).subject);
      this.#sure = true;
    } catch (error) {
      const { problem } = error as ProblemError;
      if (problem.status === 404 || problem.status === 405) this.#sure = true; // a server that knows nobody
      else if (problem.status === 401) {
        this.#held = true;
        for (const e of this.#own) if (e.p.state === 'waiting') this.#set(e, { problem });
        await this.#sign(this.#who ?? '');
      } else this.#missed(Date.now() + this.#pause(problem, this.#misses));
    }
    this.#asking = false;
    this.#pump();
  }

  async #become(subject: string): Promise<void> {
    const who = subject === local ? '' : subject;
    const before = this.#who;
    this.#who = who;
    await this.#sign(who);
    if (who === before) return;
    for (const e of this.#own) if (this.#claim(e)) await this.#save(e);
    if (before === undefined && !who) return;
    // What was passed by as another's may be ours now.
    this.#watched.clear();
    if (!this.#store) this.#changed();
    else if (this.#locks) await this.#read();
    else await this.#adopt(() => true);
  }

  /** What a page left behind before it knew who gave it is sent when somebody says that it is theirs. */
  #claim(e: Entry): boolean {
    if (!e.found || e.p.subject || !this.#who) return false;
    const detail = `It was written before it was known who is signed in. Try again to send it as ${this.#who}.`;
    e.p = { ...e.p, subject: this.#who, state: 'refused', problem: unreachable(detail, 401, false) };
    return true;
  }

  /** Looks at what other tabs have, and waits for them to go. */
  async #read(): Promise<void> {
    const all = (await this.#store?.load().catch(() => undefined)) ?? [];
    this.#others = all.filter((e) => e.tab !== this.#tab && !this.#own.some(({ p }) => p.key === e.key));
    this.#changed();
    for (const { tab } of this.#others) {
      if (this.#watched.has(tab)) continue;
      this.#watched.add(tab);
      this.#locks?.request(this.#name + tab, { signal: this.#closed.signal }, () => this.#adopt((e) => e.tab === tab)).catch(() => {});
    }
  }

  /** Goes on with commands of a tab that is gone, or does not send them. */
  async #adopt(which: (entry: Kept) => boolean): Promise<void> {
    await this.#read();
    if (this.#closed.signal.aborted) return;
    const ours = (e: Kept) => which(e) && (!e.subject || this.#mine(e));
    const found = this.#others.filter(ours).map((p) => ({ ...entryOf(p, true), found: true }));
    for (const e of found) this.#claim(e);
    this.#own = [...this.#own, ...found].sort((a, b) => a.p.time - b.p.time);
    this.#others = this.#others.filter((e) => !ours(e));
    await Promise.all(found.map((e) => this.#save(e)));
    this.#pump();
  }

  /** Sends what may be sent: in order per session, but what the server put off lets other kinds of commands pass. */
  #pump(): void {
    clearTimeout(this.#timer);
    if (this.#closed.signal.aborted || this.#held) return;
    const now = Date.now();
    let next = Infinity;
    const behind = new Set<string>();
    // A clock that was set back must not make waits of hours.
    const longest = retryAfterMax + this.#o.limits.maxMs;
    const later = (at: number) => at > now && at <= now + longest;
    if (later(this.#retryAt)) next = this.#retryAt;
    else
      for (const e of this.#own) {
        const { session, command, state } = e.p;
        const kind = `${session} ${command}`;
        if (state === 'refused' || behind.has(session) || behind.has(kind) || !this.#ours(e)) continue;
        // A full queue of prompts must not hold up the stop, or the answer, that empties it.
        const off = later(e.notBefore);
        behind.add(off ? kind : session);
        if (off) next = Math.min(next, e.notBefore);
        // After a miss one goes ahead to see.
        else if (!e.ready || state !== 'waiting') continue;
        else if (!this.#sure) return void this.#ask();
        else if (this.#sends < (this.#misses ? 1 : sendsMax)) void this.#send(e);
      }
    if (next < Infinity) this.#timer = setTimeout(() => this.#pump(), next - now);
  }

  async #send(e: Entry): Promise<void> {
    this.#sends++;
    this.#set(e, { state: 'sending' });
    const { key, command, body, subject } = e.p;
    const { kontaskId, ...choice } = body;
    // Somebody else may have signed in, in another tab or just now: then the server does not take it.
    const headers: HeadersInit = subject ? { 'Konlog-Subject': encodeURIComponent(subject) } : {};
    try {
      const ack = await this.#o.rest.request<Ack>('POST', pathOf(e.p), { headers, body: { ...(command === 'choose' ? choice : body), key } });
      this.#misses = 0;
      this.#settle(e, (w) => w.resolve(ack));
    } catch (error) {
      this.#failed(e, error as ProblemError);
    }
    this.#sends--;
    this.#pump();
  }

  #failed(e: Entry, error: ProblemError): void {
    const now = Date.now();
    const { command, body, time } = e.p;
    const { problem } = error;
    const { requestMs } = this.#o.limits;
    if (problem.status === 401 && kept(e.p)) {
      this.#held = true;
      this.#set(e, { state: 'waiting', problem });
      return;
    }
    if (problem.status === 403 && e.p.subject && !e.doubted) {
      e.doubted = true;
      this.#sure = false;
      return this.#set(e, { state: 'waiting' });
    }
    if (!problem.retryable || (command === 'stop' && !body.requestId && now - time > requestMs)) {
      if (!kept(e.p)) return this.#settle(e, (w) => w.reject(error));
      this.#set(e, { state: 'refused', problem });
      void this.#save(e);
      for (const w of e.waiters.splice(0)) w.reject(error);
      return;
    }
    const nobody = problem.code === 'unreachable';
    const tries = nobody ? this.#misses : e.tries++;
    const at = now + this.#pause(problem, tries);
    if (nobody) this.#missed(at);
    else {
      this.#misses = 0;
      e.notBefore = at;
    }
    this.#set(e, { state: 'waiting', problem });
  }

  #pause({ retryAfter = 0 }: Problem, tries: number): number {
    const { baseMs, maxMs } = this.#o.limits;
    return Math.min(retryAfter * 1000, retryAfterMax) + Math.random() * Math.min(maxMs, baseMs * 2 ** tries);
  }

  /** Nobody was reached. Of several that were under way it is one miss. */
  #missed(at: number): void {
    if (this.#retryAt > Date.now()) return;
    this.#misses++;
    this.#retryAt = at;
  }

  #settle(e: Entry, tell: (waiter: Entry['waiters'][number]) => void): void {
    this.#own = this.#own.filter((o) => o !== e);
    this.#changed();
    if (kept(e.p)) void this.#forget(e.p.key);
    e.waiters.splice(0).forEach(tell);
  }

  #set(e: Entry, change: Partial<Pending>): void {
    e.p = { ...e.p, ...change };
    this.#changed();
  }

  async #save(e: Entry): Promise<void> {
    if (!kept(e.p)) return;
    const { state } = e.p;
    // A failure is silent: the command is sent all the same, only not after a reload.
    const stored = await this.#store?.put({ ...e.p, state: state === 'refused' ? state : 'waiting', stored: true, tab: this.#tab }).then(() => true, () => false);
    if (this.#own.includes(e)) {
      if (stored && !e.p.stored) this.#set(e, { stored });
      this.#post({});
    } else await this.#forget(e.p.key); // answered or dropped meanwhile
  }

  async #forget(key: string): Promise<void> {
    await this.#store?.delete(key).catch(() => {}); // it is sent again then, and the server knows the key
    this.#post({});
  }

  #changed(): void {
    this.#pending = [...this.#own.filter((e) => this.#ours(e)).map((e) => e.p), ...this.#others.filter((p) => this.#mine(p))].sort((a, b) => a.time - b.time);
    this.#time = Math.max(this.#time, this.#pending.at(-1)?.time ?? 0);
    this.dispatchEvent(new CustomEvent('pending', { detail: this.#pending }));
  }

  #post(message: object): void {
    try {
      this.#channel?.postMessage(message);
    } catch {
      // The others see it after a reload.
    }
  }
}

const problem = (code: Problem['code'], detail: string) => new ProblemError(unreachable(detail, 0, false, code));
const closed = () => problem('unreachable', 'the connection was closed; what is kept is sent by the next one');
