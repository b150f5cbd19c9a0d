// Events for `for await`: what a consumer has not taken yet is bounded.
import { ProblemError, type SubscribeOptions } from './api.js';
import { Followed, type Follow, listen } from './subscription.js';
import type { LogEvent, Problem } from './types.js';

/**
 * Events of one session or several, each from its place on. It reads with cursors of its own: when the consumer is `max` events
 * behind, reading stops, and goes on from there when all that was buffered is taken.
 */
export class Feed implements AsyncIterableIterator<LogEvent> {
  readonly #follow: Follow;
  readonly #max: number;
  readonly #tracks = new Map<string, Followed>();
  #queue: LogEvent[] = [];
  #taken = 0; // of the queue
  readonly #waiting: { resolve: (r: IteratorResult<LogEvent>) => void; reject: (e: unknown) => void }[] = [];
  #paused = false;
  #error: unknown;
  /** Nothing more will be read for it. */
  over = false;

  constructor(follow: Follow, max: number) {
    this.#follow = follow;
    this.#max = max;
  }

  /** Reads a session too; `last`: its end is the feed's. */
  add(session: string, at: SubscribeOptions, last: boolean): void {
    if (this.over || this.#tracks.has(session)) return;
    const track = new Followed(this.#follow, session, at, this.#max);
    this.#tracks.set(session, track);
    track.onMessage((m) => m.kind === 'events' && m.events.forEach((e) => this.#push(e)));
    listen(track, 'reset', () => {
      // What was not taken is of a history that is no more.
      this.#queue = this.#queue.slice(this.#taken).filter((e) => e.session !== session);
      this.#taken = 0;
      if (!this.#queue.length) this.#drained();
    });
    listen<Problem>(track, 'error', (problem) => last && this.end(new ProblemError(problem)));
    listen(track, 'close', () => {
      if (this.#tracks.delete(session) && last) this.end();
    });
    if (this.#paused) track.pause();
  }

  remove(session: string): void {
    const track = this.#tracks.get(session);
    this.#tracks.delete(session);
    track?.close();
  }

  /** No more comes; what is buffered can still be taken. */
  end(error?: unknown): void {
    if (this.over) return;
    this.over = true;
    this.#error = error;
    for (const session of [...this.#tracks.keys()]) this.remove(session);
    for (const { resolve, reject } of this.#waiting.splice(0)) error ? reject(error) : resolve({ done: true, value: undefined });
  }

  next(): Promise<IteratorResult<LogEvent>> {
    return new Promise((resolve, reject) => {
      const value = this.#queue[this.#taken];
      if (value) {
        resolve({ done: false, value });
        if (++this.#taken === this.#queue.length) this.#drained();
      } else if (!this.over) this.#waiting.push({ resolve, reject });
      else if (this.#error) reject(this.#error);
      else resolve({ done: true, value });
    });
  }

  async return(): Promise<IteratorResult<LogEvent>> {
    this.#queue = [];
    this.end();
    return { done: true, value: undefined };
  }

  async throw(error: unknown): Promise<IteratorResult<LogEvent>> {
    await this.return();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #drained(): void {
    this.#queue = [];
    this.#taken = 0;
    if (!this.#paused) return;
    this.#paused = false;
    for (const track of this.#tracks.values()) track.resume();
  }

  #push(value: LogEvent): void {
    const waiting = this.#waiting.shift();
    if (waiting) return waiting.resolve({ done: false, value });
    if (this.#queue.push(value) - this.#taken < this.#max || this.#paused) return;
    this.#paused = true;
    for (const track of this.#tracks.values()) track.pause();
  }
}

/** Iterates over a feed and keeps it among `feeds` meanwhile. */
export async function* iterate(follow: Follow, max: number, feeds: Set<Feed>, begin: (feed: Feed) => void): AsyncGenerator<LogEvent> {
  const feed = new Feed(follow, max);
  feeds.add(feed);
  begin(feed);
  try {
    yield* feed;
  } finally {
    feed.end();
    feeds.delete(feed);
  }
}
