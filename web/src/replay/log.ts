// A whole log, page by page, for going back and forth in it. Pages are kept as
// they are as far as there is room; of those that had to go the folded form
// stays, which shows the same and is small.
import type { LogEvent } from '@konlog/client';
import type { Hole } from './slice';
import { Timeline } from './timeline';
import { eventsPath, type Pages, type Query } from './wire';

/** Events of a page. */
export const PAGE = 2_000;
/** Text of pages that are kept as they are, and of folded ones, in UTF-16 units. */
export const WHOLE_MAX = 32 << 20;
export const FOLDED_MAX = 96 << 20;
/** Events of a log that one replay holds. */
export const EVENTS_MAX = 1_000_000;

/** A page of a log: the answer of a read, or a stretch of what is at hand. */
export interface PageBody {
  epoch: string;
  floor: number;
  head: number;
  next: number;
  events: LogEvent[];
  gap?: Hole;
  reset?: unknown;
}

/** Where a log is read from. `size`: how much text the page was; 0 for what is in memory anyway. */
export type ReadPage = (query: Query, signal?: AbortSignal) => Promise<{ page: PageBody; size: number }>;

/** Reads a session's log from the server. */
export function serverLog(pages: Pages, session: string): ReadPage {
  return async (query, signal) => {
    const text = await pages.text(eventsPath(session, query), signal);
    return { page: JSON.parse(text) as PageBody, size: text.length };
  };
}

/** What a page brings: a hole, if there is one, and the events after it. */
export interface Part {
  gap: Hole | undefined;
  events: readonly LogEvent[];
}

/** A stretch of the log. Its events have the places from..to on the timeline. */
export interface Segment {
  after: number;
  next: number;
  from: number;
  to: number;
  whole: readonly Part[] | undefined;
  folded: readonly Part[] | undefined;
  size: number;
  foldedSize: number;
}

export class RecordedLog {
  readonly line = new Timeline();
  readonly segments: Segment[] = [];
  floor = 1;
  head = 0;
  /** All up to the head was read. */
  complete = false;
  /** The rest has no room; see after(). */
  full = false;
  private epoch = '';
  private wholeSize = 0;
  private foldedSize = 0;
  /** Segments by their last use, the oldest first. */
  private readonly used = new Set<Segment>();

  constructor(private readonly read: ReadPage, private readonly begin = 0, private readonly wholeMax = WHOLE_MAX) {}

  /** Id of the last event that was read. */
  after(): number {
    return this.segments.at(-1)?.next ?? this.begin;
  }

  /** Reads on to the head; tell is called after each page with what is new. False: the log was replaced, begin anew. */
  async load(tell: (part: Part) => void, signal?: AbortSignal): Promise<boolean> {
    this.complete = false;
    for (;;) {
      if (this.line.length >= EVENTS_MAX || this.foldedSize > FOLDED_MAX) {
        this.full = true;
        return true;
      }
      const after = this.after();
      const { page, size } = await this.read({ after, limit: PAGE }, signal);
      if (this.segments.length === 0 && this.epoch === '') this.epoch = page.epoch;
      if (page.epoch !== this.epoch || page.reset !== undefined) return false;
      [this.floor, this.head] = [page.floor, page.head];
      if (page.next > after) {
        const part = { gap: page.gap, events: page.events };
        this.add(part, after, page.next, size);
        tell(part);
        await this.makeRoom(signal);
      }
      if (page.next >= page.head || page.next <= after) {
        this.complete = true;
        return true;
      }
    }
  }

  /** The segment with the event at this place, or the next one. */
  segmentAt(place: number): number {
    let [low, high] = [0, this.segments.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.segments[middle]!.to < place) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** A segment as it is at hand: whole, else folded. */
  atHand(segment: Segment): readonly Part[] {
    return segment.whole ?? segment.folded ?? [];
  }

  /** Every event of a segment; read again when it had to go. */
  async whole(segment: Segment, signal?: AbortSignal): Promise<readonly Part[]> {
    if (!segment.whole) {
      const { parts, size } = await this.range(segment, {}, signal);
      segment.whole = parts;
      segment.size = size;
      this.wholeSize += size;
    }
    this.touch(segment);
    await this.makeRoom(signal, segment);
    return segment.whole!;
  }

  // The head of a live session comes in small pages: they go into the last
  // segment until it is one.
  private add(part: Part, after: number, next: number, size: number) {
    const from = this.line.length;
    for (const e of part.events) this.line.add(e.id, Date.parse(e.time), e.type);
    const to = this.line.length - 1;
    this.wholeSize += size;
    const last = this.segments.at(-1);
    if (last?.whole && !last.folded && to - last.from < PAGE) {
      last.whole = [...last.whole, part];
      [last.next, last.to, last.size] = [next, to, last.size + size];
      return;
    }
    const segment = { after, next, from, to, whole: [part], folded: undefined, size, foldedSize: 0 };
    this.segments.push(segment);
    this.touch(segment);
  }

  private touch(segment: Segment) {
    this.used.delete(segment);
    this.used.add(segment);
  }

  // Lets the segments go that were not used for longest; the last one grows and
  // stays.
  private async makeRoom(signal?: AbortSignal, keep?: Segment) {
    for (const segment of this.used) {
      if (this.wholeSize <= this.wholeMax) return;
      if (segment === keep || segment === this.segments.at(-1)) continue;
      if (!segment.folded) {
        const { parts, size } = await this.range(segment, { fold: 1 }, signal);
        segment.folded = parts;
        segment.foldedSize = size;
        this.foldedSize += size;
      }
      segment.whole = undefined;
      this.wholeSize -= segment.size;
      this.used.delete(segment);
    }
  }

  private async range(segment: Segment, query: Query, signal?: AbortSignal): Promise<{ parts: Part[]; size: number }> {
    const parts: Part[] = [];
    let size = 0;
    for (let after = segment.after; after < segment.next; ) {
      const { page, size: length } = await this.read({ ...query, after, until: segment.next, limit: PAGE }, signal);
      if (page.epoch !== this.epoch) throw new Error('The session was replaced by another history. Open the replay again.');
      if (page.next <= after) break;
      parts.push({ gap: page.gap, events: page.events });
      size += length;
      after = page.next;
    }
    return { parts, size };
  }
}
