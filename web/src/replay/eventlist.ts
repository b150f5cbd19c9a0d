// A window of the log's rows. It moves by pages of the server and drops at one
// end what comes in at the other, so that a log of any length costs the same.
import { accepts, isOpen, looksInside, serverQuery, type Filter } from './filter';
import { bytesOf, type Cut, type CutPage, type Hole } from './slice';
import { readPage, type Pages } from './wire';

export interface EventRow {
  kind: 'event';
  id: number;
  type: string;
  turn: string;
  parent: string;
  time: string;
  /** Of data, in UTF-8. */
  bytes: number;
  /** The beginning of data. */
  preview: string;
}

/** Events that will not come, in their place. */
export interface HoleRow extends Hole {
  kind: 'hole';
  id: number;
}

export type Row = EventRow | HoleRow;

/** Rows that are held, and that one step brings. */
export const ROWS_MAX = 600;
export const STEP = 200;
/** Events that one step looks through before it lets the person say whether to go on: itself, and by the server. */
export const LOOK_MAX = 40_000;
export const LOOK_SERVER_MAX = 400_000;
const PREVIEW_MAX = 240;
// A page of what the server chooses is small however much it looks through; one
// that this page chooses from comes whole.
const CHOSEN_LIMIT = 10_000;
const INSIDE_LIMIT = 2_000;

type Way = 'older' | 'newer';

export class EventList {
  /** Ascending. Replaced, never changed. */
  rows: readonly Row[] = [];
  floor = 1;
  head = 0;
  /** The log is another one than that of the rows: open again. */
  replaced = false;
  private epoch = '';
  /** Nothing is left in this direction. */
  end: Record<Way, boolean> = { older: false, newer: false };
  /** The last step stopped because it had looked through LOOK_MAX events. */
  paused: Record<Way, boolean> = { older: false, newer: false };
  /** Where the next page begins: `before` and `after`. */
  private at: Record<Way, number> = { older: 0, newer: 0 };

  constructor(private readonly pages: Pages, readonly session: string, readonly filter: Filter) {}

  /** Up to which event was looked, in a direction. */
  looked(way: Way): number {
    return this.at[way];
  }

  /** Opens at the end of the log, or so that event `id` is in the middle. */
  async open(id?: number, signal?: AbortSignal): Promise<void> {
    if (id === undefined) {
      const page = await readPage(this.pages, this.session, { tail: 0 }, signal);
      this.begin(page.head + 1, page);
      await this.step('older', signal);
      this.end.newer = this.at.newer >= this.head;
      return;
    }
    const page = await readPage(this.pages, this.session, { after: Math.max(0, id - 1), limit: 1 }, signal);
    if (page.reset || id > page.head) return this.open(undefined, signal);
    this.begin(id, page);
    await this.step('newer', signal);
    await this.step('older', signal);
  }

  /** One step further; resolves when rows are there or nothing is. */
  async step(way: Way, signal?: AbortSignal): Promise<void> {
    const found: Row[] = [];
    const most = looksInside(this.filter) ? LOOK_MAX : LOOK_SERVER_MAX;
    let looked = 0;
    this.paused[way] = false;
    while (found.filter((r) => r.kind === 'event').length < STEP) {
      if (looked >= most) {
        this.paused[way] = true;
        break;
      }
      const before = this.at[way];
      const page = await this.read(way, signal);
      const rows = rowsOf(page, way, this.filter);
      if (way === 'older') found.unshift(...rows);
      else found.push(...rows);
      if (this.replaced || this.end[way] || this.at[way] === before) break;
      looked += Math.abs(this.at[way] - before);
    }
    this.add(way, found);
  }

  private begin(at: number, page: CutPage) {
    this.rows = [];
    this.at = { older: at, newer: at - 1 };
    this.end = { older: false, newer: false };
    [this.floor, this.head, this.epoch, this.replaced] = [page.floor, page.head, page.epoch, false];
  }

  private async read(way: Way, signal?: AbortSignal): Promise<CutPage> {
    const limit = looksInside(this.filter) ? INSIDE_LIMIT : isOpen(this.filter) ? STEP : CHOSEN_LIMIT;
    const cursor = way === 'older' ? { before: this.at.older } : { after: this.at.newer };
    const page = await readPage(this.pages, this.session, { ...cursor, ...serverQuery(this.filter), limit }, signal);
    if (page.reset || page.epoch !== this.epoch) {
      this.replaced = true;
      return { ...page, events: [], gap: undefined };
    }
    [this.floor, this.head] = [page.floor, page.head];
    this.at[way] = page.next;
    this.end[way] = way === 'older' ? page.caughtUp || page.next <= page.floor : page.next >= page.head;
    return page;
  }

  // What is dropped at the other end can be read again from there.
  private add(way: Way, found: readonly Row[]) {
    const known = new Set(this.rows.map((r) => r.id));
    const fresh = found.filter((r) => !known.has(r.id));
    if (way === 'older') {
      const all = [...fresh, ...this.rows];
      this.rows = all.slice(0, ROWS_MAX);
      if (all.length > ROWS_MAX) [this.at.newer, this.end.newer] = [lastOf(this.rows.at(-1)!), false];
    } else {
      const all = [...this.rows, ...fresh];
      this.rows = all.slice(-ROWS_MAX);
      if (all.length > ROWS_MAX) [this.at.older, this.end.older] = [this.rows[0]!.id, false];
    }
  }
}

function lastOf(row: Row): number {
  return row.kind === 'hole' ? row.to : row.id;
}

function rowsOf(page: CutPage, way: Way, filter: Filter): Row[] {
  const events: Row[] = page.events.filter((e) => accepts(filter, e)).map(rowOf);
  if (!page.gap) return events;
  const hole: Row = { kind: 'hole', id: page.gap.from, ...page.gap };
  return way === 'older' ? [...events, hole] : [hole, ...events];
}

/** The row of an event. */
export function rowOf(event: Cut): EventRow {
  const { id, type, turn, parent, time, data } = event;
  return { kind: 'event', id, type, turn, parent, time, bytes: bytesOf(data), preview: data.slice(0, PREVIEW_MAX) };
}
