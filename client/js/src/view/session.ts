import { ProblemError, type Connection, type Message, type Subscription } from '../api.js';
import type { Frame, Frames, LogEvent, Page, Problem, Status } from '../types.js';
import { Beat } from './beat.js';
import { HistoryChanged, Reads } from './reads.js';
import type { SessionView, ViewSnapshot } from './types.js';
import { Window } from './window.js';

/** Events of the first page, and of each one further back: it doubles while somebody goes on asking. */
const tailDefault = 1_000;
const earlierFirst = 1_000;
const earlierMax = 8_000;
/** A page that begins within a block is made longer up to so many times, by so many ids, so that the block is shown from its beginning. */
const alignTries = 3;
const alignStep = 250;
/** How often it is looked whether a session exists by now: doubled from one to the other. */
const missingMs = { first: 2_000, max: 15_000 };
/** The same for what failed and may succeed. */
const retryMs = { first: 1_000, max: 15_000 };

/**
 * Opens a session at its tail, folded, and follows it. `tail`: events of the first page [1000]. It goes on until close, whatever becomes
 * of the connection or the session: one that does not exist is shown as soon as it does, one whose history was replaced is swapped when
 * the new one is there.
 */
export function openSession(connection: Connection, session: string, options: { tail?: number } = {}): SessionView {
  return new View(connection, session, options.tail ?? tailDefault);
}

/** One history of the session, from its first page on: what is shown, or what will be once it is complete. */
interface Attempt {
  window: Window;
  epoch: string;
  reads: Reads;
  subscription: Subscription | undefined;
  abort: AbortController;
  /** Everything up to the head at the last attach was applied. */
  caughtUp: boolean;
  /** Where the replay began and where it will be complete. */
  from: number;
  through: number;
  /** Turns whose beginning was looked for. */
  begun: Set<string>;
  /** The last one: what it says is open is looked for until it is found. */
  hello?: Frames['hello'];
  pinning?: ReturnType<typeof setTimeout>;
}

class View implements SessionView {
  private shown: Attempt | undefined;
  /** Takes the place of the one that is shown when it is complete. */
  private coming: Attempt | undefined;
  private readonly listeners = new Set<() => void>();
  private readonly beat = new Beat(() => this.flush());
  private value: ViewSnapshot;
  private phase: ViewSnapshot['phase'] = 'loading';
  private problem: Problem | undefined;
  private status: Status | undefined;
  private statusAt = 0;
  private floor = 1;
  private head = 0;
  private pageSize = earlierFirst;
  private loading: Promise<void> | undefined;
  /** Older events could not be read: before this moment (Date.now) they are not asked for again. */
  private notBefore = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private waits = 0;
  /** The server wanted other credentials: it is asked again when the connection is. */
  private signedOut = false;
  private closed = false;

  constructor(private readonly connection: Connection, readonly session: string, private readonly tail: number) {
    this.value = this.take();
    connection.addEventListener('state', this.onState);
    void this.open();
  }

  get snapshot(): ViewSnapshot {
    return this.value;
  }

  subscribe(changed: () => void): () => void {
    this.listeners.add(changed);
    return () => void this.listeners.delete(changed);
  }

  events(): readonly LogEvent[] {
    return this.shown?.window.events ?? [];
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.connection.removeEventListener('state', this.onState);
    clearTimeout(this.timer);
    this.beat.stop();
    this.listeners.clear();
    this.drop(this.coming);
    this.drop(this.shown);
  }

  private drop(attempt: Attempt | undefined): void {
    attempt?.abort.abort();
    clearTimeout(attempt?.pinning);
    attempt?.subscription?.close();
  }

  // What is told to those who look.

  private take(): ViewSnapshot {
    const { shown, coming, status } = this;
    const window = shown?.window;
    const progress = coming ?? shown;
    const done = progress ? Math.min(progress.window.last, progress.through) - progress.from : 0;
    return {
      conversation: window?.conversation ?? nothing.conversation,
      phase: this.phase, done: Math.max(0, done), of: progress ? Math.max(0, progress.through - progress.from) : 0,
      status, statusAt: this.statusAt, head: Math.max(this.head, window?.last ?? 0), floor: this.floor,
      hasEarlier: window !== undefined && window.start + 1 > this.floor, loadingEarlier: this.loading !== undefined, problem: this.problem,
    };
  }

