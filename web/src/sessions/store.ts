// The sessions of the page as signals: read once, kept live by the feed.
import { ProblemError, type LogEvent, type SessionInfo, type Subscription } from '@konlog/client';
import { batch, computed, signal, type Signal } from '@preact/signals';
import { connection } from '../app/connection';
import { badges, needsPerson, unread } from './badges';
import { arrange, matches, query, type Filter } from './filter';
import { Model, type InboxItem, type Row } from './model';
import { Look } from './look';

/** Sessions of one page of the list. */
const PAGE = 200;
/** Of requests that should bring everything of their kind. */
const WHOLE = 1_000;
/** Pages of the inbox that are read at most: twenty thousand sessions that wait. */
const INBOX_PAGES_MAX = 20;
/** Rows that are held of those that nothing asks for; who has more finds them by the filter. */
const ROWS_MAX = 20_000;
/** The bound may be passed by so many: each time that rows go costs a look at all of them. */
const ROWS_OVER = 1_000;
/** The order of the list changes at most this often, so that rows can be hit. */
const ORDER_MS = 250;
/** Sessions that only the feed has named are asked for together. */
const ASK_MS = 300;
const ASK_MAX = 20;
/** Two readings of everything are at least this far apart. */
const REFRESH_MS = 5_000;
/** How often everything is read where the feed is switched off. */
const WITHOUT_FEED_MS = 30_000;

const model = new Model();
/** Rows that are on the screen. */
const live = new Map<string, Signal<Row | undefined>>();
const version = signal(0);

/** loading until the first list stands; failed says why it does not. */
export const listState = signal<{ phase: 'loading' | 'ready' | 'failed'; trouble: string }>({ phase: 'loading', trouble: '' });
export const filter = signal<Filter>({ name: 'all', text: '', scope: '', tag: '' });
/** Rows of the filter, in order. Changes at most every ORDER_MS. */
export const visible = computed<readonly Row[]>(() => (version.value, arrange(model.rows.values(), filter.value)));
const everyone: Filter = { name: 'all', text: '', scope: '', tag: '' };
/** All rows, in order, for the switcher. */
export const visibleAll = computed<readonly Row[]>(() => (version.value, arrange(model.rows.values(), everyone)));
/** How many sessions are held. */
export const total = computed(() => (version.value, model.rows.size));
/** Rows by what they ask for, for the filter's buttons. */
export const tally = computed(() => {
  void version.value;
  const n = { 'needs-you': 0, working: 0, unread: 0 };
  for (const row of model.rows.values()) {
    if (needsPerson(row)) n['needs-you']++;
    if (unread(row)) n.unread++;
    if (badges(row).includes('working')) n.working++;
  }
  return n;
});
/** Sessions that wait for a person: the number in the page's title. */
export const needsYou = computed(() => tally.value['needs-you']);
/** Grows when what the inbox holds may be another. */
export const inboxVersion = signal(0);
/** Scopes and tags that occur, for the filter. */
export const labels = computed(() => {
  void version.value;
  const scopes = new Set<string>();
  const tags = new Set<string>();
  for (const row of model.rows.values()) {
    if (row.scope) scopes.add(row.scope);
    for (const tag of row.tags) tags.add(tag);
  }
  return { scopes: [...scopes].sort(), tags: [...tags].sort() };
});

/** One row, by itself: who draws it is not drawn anew for others. */
export function rowOf(session: string): Signal<Row | undefined> {
  const known = live.get(session);
  if (known) return known;
  // Kept while somebody looks at it, also when there is no such session (yet): it may come.
  const row: Signal<Row | undefined> = signal(model.rows.get(session), {
    unwatched: () => {
      if (live.get(session) === row) live.delete(session);
    },
  });
  live.set(session, row);
  return row;
}

/** Whether the session is a terminal, as far as is known. */
export function isTerminal(id: string): boolean {
  return rowOf(id).value?.tags?.includes('shell') === true;
}

/** Has the session described that a page is about, however far down the list it is. */
export async function want(session: string): Promise<void> {
  if (session.startsWith('_') || model.rows.get(session)?.known) return; // the server's own are in no list
  await describe(session);
  changed([session]);
}

/** A tab may be open for weeks, and the feed names every session that there ever is. */
function trim(): void {
  if (model.rows.size <= ROWS_MAX + ROWS_OVER) return;
  const { name: _, ...words } = filter.value;
  const asked = words.text !== '' || words.scope !== '' || words.tag !== '';
  model.trim(ROWS_MAX, (row) => badges(row).length > 0 || live.has(row.id) || (asked && matches(row, { name: 'all', ...words })));
}

/** The row as it is now. */
export function peek(session: string): Row | undefined {
  return model.rows.get(session);
}

let ordering: ReturnType<typeof setTimeout> | undefined;

function changed(sessions: Iterable<string>): void {
  batch(() => {
    for (const id of sessions) {
      const row = live.get(id);
      if (row) row.value = model.rows.get(id);
    }
  });
  ordering ??= setTimeout(() => {
    ordering = undefined;
    trim();
    batch(() => {
      version.value++;
      inboxVersion.value++;
    });
  }, ORDER_MS);
}

