// What the list knows of each session: first from REST, from then on from the
// feed. The feed may tell again what REST has told already, because reading
// the two is not one moment; applying must not mind. No network, no signals.
import { dataOf, type LogEvent, type SessionInfo } from '@konlog/client';

/** One session of the list. Replaced, never changed. */
export interface Row {
  id: string;
  title: string;
  scope: string;
  tags: readonly string[];
  /** Id of its last event, as far as the list was told. */
  head: number;
  /** Times are Date.now's. */
  createdAt: number;
  updatedAt: number;
  closed: boolean;
  /** The open turn, '' without one, and since when it runs; 0 when that is not known. */
  turn: string;
  turnSince: number;
  questions: ReadonlyMap<string, Asked>;
  cards: ReadonlyMap<string, Card>;
  /** The turn that ended last, as far as it was not seen when it was told. */
  ended: Ended | undefined;
  /** Up to where this person has seen it, on any device. */
  seen: number;
  /** Title and the rest are known; false for one of which only the feed has spoken. */
  known: boolean;
  /** Events up to here are reflected whole. */
  full: number;
  /** Events up to here are reflected in `turn`; those of them that ask for a person are not. */
  base: number;
  /** As of `base`: the last event that asks for a person. */
  notable: number;
}

export interface Asked {
  id: number;
  turn: string;
  tool: string;
}

export interface Card {
  /** Of the event that delivered it: who has seen that has seen the card. */
  ready: number;
  title: string;
}

export interface Ended {
  id: number;
  success: boolean;
  reason: string;
  error: string;
}

/** GET /v1/inbox, as far as the list needs it. */
export interface InboxItem {
  session: SessionInfo;
  seen: number;
  ended?: { id: number; success: boolean; reason?: string };
  questions: { id: number; requestId: string; turn?: string; tool?: string }[];
  kontasks: { kontaskId: string; ready: number; title?: string }[];
}

/** Without credentials everybody is this subject (docs/PROTOCOL.md 7.7). */
export const SUBJECT = 'local';

/** Everything that was asked of REST for one picture of all sessions. */
export interface Snapshot {
  /** The newest page, asked for before the inbox. */
  list: readonly SessionInfo[];
  /** All that have an open turn, likewise. */
  working: readonly SessionInfo[];
  inbox: readonly InboxItem[];
  /** False: rows that the snapshot does not name are gone, as after a restore. True: the feed has told all of them. */
  keep: boolean;
}

export class Model {
  readonly rows = new Map<string, Row>();
  /** The feed told of something that a page had told already, and not clearly enough: only a new snapshot settles it. */
  doubt = false;

  /** Puts the snapshot in the place of what was known. Feed events from before it was asked for must have been applied, later ones come after. */
  load(snapshot: Snapshot): void {
    // Of another history nothing counts, not even what was seen: ids begin anew.
    const old = new Map(snapshot.keep ? this.rows : []);
    this.rows.clear();
    this.doubt = false;
    for (const row of old.values()) this.rows.set(row.id, row);
    for (const s of [...snapshot.list, ...snapshot.working]) this.rows.set(s.id, fromSession(s, s.head, old.get(s.id)));
    for (const item of snapshot.inbox) this.rows.set(item.session.id, fromInbox(item, old.get(item.session.id)));
  }

  /** Adds a page that was asked for later. Of rows that are here it tells only what the feed does not. */
  add(sessions: readonly SessionInfo[]): void {
    for (const s of sessions) {
      const row = this.rows.get(s.id);
      this.rows.set(s.id, !row ? fromSession(s, 0, undefined) : row.known ? describe(row, s) : fill(row, s));
    }
  }

  /** Applies an event of the feed. Returns the session that it spoke of when its row is another now, else ''. */
  apply(event: LogEvent): string {
    const { session, id } = said(event);
    if (!session) return '';
    const before = this.rows.get(session);
    if (event.type === 'session_deleted') return this.rows.delete(session) ? session : '';
    if (!before && event.type === 'seen') return ''; // nothing of it waited
    const row = change(before ?? stub(session), event, id);
    if (before && unclear(before, event, id)) this.doubt = true;
    if (row === before) return '';
    this.rows.set(session, row);
    return session;
  }

  /** Lets the rows go that were quiet for longest, down to so many; `stays` says which have to stay even so. */
  trim(most: number, stays: (row: Row) => boolean): void {
    let over = this.rows.size - most;
    if (over <= 0) return;
    const byAge = [...this.rows.values()].sort((a, b) => a.updatedAt - b.updatedAt);
    for (const row of byAge) {
      if (over <= 0) return;
      if (!stays(row) && this.rows.delete(row.id)) over--;
    }
  }

  /** Raises the mark here, before the server has said so. */
  see(session: string, id: number): boolean {
    const row = this.rows.get(session);
    if (!row || id <= row.seen) return false;
    this.rows.set(session, { ...row, seen: id });
    return true;
  }
}

interface Said {
  session: string;
  id: number;
}

function said(event: LogEvent): Said {
  const data = event.data as Partial<Said> | null;
  return { session: typeof data?.session === 'string' ? data.session : '', id: typeof data?.id === 'number' ? data.id : 0 };
}

const text = (value: unknown) => (typeof value === 'string' ? value : '');

