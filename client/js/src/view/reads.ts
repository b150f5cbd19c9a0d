// What a view reads beside its live tail: pages of the past, and the older
// events that open matters came with.
import type { Connection } from '../api.js';
import type { Frames, Kontask, LogEvent, Page, Turn } from '../types.js';
import type { Gap } from './window.js';
import { bag, num, str } from './values.js';

type Hello = Frames['hello'];

/** Most that one page may hold; the server has bounds of its own. */
const limit = 10_000;
/** Requests at the same time for what is pinned: browsers allow six. */
const atOnce = 4;

export interface Range {
  events: LogEvent[];
  gaps: Gap[];
}

export class Reads {
  private readonly path: string;

  constructor(private readonly connection: Connection, readonly session: string, private readonly signal: AbortSignal) {
    this.path = `/v1/sessions/${encodeURIComponent(session)}`;
  }

  private get<T>(path: string, init: RequestInit = {}): Promise<T> {
    return this.connection.get<T>(path, { ...init, signal: this.signal });
  }

  tail(n: number): Promise<Page> {
    return this.get<Page>(`${this.path}/events?tail=${n}&fold=1&limit=${limit}`);
  }

  /** All events after one and up to another, folded. `fresh`: past every cache, for content of them was taken away. */
  async range(after: number, until: number, epoch: string, fresh = false): Promise<Range> {
    const read: Range = { events: [], gaps: [] };
    while (after < until) {
      const page = await this.get<Page>(`${this.path}/events?after=${after}&until=${until}&fold=1&limit=${limit}&epoch=${encodeURIComponent(epoch)}`, fresh ? { cache: 'reload' } : {});
      if (page.epoch !== epoch) throw new HistoryChanged();
      if (page.gap) read.gaps.push({ from: Math.max(page.gap.from, after + 1), to: Math.min(page.gap.to, until), reason: page.gap.reason });
      for (const e of page.events as LogEvent[]) if (e.id > after && e.id <= until) read.events.push(e);
      if (page.next <= after) break; // nothing more will come of it
      after = page.next;
    }
    return read;
  }

  private async event(id: number): Promise<LogEvent | undefined> {
    const page = await this.get<Page>(`${this.path}/events?after=${id - 1}&until=${id}`);
    return (page.events as LogEvent[]).find((e) => e.id === id);
  }

  /**
   * The events behind what hello says is open, as far as they lie at or before `start`. What is gone from the log is made of what hello
   * says, so that it can still be answered.
   */
  async open(hello: Hello, start: number, known: { id(id: number): boolean; kontask(id: string): boolean }): Promise<LogEvent[]> {
    const wanted: (() => Promise<(LogEvent | undefined)[]>)[] = [];
    for (const q of hello.questions.map(bag)) {
      const id = num(q.id) ?? 0;
      if (id > 0 && id <= start && !known.id(id)) wanted.push(async () => [(await this.event(id)) ?? this.made(id, 'permission_request', q, hello)]);
    }
    for (const t of hello.tasks.map(bag)) {
      const id = num(t.id) ?? 0;
      if (id > 0 && id <= start && !known.id(id)) wanted.push(() => this.task(id, t, start, hello));
    }
    for (const k of hello.kontasks.map(bag)) {
      if (!known.kontask(str(k.kontaskId))) wanted.push(() => this.kontask(str(k.kontaskId), start));
    }
    const found: (LogEvent | undefined)[] = [];
    for (let i = 0; i < wanted.length; i += atOnce) found.push(...(await Promise.all(wanted.slice(i, i + atOnce).map((want) => want()))).flat());
    return found.filter((e) => e !== undefined);
  }

  private made(id: number, type: string, data: Record<string, unknown>, hello: Hello): LogEvent {
    const event: LogEvent = { id, session: hello.session, type, time: str(data.time), data };
    if (str(data.turn)) event.turn = str(data.turn);
    if (str(data.parent)) event.parent = str(data.parent);
    return event;
  }

  private async task(id: number, t: Record<string, unknown>, start: number, hello: Hello): Promise<(LogEvent | undefined)[]> {
    const begun = (await this.event(id)) ?? this.made(id, 'task_start', t, hello);
    const last = num(t.last) ?? id;
    if (last <= id || last > start) return [begun];
    return [begun, { ...this.made(last, 'task_update', t, hello), time: begun.time }];
  }

  /** A kontask as one event in the place where it was delivered, which says all that was said up to now. */
  private async kontask(kontaskId: string, start: number): Promise<(LogEvent | undefined)[]> {
    const { session: _s, createdAt: _c, updatedAt, chosen: _h, events, ...record } = await this.get<Kontask>(`/v1/kontasks/${encodeURIComponent(kontaskId)}`);
    const id = num(bag(events).ready) ?? num(bag(events).created) ?? 0;
    if (id === 0 || id > start) return [];
    const place = (await this.event(id)) ?? { id, session: this.session, type: 'kontask_ready', time: updatedAt ?? '', data: null };
    return [{ ...place, type: 'kontask_ready', data: record }];
  }

  /** How a turn began, when that lies before what is held: its prompt and its turn_start. */
  async beginning(turn: string, start: number): Promise<LogEvent[]> {
    const t = await this.get<Turn>(`${this.path}/turns/${encodeURIComponent(turn)}`);
    const first = num(t.first) ?? 0;
    if (first === 0 || first > start) return [];
    const page = await this.get<Page>(`${this.path}/events?after=${first - 1}&until=${start}&turn=${encodeURIComponent(turn)}&types=prompt,turn_start&limit=2`);
    const events = page.events as LogEvent[];
    if (events.some((e) => e.type === 'turn_start') || !t.startedAt) return events;
    const at = Math.max(first, ...events.map((e) => e.id + 1)); // retention took it: its place is about there
    if (at > start) return events;
    return [...events, { id: at, session: this.session, type: 'turn_start', turn, time: t.startedAt, data: { agent: t.agent, prompt: events.length > 0 ? undefined : t.prompt } }];
  }
}

/** The session has another history now: what was read does not belong to it. */
export class HistoryChanged extends Error {}
