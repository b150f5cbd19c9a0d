// Who reads which session, where each has to be read from, and how what came
// reaches them.
import { ProblemError } from './api.js';
import type { Rest } from './rest.js';
import type { Reader } from './source.js';
import { gone } from './transports/http.js';
import type { Item, Place } from './transports/transport.js';
import type { Frames } from './types.js';

/** What a batch asks for. */
export interface Outcome {
  /** Sessions of which a reader misses something: attach again. */
  again: Set<string>;
  /** Sessions that this carrier does not bring, or no longer. */
  apart: Set<string>;
  /** Something new came. */
  fresh: boolean;
  bye?: Frames['bye'];
}

export class Readers {
  readonly #readers = new Map<string, Set<Reader>>();
  /** Wait for the hello of their attach: what comes before it is meant for others. */
  readonly #waiting = new Set<Reader>();
  /** What is known of a session: its bounds, and the last id that was passed on. */
  readonly #known = new Map<string, { head: number; floor: number; seen: number }>();
  readonly #rest: Pick<Rest, 'request'>;

  constructor(rest: Pick<Rest, 'request'>) {
    this.#rest = rest;
  }

  get sessions(): string[] {
    return [...this.#readers.keys()];
  }

  add(reader: Reader): void {
    const { session } = reader;
    this.#waiting.add(reader);
    this.#readers.set(session, (this.#readers.get(session) ?? new Set()).add(reader));
  }

  /** False when it was no reader any more. */
  remove(reader: Reader): boolean {
    const { session } = reader;
    const set = this.#readers.get(session);
    if (!set?.delete(reader)) return false;
    this.#waiting.delete(reader);
    if (!set.size) this.#forget(session);
    return true;
  }

  #forget(session: string): void {
    this.#readers.delete(session);
    this.#known.delete(session);
  }

  /**
   * Where all readers of a session can be served from. `tails`: the carrier knows how to begin at the tail. undefined: there
   * is no such session, as its readers have been told.
   */
  async place(session: string, tails: boolean, fold: boolean): Promise<Place | undefined> {
    const at = [...(this.#readers.get(session) ?? [])].map((r) => r.position());
    const [first] = at;
    if (!first) return undefined;
    const { after = 0, tail } = first;
    // Runs that are folded for one reader may begin before the cursor of another.
    const same = at.every((p) => (p.after ?? 0) === after && p.tail === tail);
    const place: Place = { session, after, fold: fold && same && at.every((p) => p.fold) };
    if (tail !== undefined && same && tails) return { ...place, tail };
    if (at.some((p) => p.tail !== undefined)) {
      const bounds = this.#known.get(session) ?? (await this.#ask(session));
      if (!bounds) return undefined;
      for (const p of at) if (p.tail !== undefined) p.after = Math.max(0, bounds.head - p.tail, bounds.floor - 1);
    }
    return { ...place, after: Math.min(...at.map((p) => p.after ?? 0)) };
  }

  async #ask(session: string): Promise<{ head: number; floor: number } | undefined> {
    try {
      return await this.#rest.request('GET', '/v1/sessions/' + session);
    } catch (e) {
      const { retryable, status, detail, code } = (e as ProblemError).problem;
      if (retryable || status === 401) throw e;
      this.#finish(session, [gone(session, detail, code)]);
      return undefined;
    }
  }

  /** Gives a carrier's items to their readers. `on`: the sessions that it carries; those that end are taken out. */
  deliver(batch: readonly Item[], on: Set<string>): Outcome {
    const out: Outcome = { again: new Set(), apart: new Set(), fresh: false };
    let group: Item[] = [];
    let of = '';
    const flush = () => {
      if (group.length) this.#group(of, group, on, out);
      group = [];
    };
    for (const item of batch) {
      const { session } = item as Frames['bye'];
      if (session && item.type !== 'ping') {
        if (session !== of) flush();
        of = session;
        group.push(item);
      } else if (ends(item)) {
        flush();
        // An event stream of several sessions ends so with the last of them.
        if (final(item)) for (const one of [...on]) this.#group(one, [{ ...item, session: one }], on, out);
        if (item.type === 'bye') out.bye = item;
      }
    }
    flush();
    return out;
  }

  #group(session: string, items: Item[], on: Set<string>, out: Outcome): void {
    const readers = this.#readers.get(session);
    if (!readers) return;
    const end = items.find(ends);
    if (end) {
      on.delete(session);
      if (end.type === 'bye' && end.reason === 'deleted') items.splice(items.indexOf(end), 0, gone(session, 'the session was deleted'));
      if (final(end)) return this.#finish(session, items);
      out.apart.add(session);
      items = items.filter((i) => !ends(i));
    }
    if (this.#note(session, items)) out.fresh = true;
    if (items.some((i) => i.type === 'hello')) readers.forEach((r) => this.#waiting.delete(r));
    for (const reader of [...readers]) {
      if (this.#waiting.has(reader) || reader.deliver(items)) continue;
      this.#waiting.add(reader); // it is asked for once
      out.again.add(session);
    }
  }

  /** Remembers where the session is; true when an event is new. */
  #note(session: string, items: readonly Item[]): boolean {
    const known = this.#known.get(session) ?? { head: 0, floor: 1, seen: 0 };
    let fresh = false;
    for (const item of items) {
      if ('data' in item) {
        if (item.id > known.seen) fresh = true;
        known.seen = Math.max(known.seen, item.id);
        known.head = Math.max(known.head, item.id);
      } else if (item.type === 'hello') Object.assign(known, { head: item.head, floor: item.floor });
      else if (item.type === 'reset') known.seen = 0;
    }
    if (known.head) this.#known.set(session, known);
    return fresh;
  }

  #finish(session: string, items: Item[]): void {
    const readers = this.#readers.get(session) ?? [];
    this.#forget(session);
    for (const reader of readers) {
      this.#waiting.delete(reader);
      reader.deliver(items);
    }
  }
}

/** An event may be of the type error too. */
function ends(item: Item): item is Frames['error'] | Frames['bye'] {
  return item.type === 'bye' || (item.type === 'error' && !('data' in item));
}

/** No attempt will ever bring more of this session. One that is not authorized may be when the credential is renewed; reading it apart shows which. */
function final(frame: Frames['error'] | Frames['bye']): boolean {
  return frame.type === 'bye' ? frame.reason === 'deleted' || frame.reason === 'until' : !frame.retryable && frame.code !== 'transport_disabled' && frame.code !== 'unauthorized';
}
