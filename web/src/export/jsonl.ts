// A session as the lines that konlog import reads: a header, then each event
// as the server sends it, ascending.
import type { Hole } from '../replay/slice';
import { membersOf } from '../replay/slice';
import { queryText, readPage, type Pages } from '../replay/wire';

/** Events that are asked for at once; the server cuts at 4 MiB as well. */
export const PAGE_EVENTS = 2_000;

export interface Progress {
  done: number;
  of: number;
}

/** Where the lines go. write resolves when more may come, so that nothing piles up. */
export interface LineSink {
  write(text: string): Promise<void>;
}

export interface Written {
  events: number;
  /** What was counted. */
  what: 'event' | 'turn';
  /** Events that went while they were read, such as by retention. */
  missing: number;
}

/** Writes the session up to its head of now. */
export async function writeLines(pages: Pages, session: string, sink: LineSink, tell: (p: Progress) => void, signal?: AbortSignal): Promise<Written> {
  const info = membersOf(await pages.text(`/v1/sessions/${encodeURIComponent(session)}`, signal));
  const head = Number(info.get('head'));
  const floor = Number(info.get('floor'));
  await sink.write(header(info) + '\n');
  let after = floor - 1;
  const written: Written = { events: 0, what: 'event', missing: 0 };
  while (after < head) {
    signal?.throwIfAborted();
    const page = await readPage(pages, session, { after, limit: PAGE_EVENTS, raw: 1, until: head }, signal);
    if (page.epoch !== JSON.parse(info.get('epoch') ?? '""')) throw new Error('The session was replaced while it was read. Export it again.');
    const lines = [...holeLines(session, page.gap), ...page.events.map((e) => e.text)];
    if (lines.length > 0) await sink.write(lines.join('\n') + '\n');
    if (page.next <= after) throw new Error(`The server gave nothing after event ${after}. konlog verify says whether the log is damaged.`);
    after = page.next;
    written.events += page.events.length;
    if (page.gap && page.gap.reason !== 'redacted') written.missing += page.gap.to - page.gap.from + 1;
    tell({ done: Math.min(after, head) - floor + 1, of: head - floor + 1 });
  }
  return written;
}

// The members and their order are those of konlog export, so that both give
// the same file.
function header(info: Map<string, string>): string {
  const members = [['konlog', '"export/1"'], ...['id', 'head', 'floor', 'title', 'scope', 'tags', 'meta'].map((name) => [name, info.get(name)])];
  const empty = new Set(['""', '[]', 'null', undefined]);
  return `{${members.filter(([, v]) => !empty.has(v)).map(([k, v]) => `"${k}":${v}`).join(',')}}`;
}

// Redacted events keep their places, so that the ids after them do.
function holeLines(session: string, gap: Hole | undefined): string[] {
  if (gap?.reason !== 'redacted') return [];
  return Array.from({ length: gap.to - gap.from + 1 }, (_, i) => JSON.stringify({ id: gap.from + i, session, redacted: true }));
}

/** Turns that are asked for at once, and whole turns that are fetched side by side. */
export const TURNS_PAGE = 200;
const TURNS_ABREAST = 4;

/** Writes the session's turns, oldest first, each whole, as one JSON array. */
export async function writeTurns(pages: Pages, session: string, sink: LineSink, tell: (p: Progress) => void, signal?: AbortSignal): Promise<Written> {
  const path = `/v1/sessions/${encodeURIComponent(session)}/turns`;
  const ids: string[] = [];
  for (let cursor = ''; ; ) {
    const page = JSON.parse(await pages.text(path + queryText({ limit: TURNS_PAGE, cursor }), signal)) as { turns: { turn: string }[]; next?: string };
    ids.push(...page.turns.map((t) => t.turn));
    if (!page.next) break;
    cursor = page.next;
  }
  ids.reverse();
  await sink.write('[');
  for (let i = 0; i < ids.length; i += TURNS_ABREAST) {
    const turns = await Promise.all(ids.slice(i, i + TURNS_ABREAST).map((id) => pages.text(`${path}/${encodeURIComponent(id)}`, signal)));
    await sink.write((i > 0 ? ',\n' : '\n') + turns.map((t) => t.trim()).join(',\n'));
    tell({ done: Math.min(i + TURNS_ABREAST, ids.length), of: ids.length });
  }
  await sink.write('\n]\n');
  return { events: ids.length, what: 'turn', missing: 0 };
}
