// The part of a log that a view holds: its events, the holes in them, and the
// few older events without which that part would not make sense.
import type { LogEvent } from '../types.js';
import { Fold, type GapReason } from './fold.js';
import type { Conversation } from './types.js';
import { bag, str } from './values.js';

/** Events that are held while nobody asks for older ones, and those that may be when somebody does. */
export const heldMax = 50_000;
export const heldLoadedMax = 200_000;
/** Characters, about; an event may be a megabyte. */
export const heldSizeMax = 128 << 20;
/** How many go at once: each time costs a fold of those that stay. */
const goAtOnce = 10_000;
/** A cut is moved on to the beginning of a turn that is no further away than this. */
const alignMax = 2_000;
const settlesMax = 100;

export interface Gap {
  from: number;
  to: number;
  reason: 'retention' | 'redacted';
}

export class Window {
  private log: LogEvent[] = [];
  private gaps: Gap[] = [];
  /** Older than start, ascending. */
  private pins: LogEvent[] = [];
  /** What the server said of the open turn that the events did not. */
  private settles: { after: number; turn: string }[] = [];
  private fold: Fold;
  private max = heldMax;
  private size = 0;
  /** Id of the last event that was dealt with. */
  last: number;

  /** Everything after `start` is known. */
  constructor(public start: number) {
    this.last = start;
    this.fold = new Fold({ after: start, partial: start > 0 });
  }

  get conversation(): Conversation {
    return this.fold.conversation;
  }

  get events(): readonly LogEvent[] {
    return this.log;
  }

  append(events: readonly LogEvent[]): void {
    const news = events.filter((e) => e.id > this.last);
    if (news.length === 0) return;
    this.fold.apply(news);
    for (const e of news) {
      this.log.push(e);
      this.size += weight(e);
    }
    this.last = news.at(-1)!.id;
    if (this.log.length > this.max + goAtOnce || this.size > heldSizeMax) this.letGo();
  }

  gap(gap: Gap): void {
    if (gap.to <= this.last) return;
    this.gaps.push(gap);
    this.last = gap.to;
    this.fold.gap(gap.from, gap.to, gap.reason);
  }

  /** Takes the server's word for the open turn, as of an event. */
  settle(head: number, turn: string): void {
    if (head !== this.last || !this.fold.settle(turn)) return;
    this.settles.push({ after: head, turn });
    if (this.settles.length > settlesMax) this.settles.shift();
  }

  /** Puts older events before those that are held. */
  prepend(events: readonly LogEvent[], gaps: readonly Gap[], start: number): void {
    this.log = [...events, ...this.log];
    for (const e of events) this.size += weight(e);
    this.gaps = [...gaps, ...this.gaps];
    this.start = start;
    this.pins = this.pins.filter((e) => e.id <= start);
    this.max = Math.max(this.max, Math.min(heldLoadedMax, this.log.length + goAtOnce));
    this.refold();
  }

  /** No more fits: who wants to see even older events has to look at a part of the log. */
  get full(): boolean {
    return this.log.length >= heldLoadedMax || this.size > heldSizeMax / 2;
  }

  /** Adds events that are older than the part. */
  pin(events: readonly LogEvent[]): void {
    const known = new Set(this.pins.map((e) => e.id));
    const news = events.filter((e) => e.id <= this.start && !known.has(e.id));
    if (news.length === 0) return;
    this.pins = [...this.pins, ...news].sort((a, b) => a.id - b.id);
    this.refold();
  }

  isPinned(id: number): boolean {
    return this.pins.some((e) => e.id === id);
  }

  /** The ids that have to be read again when what is in a range is another: events that stand for a run have to be read whole. */
  span(from: number, to: number): { from: number; to: number } | undefined {
    if (to <= this.start || from > this.last) return undefined;
    let lo = Math.max(from, this.start + 1);
    let hi = Math.min(to, this.last);
    for (const e of this.log) {
      if (e.id < lo || (e.from ?? e.id) > hi) continue;
      lo = Math.min(lo, e.from ?? e.id);
      hi = Math.max(hi, e.id);
    }
    return { from: lo, to: hi };
  }