function everything(): void {
  batch(() => {
    for (const [id, row] of live) row.value = model.rows.get(id);
    version.value++;
    inboxVersion.value++;
  });
}

const get = <T>(path: string) => connection.get<T>(path);
const trouble = (error: unknown) => (error instanceof ProblemError ? error.message : 'The server does not answer.');

// --- the feed ---

let feed: Subscription | undefined;
/** What came while everything was being read; undefined when nothing is. */
let held: LogEvent[] | undefined;
let refreshedAt = 0;
let refreshTimer: ReturnType<typeof setTimeout> | undefined;
let pace: ReturnType<typeof setInterval> | undefined;

/** Reads the list and follows the feed, for the life of the page. */
export function start(): void {
  void begin();
  connection.addEventListener('state', onState);
}

async function begin(): Promise<void> {
  try {
    const { head, epoch } = await get<SessionInfo>('/v1/sessions/_feed');
    follow(head, epoch);
    await readAll(false);
  } catch (error) {
    listState.value = { phase: 'failed', trouble: trouble(error) };
    later(() => void begin(), error);
  }
}

/** Wait until somebody has signed in. */
const stalled = new Set<() => void>();

/** Tries again after a while; what the server wants a sign-in for, once there is one. */
function later(run: () => void, error: unknown): void {
  if (error instanceof ProblemError && error.problem.status === 401) stalled.add(run);
  else setTimeout(run, REFRESH_MS);
}

function follow(after: number, epoch: string): void {
  if (feed) return;
  feed = connection.session('_feed', { after, epoch });
  feed.onMessage((message) => message.kind === 'events' && take(message.events));
  feed.addEventListener('reset', () => void refresh(false));
  feed.addEventListener('gap', () => void refresh(false));
  // Switched off at the server: then everything is read from time to time.
  feed.addEventListener('error', () => {
    pace ??= setInterval(() => document.hidden || connection.state.phase === 'unauthorized' || void refresh(true), WITHOUT_FEED_MS);
  });
}

let wasLive = true;
function onState(): void {
  const { phase } = connection.state;
  const now = phase === 'live';
  if (phase !== 'unauthorized') {
    const waiting = [...stalled];
    stalled.clear();
    for (const run of waiting) run();
  }
  // Imports and heads are no news to the feed, so a return is worth a look.
  if (now && !wasLive && feed) void refresh(true);
  wasLive = now;
}

function take(events: readonly LogEvent[]): void {
  if (held) {
    held.push(...events);
    return;
  }
  const touched = new Set<string>();
  for (const event of events) {
    const session = model.apply(event);
    if (!session) continue;
    touched.add(session);
    const row = model.rows.get(session);
    if (row) {
      look.news(row);
      if (!row.known) ask(session);
    }
  }
  if (touched.size) changed(touched);
  if (model.doubt) void refresh(true);
}

/** Reads everything anew, not more often than REFRESH_MS. keep: rows further down the list stay. */
export function refresh(keep: boolean): Promise<void> {
  if (held) {
    again ||= true;
    againKeep &&= keep;
    return Promise.resolve();
  }
  const wait = refreshedAt + REFRESH_MS - Date.now();
  if (wait <= 0 || !keep) return readAll(keep);
  refreshTimer ??= setTimeout(() => {
    refreshTimer = undefined;
    void readAll(true);
  }, wait);
  return Promise.resolve();
}

let again = false;
let againKeep = true;

async function readAll(keep: boolean): Promise<void> {
  if (held) return;
  held = [];
  refreshedAt = Date.now();
  let failure: unknown;
  try {
    // In this order: what the list shows and the inbox does not was seen.
    const page = await get<ListPage>(`/v1/sessions?limit=${PAGE}`);
    const working = await get<ListPage>(`/v1/sessions?state=working&limit=${WHOLE}`);
    const inbox = await readInbox();
    model.load({ list: page.sessions, working: working.sessions, inbox, keep });
    if (!keep) {
      pages.clear();
      look.forget();
      // What is on a page is asked for again: it may be older than what came.
      for (const id of live.keys()) if (!model.rows.has(id)) void want(id);
    }
    if (!keep || !pages.has('')) pages.set('', { next: page.next, busy: false });
    listState.value = { phase: 'ready', trouble: '' };
  } catch (error) {
    listState.value = listState.value.phase === 'ready' ? listState.value : { phase: 'failed', trouble: trouble(error) };
    again = true;
    failure = error;
  } finally {
    const events = held;
    held = undefined;
    take(events);
    everything();
  }
  void readSince();
  if (again) {
    const kept = againKeep;
    [again, againKeep] = [false, true];
    later(() => void refresh(kept), failure);
  }
}

interface ListPage {
  sessions: SessionInfo[];
  next?: string;
}

