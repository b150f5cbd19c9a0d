// How many events of each type a log has. The server keeps no such numbers, so
// the log is read once from its end backwards, when somebody asks.
import { elementsOf, membersOf } from './slice';
import { eventsPath, type Pages } from './wire';

/** Events that are counted at most: the newest. */
export const COUNT_MAX = 200_000;
const PAGE = 10_000;

export interface Counts {
  /** By type, the most frequent first. */
  types: readonly (readonly [type: string, n: number])[];
  /** Events that were counted, and that there are. */
  done: number;
  of: number;
  complete: boolean;
}

/** Counts, and tells how far it is after each page. */
export async function countTypes(pages: Pages, session: string, tell: (counts: Counts) => void, signal?: AbortSignal): Promise<void> {
  const found = new Map<string, number>();
  let done = 0;
  let before: number | undefined;
  for (;;) {
    const query = before === undefined ? { tail: 1 } : { before, limit: PAGE };
    const page = membersOf(await pages.text(eventsPath(session, query), signal));
    const head = Number(page.get('head'));
    if (before === undefined) {
      before = head + 1;
      continue;
    }
    for (const event of elementsOf(page.get('events') ?? '[]')) {
      const type = typeOf(event);
      found.set(type, (found.get(type) ?? 0) + 1);
      done++;
    }
    const next = Number(page.get('next'));
    const floor = Number(page.get('floor'));
    const complete = page.get('caughtUp') === 'true' || next <= floor || next === before;
    tell({ types: [...found].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0])), done, of: head - floor + 1, complete });
    if (complete || done >= COUNT_MAX) return;
    before = next;
  }
}

// The keys of an event have a fixed order, so its type stands near its
// beginning and the data need not be read.
function typeOf(event: string): string {
  return /^\{"id":\d+,"session":"[^"]*","type":"([^"]*)"/.exec(event)?.[1] ?? (JSON.parse(event) as { type: string }).type;
}
