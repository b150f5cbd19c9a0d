// What can be done with a session from the list or its page.
import { ProblemError, type SessionInfo } from '@konlog/client';
import { signal } from '@preact/signals';
import { createTrouble, me, newIds, writeTrouble } from '../account/account';
import { idFor } from '../account/may';
import { announce } from '../app/announce';
import { connection } from '../app/connection';
import { link } from '../app/route';
import { copy } from '../parts/copy';
import type { MenuItem } from '../parts/Menu';
import type { Row } from './model';
import { markAllSeen, note } from './store';
import { titleOf } from './title';

/** The question that is on the screen; undefined without one. `new` makes a session. */
export const asking = signal<{ kind: 'rename' | 'fork' | 'close' | 'delete'; row: ActionRow } | { kind: 'new' } | undefined>(undefined);

/** What an action must know of its session. */
export type ActionRow = Pick<Row, 'id' | 'title' | 'head' | 'closed' | 'turn'> & Partial<Pick<Row, 'ended' | 'cards' | 'seen'>>;

/** The entries of a session's menu. */
export function sessionMenu(row: ActionRow): MenuItem[] {
  const ask = (kind: 'rename' | 'fork' | 'close' | 'delete') => () => (asking.value = { kind, row });
  const why = writeTrouble(row.id);
  const write = { disabled: why !== '', ...(why && { why }) };
  const items: MenuItem[] = [
    { label: 'Rename', icon: 'edit', run: ask('rename'), ...write },
    {
      label: 'Copy id',
      icon: 'copy',
      run: async () => announce((await copy(row.id)) ? 'Id copied' : 'Copying is not allowed here'),
    },
    { label: 'Fork', icon: 'fork', run: ask('fork'), ...(createTrouble.value && { disabled: true, why: createTrouble.value }) },
  ];
  const unseen = Math.max(row.ended?.id ?? 0, ...[...(row.cards?.values() ?? [])].map((c) => c.ready));
  if (unseen > (row.seen ?? 0)) items.splice(1, 0, { label: 'Mark as seen', icon: 'eye', run: () => void markAllSeen([{ session: row.id, id: row.head }]) });
  if (!row.closed) items.push({ label: 'Close', icon: 'lock', run: ask('close'), ...write });
  items.push({ label: 'Delete', icon: 'trash', danger: true, run: ask('delete'), ...write });
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

/** A session that cannot be made as it was asked for. */
class Unmade extends Error {}

/** A connection that stands is given so long to take the first prompt before its page is shown: the page then finds the session. */
const TAKEN_MS = 1_000;

/** Makes a session, with a first prompt when there is one, and goes there. */
export async function create({ id, title, prompt, agent = '' }: { id: string; title: string; prompt: string; agent?: string }): Promise<void> {
  if (!id && newIds.peek()) {
    // The server would choose one that may not be written to.
    const own = idFor(me.peek(), newId());
    if (own === undefined) throw new Unmade(`Give it an id: your access makes sessions named ${newIds.peek()}.`);
    id = own;
    if (prompt) return begin(id, title, prompt, agent);
  }
  if (prompt && !id) return begin(newId(), title, prompt, agent);
  const name = title || titleOf(prompt);
  // An id that somebody chose may be taken, which only the server knows.
  const made = await connection.request<SessionInfo>('POST', '/v1/sessions', { body: { ...(id && { id }), ...(name && { title: name }), ...(agent && { meta: { agent } }) } });
  note([made]);
  location.hash = link(made.id);
  // Kept by the client until the server has it, so there is nothing to wait for.
  if (prompt) void connection.send({ session: made.id, command: 'prompt', body: { text: prompt, source: 'user' } }).catch(() => undefined);
}

/** The first prompt makes its session, so it can be given also while the server is away: the client keeps it. */
async function begin(id: string, title: string, prompt: string, agent: string): Promise<void> {
  const taken = connection.send({ session: id, command: 'prompt', body: { text: prompt, source: 'user' } });
  const named = taken.then(() => name(id, title || titleOf(prompt), title !== '', agent));
  // Once its page is open, that shows what was refused.
  named.catch(() => undefined);
  try {
    const wait = connection.state.phase === 'live' ? TAKEN_MS : 0;
    await Promise.race([named, new Promise((done) => setTimeout(done, wait))]);
  } catch (error) {
    // The text is still in the form: nothing may be left behind under an id that nobody knows.
    for (const p of connection.pending) if (p.session === id) connection.dropPending(p.key);
    throw error;
  }
  location.hash = link(id);
}

async function name(id: string, title: string, given: boolean, agent: string): Promise<void> {
  if (!title && !agent) return;
  try {
    note([await untilTaken(() => connection.request<SessionInfo>('PATCH', at(id), { body: { ...(title && { title }), ...(agent && { meta: { agent } }) } }))]);
  } catch (error) {
    if (agent) announce(`${agent} was not asked to run this session: ${troubleWords(error)}`);
    else if (given) announce(`The title was not set: ${troubleWords(error)}`);
  }
}

/** Asks again until the server has said yes, or no for good: without its agent a prompt waits for ever. */
async function untilTaken<T>(ask: () => Promise<T>): Promise<T> {
  for (let wait = 1_000; ; wait = Math.min(2 * wait, 30_000)) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof ProblemError) || (error.problem.status !== 0 && !error.problem.retryable)) throw error;
      await new Promise((done) => setTimeout(done, wait));
    }
  }
}

/** What the server offers for a new session: the agents that it runs, and terminals. */
export interface Offer {
  agents: string[];
  shells: boolean;
}

export async function offer(signal: AbortSignal): Promise<Offer> {
  const health = await connection.get<{ agents?: unknown; channels?: { shell?: unknown } }>('/health/realtime', { signal });
  const agents = Array.isArray(health.agents) ? health.agents.filter((name): name is string => typeof name === 'string') : [];
  return { agents, shells: health.channels?.shell === true };
}

/** Opens a terminal on the server, and goes there. */
export async function openTerminal(title: string): Promise<void> {
  const { session } = await connection.request<{ session: string }>('POST', '/v1/shells', { body: {} });
  if (title) await connection.request('PATCH', `/v1/sessions/${encodeURIComponent(session)}`, { body: { title } });
  location.hash = link(session);
}

/** Starts the program of a terminal that has ended once more, in its session. */
export async function reopenTerminal(session: string, { command, dir }: { command: string[]; dir: string }): Promise<void> {
  await connection.request('POST', '/v1/shells', { body: { session, ...(command.length > 0 && { command }), ...(dir && { dir }) } });
}

/** A UUIDv7, as the server makes them: sessions sort by when they were made. */
export function newId(now = Date.now()): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  for (let i = 0; i < 6; i++) bytes[i] = Math.floor(now / 2 ** (8 * (5 - i))) % 256;
  bytes[6] = 0x70 | (bytes[6]! & 0x0f);
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  const hex = [...bytes].map((b) => b.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** Why something with a session did not work, in words. */
export function troubleWords(error: unknown): string {
  if (error instanceof ProblemError && error.problem.code !== 'unreachable') return error.message;
  if (error instanceof Unmade) return error.message;
  return 'The server is not reached. Try again when it is back.';
}
