import { ProblemError, type SessionInfo } from '@konlog/client';
import { effect } from '@preact/signals';
import { expect, it, vi } from 'vitest';

const server = vi.hoisted(() => ({ sessions: new Map<string, object>(), asked: [] as string[], send: undefined as undefined | ((session: string) => Promise<unknown>), list: undefined as undefined | ((path: string) => Promise<object>) }));
vi.mock('../src/app/connection', () => ({
  connection: {
    state: { phase: 'live' },
    addEventListener() {},
    session: () => Object.assign(new EventTarget(), { onMessage: () => () => {}, close() {} }),
    send: ({ session }: { session: string }) => server.send!(session),
    async get(path: string) {
      server.asked.push(path);
      if (path.includes('?')) return server.list!(path);
      const found = server.sessions.get(decodeURIComponent(path.split('/').at(-1)!));
      if (!found) throw new ProblemError({ code: 'session_not_found', status: 404 } as ProblemError['problem']);
      return found;
    },
  },
}));
const { inboxVersion, listState, loadingMore, loadMore, markAllSeen, note, peek, rowOf, start, want } = await import('../src/sessions/store');
const info = (id: string, title: string): SessionInfo => ({ id, title, scope: '', tags: [], head: 3, createdAt: '', updatedAt: '', state: 'idle' }) as unknown as SessionInfo;

it('a page about a session that no list has shown gets its title', async () => {
  server.sessions.set('old', info('old', 'An old one'));
  let title: string | undefined;
  const end = effect(() => void (title = rowOf('old').value?.title));
  expect(title).toBeUndefined();
  await want('old');
  expect(title).toBe('An old one');
  await want('old');
  await want('_feed');
  expect(server.asked).toEqual(['/v1/sessions/old']);
  end();
});

it('who looks at a session that does not exist yet is told when it does, and nobody is kept once nobody looks', async () => {
  let title: string | undefined;
  const end = effect(() => void (title = rowOf('new').value?.title));
  await want('new');
  const looked = rowOf('new');
  note([info('new', 'Made')]);
  expect([title, peek('new')?.title]).toEqual(['Made', 'Made']);
  expect(rowOf('new')).toBe(looked);
  end();
  expect(rowOf('new')).not.toBe(looked);
});

it('thousands are marked as seen some at a time, and those that were not are not counted, nor marked in the list', async () => {
  note([info('seen-7', 'Seven'), info('seen-10', 'Ten')]);
  let [now, most, calls] = [0, 0, 0];
  server.send = async (session) => {
    calls++;
    most = Math.max(most, ++now);
    await new Promise((done) => setTimeout(done));
    now--;
    const n = Number(session.slice(5));
    if (n === 8) throw new ProblemError({ code: 'session_not_found', status: 404 } as ProblemError['problem']);
    if (n % 10 === 0) throw new ProblemError({ code: 'outbox_full', status: 0 } as ProblemError['problem']);
  };
  const told: number[] = [];
  const before = inboxVersion.value;
  const done = await markAllSeen(Array.from({ length: 4_000 }, (_, i) => ({ session: `seen-${i}`, id: 3 })), (n) => told.push(n));
  expect([done, calls, told.at(-1)]).toEqual([3_600, 4_000, 3_600]);
  expect(most).toBeLessThanOrEqual(50);
  expect(most).toBeGreaterThan(1);
  expect([peek('seen-7')!.seen, peek('seen-10')!.seen]).toEqual([3, 0]);
  expect(inboxVersion.value).toBeGreaterThan(before);
});

it('a further page that could not be read is not asked for again at once, and does not hold up those of another filter', async () => {
  vi.useFakeTimers();
  try {
    listState.value = { phase: 'ready', trouble: '' };
    server.asked.length = 0;
    const closed = { name: 'closed', text: '', scope: '', tag: '' } as const;
    server.list = async (path) => {
      if (path.includes('scope')) return { sessions: [] };
      throw new ProblemError({ code: 'rate_limited', status: 429 } as ProblemError['problem']);
    };
    let settled = false;
    void loadMore(closed).then(() => (settled = true));
    await vi.advanceTimersByTimeAsync(4_900);
    await loadMore(closed);
    expect([settled, server.asked]).toEqual([false, ['/v1/sessions?limit=200&state=closed']]);
    await loadMore({ ...closed, scope: 'a' });
    expect(server.asked).toHaveLength(2);
    expect(loadingMore.value).toBe(1); // its end is still to come, for those who wait to ask again
    await vi.advanceTimersByTimeAsync(200);
    expect([settled, loadingMore.value]).toEqual([true, 0]);
    void loadMore(closed);
    expect(server.asked).toHaveLength(3);
    await vi.advanceTimersByTimeAsync(5_000);
  } finally {
    vi.useRealTimers();
  }
});

it('the first list does not forget the session of the page, which may be older than what is in it', async () => {
  server.sessions.set('_feed', { ...info('_feed', ''), epoch: 'e' });
  server.sessions.set('deep', info('deep', 'Far down'));
  server.list = async () => ({ sessions: [], items: [], turns: [] });
  let title: string | undefined;
  const end = effect(() => void (title = rowOf('deep').value?.title));
  await want('deep');
  server.asked.length = 0;
  start();
  await vi.waitFor(() => expect(listState.value.phase).toBe('ready'));
  await vi.waitFor(() => expect(server.asked).toContain('/v1/sessions/deep'));
  await vi.waitFor(() => expect(title).toBe('Far down'));
  end();
});