  private flush(): void {
    this.value = this.take();
    for (const changed of [...this.listeners]) changed();
  }

  private changed(): void {
    if (!this.closed) this.beat.ask();
  }

  // How a history is opened, and what is done when that fails.

  private async open(): Promise<void> {
    if (this.closed) return;
    this.drop(this.coming);
    const abort = new AbortController();
    const reads = new Reads(this.connection, this.session, abort.signal);
    const attempt: Attempt = { window: new Window(0), epoch: '', reads, subscription: undefined, abort, caughtUp: false, from: 0, through: 0, begun: new Set() };
    this.coming = attempt;
    try {
      const page = await reads.tail(this.tail);
      if (abort.signal.aborted) return;
      this.first(attempt, page);
    } catch (error) {
      if (!abort.signal.aborted) this.failed(error);
    }
  }

  private first(attempt: Attempt, page: Page): void {
    const events = page.events as LogEvent[];
    const begins = events[0] ? events[0].from ?? events[0].id : page.next + 1;
    attempt.window = new Window(Math.max((page.gap ? Math.min(page.gap.from, begins) : begins) - 1, 0));
    if (page.gap) attempt.window.gap(page.gap);
    attempt.window.append(events);
    attempt.epoch = page.epoch;
    attempt.from = attempt.window.last;
    attempt.through = page.head;
    this.floor = page.floor;
    this.head = page.head;
    this.heard(page.status);
    this.problem = undefined;
    this.waits = 0;
    this.phase = 'catching-up';
    if (!this.shown) this.swap(attempt); // there is nothing yet that would have to stay
    this.follow(attempt, Math.max(attempt.window.last, page.next));
    void this.align(attempt);
    this.changed();
  }

  private swap(attempt: Attempt): void {
    if (this.shown !== attempt) this.drop(this.shown);
    this.shown = attempt;
    if (this.coming === attempt) this.coming = undefined;
    this.pageSize = earlierFirst;
  }

  private follow(attempt: Attempt, after: number): void {
    const subscription = this.connection.session(this.session, { after, epoch: attempt.epoch, fold: true });
    attempt.subscription = subscription;
    subscription.addEventListener('error', (e) => this.ended(attempt, (e as CustomEvent<Problem | undefined>).detail));
    subscription.addEventListener('close', () => this.ended(attempt, undefined));
    subscription.onMessage((message) => this.onMessage(attempt, message));
  }

  /** The subscription is over: as a rule because the session was deleted. */
  private ended(attempt: Attempt, problem: Problem | undefined): void {
    if (attempt.abort.signal.aborted || this.closed) return;
    attempt.abort.abort();
    attempt.subscription?.close();
    if (problem) return this.failed(new ProblemError(problem));
    this.again(0);
  }

  private failed(error: unknown): void {
    if (this.closed) return;
    this.drop(this.coming);
    this.coming = undefined;
    const problem = problemOf(error);
    if (problem.code === 'session_not_found') {
      this.phase = 'missing';
      this.problem = undefined;
      this.again(backOff(missingMs, this.waits++));
    } else {
      this.problem = problem;
      if (problem.status === 401) this.signedOut = true;
      else if (passing(problem)) this.again(backOff(retryMs, this.waits++));
      else this.phase = 'failed';
    }
    this.changed();
  }