/** All pages of the inbox, to a limit. */
export async function readInbox<T = InboxItem>(): Promise<T[]> {
  const all: T[] = [];
  let cursor = '';
  for (let n = 0; n < INBOX_PAGES_MAX; n++) {
    const page: { items: T[]; next?: string } = await get(`/v1/inbox?limit=${WHOLE}${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    all.push(...page.items);
    if (!page.next) break;
    cursor = page.next;
  }
  return all;
}

/** Since when open turns run; the list of sessions does not say it. */
async function readSince(): Promise<void> {
  const { turns } = await get<{ turns: { session: string; turn: string; startedAt?: string }[] }>('/v1/turns?state=open&limit=500').catch(() => ({ turns: [] }));
  const touched: string[] = [];
  for (const t of turns) {
    const row = model.rows.get(t.session);
    if (!row || row.turn !== t.turn || row.turnSince || !t.startedAt) continue;
    model.rows.set(row.id, { ...row, turnSince: Date.parse(t.startedAt) });
    touched.push(row.id);
  }
  if (touched.length) changed(touched);
}

// --- sessions that the feed named and nobody described ---

const asked = new Set<string>();
let asking: ReturnType<typeof setTimeout> | undefined;

function ask(session: string): void {
  asked.add(session);
  asking ??= setTimeout(() => void answer(), ASK_MS);
}

async function answer(): Promise<void> {
  asking = undefined;
  const names = [...asked];
  asked.clear();
  if (names.length > ASK_MAX) return refresh(true);
  await Promise.all(names.map(describe));
  changed(names);
}

async function describe(name: string): Promise<void> {
  try {
    model.add([await get<SessionInfo>(`/v1/sessions/${encodeURIComponent(name)}`)]);
  } catch (error) {
    if (error instanceof ProblemError && error.problem.code === 'session_not_found') model.rows.delete(name);
  }
}

// --- further pages ---

const pages = new Map<string, { next: string | undefined; busy: boolean }>();
/** How many further pages are on their way: those of one filter may come while another's are waited for. */
export const loadingMore = signal(0);

/** True when the server has more rows for this filter. */
export function hasMore(of: Filter): boolean {
  const q = query(of);
  // What is looked for by words is asked for also when the list is full.
  if (q === undefined || model.rows.size >= (q === '' ? ROWS_MAX : 2 * ROWS_MAX)) return false;
  const at = pages.get(q);
  return !at || at.next !== undefined;
}

/** Asks for the next page of the filter; once at a time. */
export async function loadMore(of: Filter): Promise<void> {
  const q = query(of);
  if (q === undefined || !hasMore(of) || listState.value.phase !== 'ready') return;
  const at = pages.get(q) ?? { next: '', busy: false };
  if (at.busy) return;
  pages.set(q, at);
  at.busy = true;
  loadingMore.value++;
  try {
    const cursor = at.next ? `&cursor=${encodeURIComponent(at.next)}` : '';
    const page = await get<ListPage>(`/v1/sessions?limit=${PAGE}${q && `&${q}`}${cursor}`);
    model.add(page.sessions);
    at.next = page.next;
    changed(page.sessions.map((s) => s.id));
  } catch {
    // The list asks again as soon as this is over; the connection says what is wrong.
    await new Promise((go) => setTimeout(go, REFRESH_MS));
  } finally {
    at.busy = false;
    loadingMore.value--;
  }
}

// --- what was looked at ---

const look = new Look({
  mark(session, id) {
    if (model.see(session, id)) changed([session]);
  },
  send: (session, id) => connection.send({ session, command: 'seen', body: { id } }),
  row: (session) => model.rows.get(session),
});

/** Says that the person has the session's end before their eyes, up to event id. Cheap: call it as often as you like. */
export function markSeen(session: string, id: number): void {
  look.at(session, id);
}

/** Marks that are on their way at once: the outbox, which holds also what people write, must not fill up. */
const SEEN_AT_ONCE = 50;

/** Marks everything that waits unseen in these sessions as seen, however it was looked at. Says how many were: it waits for the server, and goes on after refusals. */
export async function markAllSeen(items: readonly { session: string; id: number }[], onMarked?: (done: number) => void): Promise<number> {
  let done = 0;
  const rest = items.values();
  const some = async () => {
    for (const { session, id } of rest) {
      if (!(await marked(session, id))) continue;
      done++;
      onMarked?.(done);
    }
  };
  await Promise.all(Array.from({ length: Math.min(SEEN_AT_ONCE, items.length) }, some));
  inboxVersion.value++;
  return done;
}

/** A session that is no more has nothing left to see. */
function marked(session: string, id: number): Promise<boolean> {
  return look.now(session, id).then(
    () => true,
    (error) => error instanceof ProblemError && error.problem.code === 'session_not_found',
  );
}

/** Puts sessions into the list that this page has just made, changed or found, before the feed tells of them. */
export function note(sessions: readonly SessionInfo[]): void {
  if (!sessions.length) return;
  model.add(sessions);
  changed(sessions.map((s) => s.id));
  version.value++;
}
