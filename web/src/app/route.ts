// Where the page is: the hash, so that a link is a place and no server has to
// know the pages.
import { computed, signal } from '@preact/signals';

export type Route =
  | { page: 'home' }
  | { page: 'session'; session: string; id?: number }
  | { page: 'replay'; session: string; id?: number }
  | { page: 'events'; session: string; id?: number; query: URLSearchParams }
  | { page: 'timing'; session: string; turn?: string }
  | { page: 'inbox' }
  | { page: 'search'; query: URLSearchParams }
  | { page: 'diagnostics' };

const hash = signal(location.hash);
addEventListener('hashchange', () => (hash.value = location.hash));

export const route = computed<Route>(() => parse(hash.value));

/** Reads a hash: #/s/NAME, #/s/NAME/replay, #/inbox … A bare #NAME is a session too. */
export function parse(text: string): Route {
  const [path = '', search = ''] = text.replace(/^#/, '').split(/\?(.*)/s);
  const query = new URLSearchParams(search);
  if (path !== '' && !path.startsWith('/')) return { page: 'session', session: decode(path) };
  const [, first = '', name = '', view = ''] = path.split('/');
  const id = Number(query.get('id'));
  const at = Number.isSafeInteger(id) && id > 0 ? { id } : {};
  if (first === 's' && name) {
    const session = decode(name);
    if (view === 'replay') return { page: 'replay', session, ...at };
    if (view === 'events') return { page: 'events', session, query, ...at };
    const turn = query.get('turn');
    if (view === 'timing') return { page: 'timing', session, ...(turn && { turn }) };
    return { page: 'session', session, ...at };
  }
  if (first === 'search') return { page: 'search', query };
  if (first === 'inbox' || first === 'diagnostics') return { page: first };
  return { page: 'home' };
}

function decode(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** The hash of a place: link('s1'), link('s1', 'replay', {id: 42}). */
export function link(session: string, view: '' | 'replay' | 'events' | 'timing' = '', query: Record<string, string | number> = {}): string {
  const text = new URLSearchParams(Object.entries(query).map(([k, v]) => [k, String(v)])).toString();
  return `#/s/${encodeURIComponent(session)}${view && '/' + view}${text && '?' + text}`;
}
