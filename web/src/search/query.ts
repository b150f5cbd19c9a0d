// What is looked for, as it stands in the page's address and in the request.

export const kinds = ['prompt', 'text', 'tool', 'output', 'kontask', 'error'] as const;
export const kindNames: Record<string, string> = { prompt: 'Prompts', text: 'Answers', tool: 'Tools', output: 'Outputs', kontask: 'Kontasks', error: 'Errors' };
export const ranges = { '': 'Any time', '1h': 'Last hour', '24h': 'Last 24 hours', '7d': 'Last 7 days', '30d': 'Last 30 days' } as const;
const spans: Record<string, number> = { '1h': 3_600_000, '24h': 86_400_000, '7d': 7 * 86_400_000, '30d': 30 * 86_400_000 };

export interface Query {
  /** hits in texts, or turns. */
  tab: 'texts' | 'turns';
  q: string;
  kind: string;
  range: string;
  session: string;
  /** Of turns. */
  state: string;
  tool: string;
}

/** Reads an address. What it does not know is left out, so that an old link finds something. */
export function parseQuery(from: URLSearchParams): Query {
  const one = (name: string, of: readonly string[]) => {
    const value = from.get(name) ?? '';
    return of.includes(value) ? value : '';
  };
  return {
    tab: from.get('tab') === 'turns' ? 'turns' : 'texts',
    q: from.get('q') ?? '',
    kind: one('kind', kinds),
    range: one('range', Object.keys(spans)),
    session: from.get('session') ?? '',
    state: one('state', ['queued', 'open', 'ended']),
    tool: from.get('tool') ?? '',
  };
}

/** The address of a query: #/search?q=… */
export function addressOf(query: Query): string {
  const out = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value && !(name === 'tab' && value === 'texts')) out.set(name, value);
  const text = out.toString();
  return `#/search${text && `?${text}`}`;
}

/** The request; undefined when there is nothing to ask for yet. */
export function requestOf(query: Query, cursor: string, now: number): string | undefined {
  const q = query.q.trim();
  const out = new URLSearchParams();
  if (q) out.set('q', q);
  if (query.session.trim()) out.set('session', query.session.trim());
  const span = spans[query.range];
  // To the minute: the cursor of a page belongs to the same bounds.
  if (span) out.set('since', new Date(Math.floor((now - span) / 60_000) * 60_000).toISOString());
  if (query.tab === 'turns') {
    if (query.state) out.set('state', query.state);
    if (query.tool.trim()) out.set('tool', query.tool.trim());
  } else {
    if (!q) return undefined;
    if (query.kind) out.set('kind', query.kind);
  }
  if (cursor) out.set('cursor', cursor);
  return `/v1/${query.tab === 'turns' ? 'turns' : 'search'}?${out}`;
}

/** Hits of one session after each other, as one group; a session may come again further down. */
export function bySession<T extends { session: string }>(hits: readonly T[]): { session: string; hits: T[] }[] {
  const groups: { session: string; hits: T[] }[] = [];
  for (const hit of hits) {
    const last = groups.at(-1);
    if (last?.session === hit.session) last.hits.push(hit);
    else groups.push({ session: hit.session, hits: [hit] });
  }
  return groups;
}