  private again(ms: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.timer = undefined;
      void this.open();
    }, ms);
  }

  /** What waits because nothing was reached is tried at once when the connection stands again, or somebody has signed in. */
  private readonly onState = (): void => {
    const { phase } = this.connection.state;
    if (this.signedOut ? phase === 'unauthorized' : this.timer === undefined || this.phase === 'missing' || phase !== 'live') return;
    this.signedOut = false;
    this.again(0);
  };

  // What comes over the subscription.

  private onMessage(attempt: Attempt, message: Message): void {
    if (attempt.abort.signal.aborted || (attempt !== this.shown && attempt !== this.coming)) return;
    if (message.kind === 'frame') this.onFrame(attempt, message.frame);
    else this.onEvents(attempt, message.events);
    this.changed();
  }

  private onEvents(attempt: Attempt, events: LogEvent[]): void {
    try {
      attempt.window.append(events);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      return this.anew(); // a run that was held in part: what came between is not known
    }
    this.head = Math.max(this.head, attempt.window.last);
    for (const e of events) if (e.type === 'redacted') this.redacted(attempt, e);
  }

  private onFrame(attempt: Attempt, frame: Frame): void {
    switch (frame.type) {
      case 'hello': return this.hello(attempt, frame);
      case 'status': return this.heard(frame, attempt);
      case 'gap':
        attempt.window.gap(frame);
        if (frame.reason === 'retention') this.floor = Math.max(this.floor, frame.to + 1);
        return;
      case 'reset': return this.anew();
      case 'caught_up': return this.complete(attempt, frame.id);
    }
  }

  private hello(attempt: Attempt, hello: Frames['hello']): void {
    if (attempt.epoch !== '' && hello.epoch !== attempt.epoch) return; // reset follows
    this.floor = hello.floor;
    this.head = hello.head;
    this.heard(hello.status);
    attempt.from = Math.min(attempt.window.last, hello.through);
    attempt.through = hello.through;
    attempt.caughtUp = false;
    if (attempt.window.last >= hello.through) this.complete(attempt, hello.through);
    else this.phase = 'catching-up';
    attempt.hello = hello;
    clearTimeout(attempt.pinning);
    void this.pin(attempt, hello);
  }

  private complete(attempt: Attempt, id: number): void {
    attempt.caughtUp = true;
    attempt.through = Math.max(attempt.from, Math.min(attempt.through, id));
    if (this.coming === attempt) this.swap(attempt);
    this.phase = 'live';
    this.problem = undefined;
    if (this.status) attempt.window.settle(this.status.head, this.status.turn ?? '');
  }

  private heard(status: Status | undefined, attempt?: Attempt): void {
    if (!status) return;
    this.status = status;
    this.statusAt = Date.now();
    this.head = Math.max(this.head, status.head);
    if (attempt?.caughtUp) attempt.window.settle(status.head, status.turn ?? '');
  }

  /** Opens the history that there is now. What is shown stays until that is complete. */
  private anew(): void {
    if (this.shown) {
      this.shown.abort.abort();
      this.shown.subscription?.close();
    }
    this.phase = this.shown ? 'catching-up' : 'loading';
    void this.open();
  }

  /** What the redaction took away is gone already; what it left of the range is read again. */
  private redacted(attempt: Attempt, event: LogEvent): void {
    const { from, to } = (event.data ?? {}) as { from?: number; to?: number };
    if (typeof from !== 'number' || typeof to !== 'number') return;
    attempt.window.unpin(from, to);
    const span = attempt.window.span(from, to);
    if (!span) return;
    const read = async (tries: number): Promise<void> => {
      try {
        const { events, gaps } = await attempt.reads.range(span.from - 1, span.to, attempt.epoch, true);
        attempt.window.replace(span.from, span.to, events, gaps);
        this.changed();
      } catch (error) {
        if (attempt.abort.signal.aborted || tries === 0 || error instanceof HistoryChanged) return;
        await new Promise((done) => setTimeout(done, retryMs.first));
        await read(tries - 1);
      }
    };
    void read(3);
  }

  // What lies before the first page.

  /** Open matters are shown wherever they are in the log, and so is the beginning of a turn that the first page cuts. */
  private async pin(attempt: Attempt, hello: Frames['hello'], tries = 0, before?: Problem): Promise<void> {
    const { window, reads } = attempt;
    if (attempt.abort.signal.aborted || window.start === 0) return;
    const turns = [hello.status.turn, window.events.find((e) => e.turn)?.turn].filter((t): t is string => !!t && !attempt.begun.has(t));
    const known = { id: (id: number) => window.isPinned(id), kontask: (id: string) => window.conversation.kontasks.some((k) => k.kontaskId === id) };
    const found = [reads.open(hello, window.start, known)];
    for (const turn of new Set(turns)) {
      attempt.begun.add(turn);
      if (!window.events.some((e) => e.type === 'turn_start' && e.turn === turn)) found.push(reads.beginning(turn, window.start).catch((error) => this.unbegun(attempt, turn, error)));
    }
    const read = await Promise.allSettled(found);
    if (attempt.abort.signal.aborted) return;
    // What was found stands, whatever became of the rest.
    window.pin(read.flatMap((r) => (r.status === 'fulfilled' ? r.value : [])));
    if (attempt.caughtUp && this.status) window.settle(this.status.head, this.status.turn ?? '');
    if (before && this.problem === before) this.problem = undefined;
    const failed = read.find((r) => r.status === 'rejected');
    if (failed) this.problem = problemOf(failed.reason);
    this.changed();
    const { problem } = this;
    if (!failed || !problem || !passing(problem)) return;
    // Without another hello nobody would ask again. One that came meanwhile says what is open now.
    clearTimeout(attempt.pinning);
    attempt.pinning = setTimeout(() => void this.pin(attempt, attempt.hello ?? hello, tries + 1, problem), backOff(retryMs, tries));
  }

  /** A turn whose beginning could not be read: one that is gone is not looked for again. */
  private unbegun(attempt: Attempt, turn: string, error: unknown): LogEvent[] {
    if (!passing(problemOf(error))) return [];
    attempt.begun.delete(turn);
    throw error;
  }

  /** Makes the first page longer while it begins within a block. */
  private async align(attempt: Attempt): Promise<void> {
    for (let i = 0; i < alignTries && cut(attempt.window.events[0]) && attempt === this.shown && !this.loading; i++) {
      await this.load(alignStep);
    }
  }

  loadEarlier(): Promise<void> {
    const size = this.pageSize;
    this.pageSize = Math.min(size * 2, earlierMax);
    return this.load(size);
  }

  private load(size: number): Promise<void> {
    const attempt = this.shown;
    if (this.loading) return this.loading;
    if (!attempt || attempt.abort.signal.aborted || attempt.window.start + 1 <= this.floor) return Promise.resolve();
    // Who draws what failed may ask again by drawing: that must not become a loop.
    if (Date.now() < this.notBefore) return Promise.resolve();
    if (attempt.window.full) {
      if (this.problem !== full) this.changed();
      this.problem = full;
      return Promise.resolve();
    }
    this.loading = this.earlier(attempt, size).finally(() => {
      this.loading = undefined;
      if (!this.closed) this.flush(); // at once: who waited for it looks now
    });
    this.changed();
    return this.loading;
  }

  private async earlier(attempt: Attempt, size: number): Promise<void> {
    const { window, reads } = attempt;
    const until = window.start;
    let events: LogEvent[] = [];
    let gaps: { from: number; to: number; reason: 'retention' | 'redacted' }[] = [];
    let after = until;
    try {
      for (let i = 0; i < alignTries && after > this.floor - 1 && (i === 0 || cut(events[0])); i++) {
        const to = after;
        after = Math.max(this.floor - 1, after - (i === 0 ? size : alignStep), 0);
        const page = await reads.range(after, to, attempt.epoch);
        events = [...page.events, ...events];
        gaps = [...page.gaps, ...gaps];
      }
    } catch (error) {
      if (attempt.abort.signal.aborted) return;
      this.notBefore = Date.now() + retryMs.first;
      if (!(error instanceof HistoryChanged)) this.problem = problemOf(error);
      return;
    }
    if (attempt.abort.signal.aborted || window.start !== until) return;
    this.problem = undefined;
    window.prepend(events, gaps, after);
  }

  async loadThrough(id: number): Promise<boolean> {
    for (;;) {
      const window = this.shown?.window;
      if (!window || this.closed || id > window.last) return false;
      if (id > window.start) return window.holds(id);
      const { start } = window;
      await this.loadEarlier();
      if (this.shown?.window === window && window.start === start) return false; // it is below the floor, or no more fits
    }
  }
}

/** Whether a page that begins with this event may begin within a block. */
const cut = (e: LogEvent | undefined): boolean => e !== undefined && (e.from !== undefined || e.type.endsWith('_delta'));

/** What failed so may succeed later. */
const passing = (p: Problem): boolean => p.retryable || p.status === 0 || p.status >= 500;

function backOff(wait: { first: number; max: number }, n: number): number {
  return Math.min(wait.max, wait.first * 2 ** Math.min(n, 10)) * (0.75 + Math.random() / 4);
}

function problemOf(error: unknown): Problem {
  if (error instanceof ProblemError) return error.problem;
  const detail = error instanceof Error ? error.message : String(error);
  return { type: 'about:blank', title: 'The session could not be opened', status: 400, code: 'unreachable', detail, instance: '', requestId: '', retryable: false };
}

const full: Problem = {
  type: 'about:blank', title: 'This page is full', status: 0, code: 'view_full', instance: '', requestId: '', retryable: false,
  detail: 'No more events fit in this page. Open the older part by the link of one of its events, or export the session.',
};

const nothing = new Window(0);
