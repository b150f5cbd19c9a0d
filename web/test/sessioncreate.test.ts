import { ProblemError, type Command, type Pending } from '@konlog/client';
import { beforeEach, expect, it, vi } from 'vitest';

const at = vi.hoisted(() => ({ phase: 'live', sent: [] as unknown[], asked: [] as unknown[], dropped: [] as string[], pending: [] as unknown[], send: undefined as unknown, request: undefined as unknown }));
vi.mock('../src/app/connection', () => ({
  connection: {
    get state() {
      return { phase: at.phase };
    },
    get pending() {
      return at.pending;
    },
    addEventListener() {},
    send: (c: Command) => (at.sent.push(c), (at.send as () => Promise<unknown>)()),
    request: (method: string, path: string, more?: { body?: unknown }) => (at.asked.push([method, path.replace(/[0-9a-f-]{36}/, 'ID'), more?.body]), (at.request as () => Promise<unknown>)()),
    dropPending: (key: string) => at.dropped.push(key),
  },
}));
const { create, newId, troubleWords } = await import('../src/sessions/actions');
const away = () => Promise.reject(new ProblemError({ code: 'unreachable', status: 0, title: '', detail: 'POST /v1/sessions: Failed to fetch', retryable: true } as never));
const info = { id: 'made', title: '', scope: '', tags: [], head: 1, createdAt: '', updatedAt: '', state: 'idle' };

beforeEach(() => {
  Object.assign(at, { phase: 'live', send: async () => ({ id: 1 }), request: async () => info, pending: [] });
  at.sent.length = at.asked.length = at.dropped.length = 0;
  location.hash = '';
});
const session = () => (at.sent[0] as Command).session;

it('is made by its first prompt, with the first line as its title', async () => {
  await create({ id: '', title: '', prompt: '# Fix **it**\nnow' });
  expect(at.sent).toEqual([{ session: session(), command: 'prompt', body: { text: '# Fix **it**\nnow', source: 'user' } }]);
  expect(at.asked).toEqual([['PATCH', '/v1/sessions/ID', { title: 'Fix it' }]]);
  expect(location.hash).toContain(session());
});

it('asks for the agent that was chosen, whether its prompt or its id makes it', async () => {
  await create({ id: '', title: '', prompt: 'go', agent: 'claude' });
  expect(at.asked).toEqual([['PATCH', '/v1/sessions/ID', { title: 'go', meta: { agent: 'claude' } }]]);
  at.asked.length = 0;
  await create({ id: 'mine', title: '', prompt: 'go', agent: 'claude' });
  expect(at.asked).toEqual([['POST', '/v1/sessions', { id: 'mine', title: 'go', meta: { agent: 'claude' } }]]);
});

it('asks for the agent until the server has answered, and says when it will not', async () => {
  vi.useFakeTimers();
  try {
    const answers = [away, away, async () => info];
    at.request = () => answers.shift()!();
    const made = create({ id: '', title: '', prompt: 'go', agent: 'claude' });
    await vi.advanceTimersByTimeAsync(1_000);
    await made;
    expect(at.asked).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(at.asked).toEqual(Array(3).fill(['PATCH', '/v1/sessions/ID', { title: 'go', meta: { agent: 'claude' } }]));
    at.request = () => Promise.reject(new ProblemError({ code: 'forbidden', status: 403, title: '', detail: 'no', retryable: false } as never));
    await create({ id: '', title: '', prompt: 'go', agent: 'claude' });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(at.asked).toHaveLength(4);
  } finally {
    vi.useRealTimers();
  }
});

it('is gone to at once while the server is away, its prompt kept, and gets its title when it is back', async () => {
  let taken = (_: unknown) => {};
  Object.assign(at, { phase: 'offline', send: () => new Promise((done) => (taken = done)) });
  await create({ id: '', title: 'Mine', prompt: 'go' });
  expect(location.hash).toContain(session());
  expect(at.asked).toEqual([]);
  taken({ id: 1 });
  await new Promise((done) => setTimeout(done));
  expect(at.asked).toEqual([['PATCH', '/v1/sessions/ID', { title: 'Mine' }]]);
});

it('leaves nothing behind when its prompt is refused', async () => {
  at.send = () => {
    at.pending = [{ key: 'k', session: session() } as Pending];
    return Promise.reject(new ProblemError({ code: 'event_too_large', status: 413, title: '', detail: 'too large' } as never));
  };
  await expect(create({ id: '', title: '', prompt: 'go' })).rejects.toThrow('too large');
  expect(at.dropped).toEqual(['k']);
  expect(location.hash).not.toContain(session());
});

it('with an id that somebody chose never writes into a session that is there', async () => {
  at.request = () => Promise.reject(new ProblemError({ code: 'session_exists', status: 409, title: '', detail: 'there is one' } as never));
  await expect(create({ id: 'mine', title: '', prompt: 'go' })).rejects.toThrow('there is one');
  expect(at.asked).toEqual([['POST', '/v1/sessions', { id: 'mine', title: 'go' }]]);
  expect(at.sent).toEqual([]);
});

it('says in words that the server is away', async () => {
  at.request = away;
  const error = await create({ id: '', title: 'T', prompt: '' }).catch((e: unknown) => e);
  expect(troubleWords(error)).toBe('The server is not reached. Try again when it is back.');
});

it('has an id that the server takes, and that sorts by time', () => {
  const ids = [1, 1_800_000_000_000, 1_800_000_000_001].map(newId);
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect([...ids].sort()).toEqual(ids);
  expect(parseInt(ids[1]!.replaceAll('-', '').slice(0, 12), 16)).toBe(1_800_000_000_000);
});
