// What a row says at one look.
import type { Row } from './model';

export type BadgeName = 'needs-you' | 'kontask' | 'failed' | 'unread' | 'working';

// A row is never changed, so what it says is worked out once.
const said = new WeakMap<Row, readonly BadgeName[]>();

/** What of the row is new or going on, the most urgent first. */
export function badges(row: Row): readonly BadgeName[] {
  let all = said.get(row);
  if (!all) said.set(row, (all = workOut(row)));
  return all;
}

function workOut(row: Row): BadgeName[] {
  const all: BadgeName[] = [];
  const asked = row.questions.size > 0 && !row.closed;
  if (asked) all.push('needs-you');
  for (const card of row.cards.values()) {
    if (card.ready <= row.seen) continue;
    all.push('kontask');
    break;
  }
  if (row.ended && row.ended.id > row.seen) all.push(failed(row) ? 'failed' : 'unread');
  if (row.turn && !row.closed && !asked) all.push('working');
  return all;
}

/** A turn that somebody stopped has not failed. */
function failed({ ended }: Row): boolean {
  return !!ended && !ended.success && ended.reason !== 'stopped';
}

/** A person is waited for: a question is open or a card was delivered. This is what the page's title counts. */
export function needsPerson(row: Row): boolean {
  const first = badges(row)[0];
  return first === 'needs-you' || first === 'kontask';
}

/** There is something that was not seen. */
export function unread(row: Row): boolean {
  return badges(row).some((b) => b === 'kontask' || b === 'failed' || b === 'unread');
}

/** One line on what goes on: what is asked, what was delivered, what went wrong. */
export function note(row: Row): string {
  const asked = [...row.questions.values()].at(-1);
  if (asked && !row.closed) return asked.tool ? `Asks to use ${asked.tool}` : 'Asks you something';
  const card = [...row.cards.values()].filter((c) => c.ready > row.seen).at(-1);
  if (card) return card.title || 'Delivered a kontask';
  if (row.ended && row.ended.id > row.seen) {
    if (failed(row)) return row.ended.error || `Failed${row.ended.reason && row.ended.reason !== 'error' ? `: ${row.ended.reason}` : ''}`;
    return row.ended.reason === 'stopped' ? 'Stopped' : 'Finished';
  }
  if (row.closed) return 'Closed';
  return row.turn ? 'Working' : '';
}
