// A connection that does what a test says: pages from a log in memory,
// messages when the test sends them.
import { ProblemError, type Connection, type Message, type Subscription, type SubscribeOptions } from '../../src/api.js';
import type { Frame, LogEvent, Page, Problem } from '../../src/types.js';

export class ScriptedSubscription extends EventTarget {
  closed = false;
  private listen: ((message: Message) => void) | undefined;

  constructor(readonly session: string, readonly options: SubscribeOptions) {
    super();
  }

  onMessage(listen: (message: Message) => void): () => void {
    this.listen = listen;
    return () => (this.listen = undefined);
  }

  close(): void {
    this.closed = true;
  }

  events(events: LogEvent[]): void {
    this.listen?.({ kind: 'events', session: this.session, events, live: true });
  }

  frame(frame: Partial<Frame> & { type: Frame['type'] }): void {
    this.listen?.({ kind: 'frame', session: this.session, frame: { session: this.session, ...frame } as Frame });
  }

  error(problem: Problem): void {
    this.dispatchEvent(new CustomEvent('error', { detail: problem }));
  }
}

export class ScriptedConnection extends EventTarget {
  readonly subscriptions: ScriptedSubscription[] = [];
  readonly asked: string[] = [];
  log: LogEvent[] = [];
  epoch = 'epoch-1';
  floor = 1;
  turn: string | undefined;
  /** What the next calls come to, instead of an answer. */
  refuse: Problem | undefined;
  /** Answers wait for this. */
  hold: Promise<void> | undefined;
  state = { phase: 'live' };

  get newest(): ScriptedSubscription {
    return this.subscriptions.at(-1)!;
  }

  get connection(): Connection {
    return this as unknown as Connection;
  }

  session(session: string, options: SubscribeOptions): Subscription {
    const s = new ScriptedSubscription(session, options);
    this.subscriptions.push(s);
    return s as unknown as Subscription;
  }

  get head(): number {
    return this.log.at(-1)?.id ?? 0;
  }

  status(): Page['status'] {
    return { type: 'status', session: 's', elapsed: 0, state: this.turn ? 'working' : 'idle', turnActive: !!this.turn, ...(this.turn && { turn: this.turn }), queued: 0, head: this.head, serverTime: '2026-01-01T00:00:00Z' };
  }

  async get<T>(path: string, init?: RequestInit): Promise<T> {
    this.asked.push(path);
    await this.hold;
    if (init?.signal?.aborted) throw new DOMException('aborted', 'AbortError');
    if (this.refuse) throw new ProblemError(this.refuse);
    const url = new URL(path, 'http://x');
    if (!url.pathname.endsWith('/events')) throw new ProblemError({ ...problem, code: 'turn_not_found' });
    const q = (name: string, fallback: number): number => Number(url.searchParams.get(name) ?? fallback);
    const after = url.searchParams.has('tail') ? Math.max(this.floor - 1, this.head - q('tail', 0)) : q('after', 0);
    const until = q('until', this.head);
    const events = this.log.filter((e) => e.id > after && e.id <= until).slice(0, q('limit', 1000));
    const next = events.at(-1)?.id ?? Math.min(until, this.head);
    return { session: 's', epoch: this.epoch, floor: this.floor, head: this.head, next, caughtUp: next >= this.head, status: this.status(), events } as T;
  }

  /** The server greets a subscription, and says that all was sent. */
  hello(s = this.newest, more: Partial<Frame> = {}): void {
    s.frame({ type: 'hello', epoch: this.epoch, floor: this.floor, head: this.head, after: s.options.after ?? 0, through: this.head, status: this.status(), questions: [], tasks: [], kontasks: [], ...more } as never);
  }

  caughtUp(s = this.newest): void {
    s.frame({ type: 'caught_up', id: this.head } as never);
  }
}

export const problem: Problem = { type: 'about:blank', title: 'No', status: 404, code: 'session_not_found', detail: 'there is no such session', instance: '', requestId: '', retryable: false };

/** Plain texts of a turn each hundred, from an id on. */
export function notes(from: number, to: number, word = 'note'): LogEvent[] {
  return Array.from({ length: to - from + 1 }, (_, i) => ({
    id: from + i, session: 's', type: 'text', turn: `r-${Math.floor((from + i) / 100)}`, time: new Date(1.7e12 + (from + i) * 10).toISOString(), data: { text: `${word} ${from + i}`, block: from + i },
  }));
}
