// Which events an inspector shows.
import type { Cut } from './slice';
import type { Query } from './wire';

export interface Filter {
  /** Only these; all when it is empty. */
  types: readonly string[];
  /** None of these. */
  not: readonly string[];
  turn: string;
  /** Text that is in the data, the type or an id, whatever its case. */
  q: string;
}

export const NO_FILTER: Filter = { types: [], not: [], turn: '', q: '' };

/** The server takes at most so many types; with more the page looks itself. */
const TYPES_MAX = 64;

/** The filter that a link says. */
export function filterOf(query: URLSearchParams): Filter {
  const list = (name: string) => [...new Set((query.get(name) ?? '').split(',').map((t) => t.trim()).filter(Boolean))];
  return { types: list('types'), not: list('not'), turn: query.get('turn') ?? '', q: query.get('q') ?? '' };
}

/** The filter as a link says it. */
export function queryOf(filter: Filter): Record<string, string> {
  const all = { types: filter.types.join(','), not: filter.not.join(','), turn: filter.turn, q: filter.q };
  return Object.fromEntries(Object.entries(all).filter(([, v]) => v !== ''));
}

/** What the server can look for. The rest is for accepts. */
export function serverQuery(filter: Filter): Query {
  const types = filter.types.filter((t) => !filter.not.includes(t));
  return { types: types.length > 0 && types.length <= TYPES_MAX ? types.join(',') : undefined, turn: filter.turn || undefined };
}

/** True when nothing is left out. */
export function isOpen(filter: Filter): boolean {
  return filter.types.length === 0 && filter.not.length === 0 && filter.turn === '' && filter.q === '';
}

/** True when an event has to be looked into by the page: the server has no such filter. */
export function looksInside(filter: Filter): boolean {
  return (filter.not.length > 0 && filter.types.length === 0) || filter.q !== '' || filter.types.length > TYPES_MAX;
}

/** Whether the filter lets an event through. */
export function accepts(filter: Filter, event: Cut): boolean {
  if (filter.types.length > 0 && !filter.types.includes(event.type)) return false;
  if (filter.not.includes(event.type)) return false;
  if (filter.turn !== '' && event.turn !== filter.turn) return false;
  return filter.q === '' || hasText(event, filter.q.toLowerCase());
}

// A text may be written with escapes; it is found as it is written and as it
// reads.
function hasText(event: Cut, q: string): boolean {
  if (`${event.id} ${event.type} ${event.turn} ${event.parent}`.toLowerCase().includes(q)) return true;
  if (event.data.toLowerCase().includes(q)) return true;
  return event.data.includes('\\') && readable(event.data).includes(q);
}

function readable(json: string): string {
  const found: string[] = [];
  const walk = (v: unknown) => {
    if (typeof v === 'string') found.push(v);
    else if (Array.isArray(v)) v.forEach(walk);
    else if (typeof v === 'object' && v !== null) Object.entries(v).forEach(([k, x]) => (found.push(k), walk(x)));
  };
  walk(JSON.parse(json));
  return found.join('\n').toLowerCase();
}

/** Puts a type among those that are shown alone, or takes it out again. */
export function only(filter: Filter, type: string): Filter {
  const on = filter.types.includes(type);
  return { ...filter, types: on ? filter.types.filter((t) => t !== type) : [...filter.types, type], not: filter.not.filter((t) => t !== type) };
}

/** Hides a type, or shows it again. */
export function hide(filter: Filter, type: string): Filter {
  const on = filter.not.includes(type);
  return { ...filter, not: on ? filter.not.filter((t) => t !== type) : [...filter.not, type], types: filter.types.filter((t) => t !== type) };
}
