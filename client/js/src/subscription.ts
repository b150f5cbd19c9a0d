import { ProblemError, type Message, type SubscribeOptions, type Subscription } from './api.js';
import type { Feed, iterate as Iterate } from './feed.js';
import { Guard } from './guard.js';
import type { Reader } from './source.js';
import type { Item } from './transports/transport.js';
import type { Frame, Frames, LogEvent, Problem, Status } from './types.js';

/** Reads for a subscription until the returned function is called. */
export type Follow = (reader: Reader) => () => void;

/** Calls back with the detail of each event of the name, until the returned function is called. */
export function listen<T>(target: EventTarget, name: string, back: (detail: T) => void): () => void {
  const heard = (e: Event) => back((e as CustomEvent<T>).detail);
  target.addEventListener(name, heard);
  return () => target.removeEventListener(name, heard);
}

export function tell(target: EventTarget, name: string, detail?: unknown): void {
  target.dispatchEvent(new CustomEvent(name, { detail }));
}

/** A refusal that did not come as an answer to a request. */
export function problemOf({ session = '', code, detail, retryable }: Omit<Frames['error'], 'type'>): Problem {
  return { type: 'about:blank', title: 'konlog', status: 0, code: code as Problem['code'], detail, instance: session, requestId: '', retryable };
}

/** Iterates over a feed, which is loaded with the first of them. */
export async function* iterate(...of: Parameters<typeof Iterate>): AsyncGenerator<LogEvent> {
  yield* (await import('./feed.js')).iterate(...of);
}

/** One reader of one session: shows what its guard lets pass. */
export class Followed extends EventTarget implements Subscription, Reader {
  readonly #guard: Guard;
  readonly #follow: Follow;
  readonly #max: number;
  readonly #feeds = new Set<Feed>();
  #unfollow = () => {};
  #closed = false;
  /** What the server ended it with. */
  #problem: Problem | undefined;

  constructor(
    follow: Follow,
    readonly session: string,
    readonly options: SubscribeOptions,
    iteratorMax: number,
  ) {
    super();
    this.#guard = new Guard(options);
    this.#follow = follow;
    this.#max = iteratorMax;
    this.resume();
  }

  get cursor(): number {
    return this.#guard.cursor;
  }

  get epoch(): string {
    return this.#guard.epoch;
  }

  get head(): number {
    return this.#guard.head;
  }

  get floor(): number {
    return this.#guard.floor;
  }

  get caughtUp(): boolean {
    return this.#guard.caughtUp;
  }

  get status(): Status | undefined {
    return this.#guard.status;
  }

  position(): SubscribeOptions {
    return this.#guard.position();
  }

  /** Reads no more for a while: goes on from its cursor at resume. */
  pause(): void {
    this.#unfollow();
  }

  resume(): void {
    this.#unfollow = this.#follow(this);
  }

  onMessage(back: (message: Message) => void): () => void {
    return listen(this, 'message', back);
  }

  /** Events from the cursor on, read on their own: a slow consumer holds up nobody. */
  [Symbol.asyncIterator](): AsyncGenerator<LogEvent> {
    const at = this.position();
    return iterate(this.#follow, this.#max, this.#feeds, (feed) => (this.#closed ? feed.end(this.#problem && new ProblemError(this.#problem)) : feed.add(this.session, at, true)));
  }

  deliver(batch: readonly Item[]): boolean {
    const guard = this.#guard;
    const { session } = this;
    let events: LogEvent[] = [];
    const flush = () => {
      if (events.length) tell(this, 'message', { kind: 'events', session, events, live: guard.caughtUp } satisfies Message);
      events = [];
    };
    for (const item of batch) {
      if (!('data' in item)) flush(); // whether they are live is decided by the frames before them
      if (this.#closed) return true; // before the cursor moves on
      for (const shown of guard.pass(item)) {
        if ('data' in shown) events.push(shown);
        else if (!this.#closed) this.#frame(shown);
      }
    }
    flush();
    return !guard.lost;
  }

  #frame(frame: Frame): void {
    tell(this, 'message', { kind: 'frame', session: this.session, frame } satisfies Message);
    if (frame.type === 'error') this.#problem = problemOf(frame);
    tell(this, frame.type.replace('_', ''), this.#problem ?? frame);
    // What the source passes on of these is the last of the session.
    if (this.#problem || (frame.type === 'bye' && frame.reason === 'until')) this.#end();
  }

  /** Its feeds learn of the session's end by themselves. */
  #end(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unfollow();
    tell(this, 'close');
  }

  close(): void {
    for (const feed of this.#feeds) feed.end();
    this.#end();
  }
}
