// Which rows are shown, and in which order.
import { badges, needsPerson, unread } from './badges';
import type { Row } from './model';

export type FilterName = 'all' | 'needs-you' | 'working' | 'unread' | 'closed';

export interface Filter {
  name: FilterName;
  /** Part of a title or id. */
  text: string;
  scope: string;
  tag: string;
}

export const filters: readonly { name: FilterName; label: string }[] = [
  { name: 'all', label: 'All' },
  { name: 'needs-you', label: 'Needs you' },
  { name: 'working', label: 'Working' },
  { name: 'unread', label: 'Unread' },
  { name: 'closed', label: 'Closed' },
];

/** True when the row is of those that are asked for. */
export function matches(row: Row, filter: Filter): boolean {
  if (filter.scope && row.scope !== filter.scope) return false;
  if (filter.tag && !row.tags.includes(filter.tag)) return false;
  if (!byName(row, filter.name)) return false;
  const text = filter.text.trim().toLowerCase();
  return !text || row.id.toLowerCase().includes(text) || row.title.toLowerCase().includes(text);
}

function byName(row: Row, name: FilterName): boolean {
  switch (name) {
    case 'all':
      return true;
    case 'needs-you':
      return needsPerson(row);
    case 'working':
      return badges(row).includes('working');
    case 'unread':
      return unread(row);
    case 'closed':
      return row.closed;
  }
}

/** The rows that match: who waits for a person first, then the newest activity; ids settle what is the same. */
export function arrange(rows: Iterable<Row>, filter: Filter): Row[] {
  const keyed: { row: Row; waits: boolean }[] = [];
  for (const row of rows) if (matches(row, filter)) keyed.push({ row, waits: needsPerson(row) });
  keyed.sort((a, b) => Number(b.waits) - Number(a.waits) || b.row.updatedAt - a.row.updatedAt || (a.row.id < b.row.id ? -1 : 1));
  return keyed.map((k) => k.row);
}

/** The query of GET /v1/sessions for the same rows; undefined when all of them are here already. */
export function query(filter: Filter): string | undefined {
  const complete = filter.name === 'needs-you' || filter.name === 'working' || filter.name === 'unread';
  if (complete) return undefined;
  const q = new URLSearchParams();
  if (filter.name === 'closed') q.set('state', 'closed');
  if (filter.scope) q.set('scope', filter.scope);
  if (filter.tag) q.set('tag', filter.tag);
  if (filter.text.trim()) q.set('q', filter.text.trim());
  return q.toString();
}