  replace(from: number, to: number, events: readonly LogEvent[], gaps: readonly Gap[]): void {
    const within = (e: { id: number }): boolean => e.id >= from && e.id <= to;
    this.log = [...this.log.filter((e) => e.id < from), ...events.filter(within), ...this.log.filter((e) => e.id > to)];
    this.gaps = [...this.gaps.filter((g) => g.to < from || g.from > to), ...gaps].sort((a, b) => a.from - b.from);
    this.refold();
  }

  /** Drops what was pinned of a range that was redacted. */
  unpin(from: number, to: number): void {
    const rest = this.pins.filter((e) => e.id < from || e.id > to);
    if (rest.length === this.pins.length) return;
    this.pins = rest;
    this.refold();
  }

  /** Whether an event is in the part, or stood there and is left out by the fold. */
  holds(id: number): boolean {
    return id > this.start && id <= this.last && !this.gaps.some((g) => g.from <= id && id <= g.to);
  }

  private refold(): void {
    const first = this.pins[0];
    const fold = new Fold({ after: first ? first.id - 1 : this.start, partial: this.start > 0 });
    if (first) {
      fold.apply(this.pins);
      if (this.pins.at(-1)!.id < this.start) fold.gap(this.pins.at(-1)!.id + 1, this.start, 'unloaded' satisfies GapReason);
    }
    const gaps = [...this.gaps];
    const settles = [...this.settles];
    let from = 0;
    for (let i = 0; i <= this.log.length; i++) {
      const next = this.log[i];
      const begins = next ? next.from ?? next.id : Infinity;
      if (!(gaps[0] && gaps[0].from < begins) && !(settles[0] && settles[0].after < begins)) continue;
      fold.apply(this.log.slice(from, i));
      from = i;
      while (gaps[0] && gaps[0].from < begins) {
        const { from: lo, to, reason } = gaps.shift()!;
        fold.gap(lo, to, reason);
      }
      while (settles[0] && settles[0].after < begins) fold.settle(settles.shift()!.turn);
    }
    fold.apply(this.log.slice(from));
    fold.reuse(this.fold.conversation);
    this.fold = fold;
  }

  /** Lets the oldest events go, but for those that open matters came with. */
  private letGo(): void {
    let cut = Math.max(0, this.log.length - this.max, Math.min(goAtOnce, this.log.length >> 1));
    for (let i = cut; i < Math.min(cut + alignMax, this.log.length); i++) {
      if (begins(this.log[i]!)) {
        cut = i;
        break;
      }
    }
    const gone = this.log.slice(0, cut);
    if (gone.length === 0) return;
    this.pins = [...this.pins, ...gone].filter(this.stays());
    this.log = this.log.slice(cut);
    this.start = gone.at(-1)!.id;
    this.gaps = this.gaps.filter((g) => g.from > this.start);
    this.settles = this.settles.filter((s) => s.after > this.start);
    for (const e of gone) this.size -= weight(e);
    this.refold();
  }

  /** Which events are needed by what is open. */
  private stays(): (event: LogEvent) => boolean {
    const c = this.conversation;
    const questions = new Set(c.questions.map((q) => q.requestId));
    const kontasks = new Set([...c.kontasks, ...c.preparing].map((k) => k.kontaskId));
    const tasks = new Set(c.tasks.map((t) => t.taskId));
    const turns = new Set([...c.queued, ...(c.openTurn ? [c.openTurn] : [])].map((s) => s.turn));
    return (e) => {
      const d = bag(e.data);
      if (e.type === 'permission_request') return questions.has(str(d.requestId));
      if (e.type.startsWith('kontask_')) return kontasks.has(str(d.kontaskId) || str(d.id));
      if (e.type.startsWith('task_')) return tasks.has(str(d.taskId));
      return begins(e) && turns.has(e.turn ?? '');
    };
  }
}

const begins = (e: LogEvent): boolean => e.type === 'turn_start' || e.type === 'prompt';

/** About how many characters an event takes. */
function weight(e: LogEvent): number {
  return 200 + weigh(e.data, 4);
}

function weigh(value: unknown, depth: number): number {
  if (typeof value === 'string') return value.length;
  if (typeof value !== 'object' || value === null || depth === 0) return 8;
  let sum = 0;
  for (const v of Object.values(value)) sum += 16 + weigh(v, depth - 1);
  return sum;
}
