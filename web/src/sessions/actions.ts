// What can be done with a session from the list or its page.
import type { SessionInfo } from '@konlog/client';
import { signal } from '@preact/signals';
import { announce } from '../app/announce';
import { connection } from '../app/connection';
import { link } from '../app/route';
import { copy } from '../parts/copy';
import type { MenuItem } from '../parts/Menu';
import type { Row } from './model';
import { markAllSeen, note } from './store';

/** The question that is on the screen; undefined without one. `new` makes a session. */
export const asking = signal<{ kind: 'rename' | 'fork' | 'close' | 'delete'; row: ActionRow } | { kind: 'new' } | undefined>(undefined);

/** What an action must know of its session. */
export type ActionRow = Pick<Row, 'id' | 'title' | 'head' | 'closed' | 'turn'> & Partial<Pick<Row, 'ended' | 'cards' | 'seen'>>;

/** The entries of a session's menu. */
export function sessionMenu(row: ActionRow): MenuItem[] {
  const ask = (kind: 'rename' | 'fork' | 'close' | 'delete') => () => (asking.value = { kind, row });
  const items: MenuItem[] = [
    { label: 'Rename', icon: 'edit', run: ask('rename') },
    {
      label: 'Copy id',
      icon: 'copy',
      run: async () => announce((await copy(row.id)) ? 'Id copied' : 'Copying is not allowed here'),
    },
    { label: 'Fork', icon: 'fork', run: ask('fork') },
  ];
  const unseen = Math.max(row.ended?.id ?? 0, ...[...(row.cards?.values() ?? [])].map((c) => c.ready));
  if (unseen > (row.seen ?? 0)) items.splice(1, 0, { label: 'Mark as seen', icon: 'eye', run: () => void markAllSeen([{ session: row.id, id: row.head }]) });
  if (!row.closed) items.push({ label: 'Close', icon: 'lock', run: ask('close') });
  items.push({ label: 'Delete', icon: 'trash', danger: true, run: ask('delete') });
  return items;
}

const at = (id: string) => `/v1/sessions/${encodeURIComponent(id)}`;

export async function rename(id: string, title: string): Promise<void> {
  note([await connection.request<SessionInfo>('PATCH', at(id), { body: { title: title || null } })]);
}

/** Makes a session with this one's history up to its last event, and goes there. */
export async function fork(id: string, after: number, title: string): Promise<void> {
  const made = await connection.request<SessionInfo>('POST', `${at(id)}/fork`, { body: { after, ...(title && { title }) } });
  note([made]);
  location.hash = link(made.id);
}

export async function close(id: string): Promise<void> {
  await connection.request('POST', `${at(id)}/close`);
}

export async function remove(id: string): Promise<void> {
  await connection.request('DELETE', at(id));
  if (location.hash.startsWith(link(id))) location.hash = '#/';
}

/** Makes a session, with a first prompt when there is one, and goes there. */
export async function create(spec: { id: string; title: string; prompt: string }): Promise<void> {
  const made = await connection.request<SessionInfo>('POST', '/v1/sessions', { body: { ...(spec.id && { id: spec.id }), ...(spec.title && { title: spec.title }) } });
  note([made]);
  location.hash = link(made.id);
  // Kept by the client until the server has it, so there is nothing to wait for.
  if (spec.prompt) void connection.send({ session: made.id, command: 'prompt', body: { text: spec.prompt, source: 'user' } }).catch(() => undefined);
}