function change(row: Row, event: LogEvent, id: number): Row {
  const time = Date.parse(event.time) || 0;
  if (event.type === 'seen') {
    const subject = text((event.data as { subject?: unknown }).subject);
    return subject === SUBJECT && id > row.seen ? { ...row, seen: id } : row;
  }
  const moved = { ...row, head: Math.max(row.head, id), updatedAt: Math.max(row.updatedAt, time) };
  if (event.type === 'session_created' || event.type === 'session_updated') return named(moved, event, time);
  if (id <= row.full) return row;
  return told(moved, event, id, time);
}

function named(row: Row, event: LogEvent, time: number): Row {
  const data = event.data as { title?: unknown; scope?: unknown; tags?: unknown };
  const tags = Array.isArray(data.tags) ? data.tags.filter((t): t is string => typeof t === 'string') : [];
  return { ...row, title: text(data.title), scope: text(data.scope), tags, createdAt: row.createdAt || time };
}

function told(row: Row, event: LogEvent, id: number, time: number): Row {
  const turn = event.turn ?? '';
  switch (event.type) {
    case 'turn_start':
      if (id <= row.base) return turn === row.turn ? { ...row, turnSince: row.turnSince || time } : row;
      return { ...row, turn, turnSince: time };
    case 'turn_end':
      return ended(row, event, id, turn);
    case 'permission_request': {
      const data = dataOf(event, 'permission_request');
      if (!data.requestId) return row;
      return { ...row, questions: put(row.questions, data.requestId, { id, turn, tool: text(data.tool) }) };
    }
    case 'permission_response':
      return { ...row, questions: take(row.questions, (_, key) => key === dataOf(event, 'permission_response').requestId) };
    case 'session_closed':
      return { ...row, closed: true, turn: '', turnSince: 0, questions: new Map() };
    default:
      return event.type.startsWith('kontask_') ? card(row, event, id) : row;
  }
}

/** A turn that was withdrawn before it began ends too, but is no result. */
function ended(row: Row, event: LogEvent, id: number, turn: string): Row {
  const questions = take(row.questions, (q) => q.turn === turn);
  const open = turn === row.turn;
  const began = open || (id <= row.base && id === row.notable);
  if (!began || id < (row.ended?.id ?? 0)) return { ...row, questions };
  const data = dataOf(event, 'turn_end');
  const end = { id, success: data.success === true, reason: text(data.reason), error: text(data.error) };
  return { ...row, questions, ended: end, ...(open && { turn: '', turnSince: 0 }) };
}

/** A turn's end that the page's session had behind it: the page does not say whether that turn had begun. */
function unclear(row: Row, event: LogEvent, id: number): boolean {
  return event.type === 'turn_end' && id > row.full && id <= row.base && id < row.notable;
}

function card(row: Row, event: LogEvent, id: number): Row {
  const data = dataOf(event, 'kontask_ready');
  const key = text(data.kontaskId);
  const known = row.cards.get(key);
  if (!key || (!known && event.type !== 'kontask_ready')) return row;
  if (event.type === 'kontask_chosen') return { ...row, cards: take(row.cards, (_, k) => k === key) };
  return { ...row, cards: put(row.cards, key, { ready: known?.ready ?? id, title: text(data.title) || known?.title || '' }) };
}

function put<T>(map: ReadonlyMap<string, T>, key: string, value: T): ReadonlyMap<string, T> {
  return new Map(map).set(key, value);
}

function take<T>(map: ReadonlyMap<string, T>, drop: (value: T, key: string) => boolean): ReadonlyMap<string, T> {
  const rest = new Map([...map].filter(([key, value]) => !drop(value, key)));
  return rest.size === map.size ? map : rest;
}

function stub(id: string): Row {
  return {
    id, title: '', scope: '', tags: [], head: 0, createdAt: 0, updatedAt: 0, closed: false, turn: '', turnSince: 0,
    questions: new Map(), cards: new Map(), ended: undefined, seen: 0, known: false, full: 0, base: 0, notable: 0,
  };
}

function describe(row: Row, s: SessionInfo): Row {
  return {
    ...row, title: s.title, scope: s.scope, tags: s.tags, known: true, createdAt: Date.parse(s.createdAt) || 0,
    head: Math.max(row.head, s.head), updatedAt: Math.max(row.updatedAt, Date.parse(s.updatedAt) || 0),
  };
}

/** Of a row that only the feed has spoken of, the page also says whether a turn is open. */
function fill(row: Row, s: SessionInfo): Row {
  const { seen, questions, cards, ended: end, turnSince } = row;
  return { ...fromSession(s, 0, row), seen, questions, cards, ended: end, turnSince: s.turn && s.turn === row.turn ? turnSince : 0 };
}

function fromSession(s: SessionInfo, full: number, old: Row | undefined): Row {
  const turn = s.turn ?? '';
  return {
    ...describe(stub(s.id), s), closed: s.state === 'closed', turn, turnSince: turn && old?.turn === turn ? old.turnSince : 0,
    seen: old?.seen ?? 0, full, base: s.head, notable: s.notable ?? 0,
  };
}

function fromInbox(item: InboxItem, old: Row | undefined): Row {
  const { ended: end } = item;
  const row = fromSession(item.session, item.session.head, old);
  return {
    ...row,
    seen: Math.max(item.seen, old?.seen ?? 0),
    ended: end && { id: end.id, success: end.success, reason: end.reason ?? '', error: old?.ended?.id === end.id ? old.ended.error : '' },
    questions: new Map(item.questions.map((q) => [q.requestId, { id: q.id, turn: q.turn ?? '', tool: q.tool ?? '' }])),
    cards: new Map(item.kontasks.map((k) => [k.kontaskId, { ready: k.ready, title: k.title ?? '' }])),
  };
}
