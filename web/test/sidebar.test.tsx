import { render } from 'preact';
import { act } from 'preact/test-utils';
import { afterEach, expect, it, vi } from 'vitest';

const server = vi.hoisted(() => ({ asked: [] as string[], answer: undefined as undefined | (() => Promise<object>) }));
vi.mock('../src/app/connection', async () => ({
  connectionState: (await import('@preact/signals')).signal({ phase: 'live' }),
  connection: {
    state: { phase: 'live' },
    addEventListener() {},
    get: (path: string) => (server.asked.push(path), server.answer!()),
  },
}));
const { Sidebar } = await import('../src/sessions/Sidebar');
const { filter, listState, note } = await import('../src/sessions/store');

const host = document.body.appendChild(document.createElement('div'));
afterEach(() => act(() => render(null, host)));

it('a filter without hits says so as soon as the server has', async () => {
  let release = () => {};
  server.answer = () => new Promise((done) => (release = () => done({ sessions: [] })));
  note([{ id: 's', title: 'One', scope: '', tags: [], head: 3, createdAt: '', updatedAt: '', state: 'idle' } as never]);
  listState.value = { phase: 'ready', trouble: '' };
  filter.value = { name: 'closed', text: '', scope: '', tag: '' };
  await act(() => render(<Sidebar />, host));
  expect(server.asked).toEqual(['/v1/sessions?limit=200&state=closed']);
  expect(host.querySelector('.srow-skeleton')).not.toBeNull();
  await act(async () => release());
  await vi.waitFor(() => expect(host.textContent).toContain('No session is closed.'), { timeout: 1_000 });
  expect(host.querySelector('.srow-skeleton')).toBeNull();
  expect(server.asked).toHaveLength(1);
});
