// @vitest-environment happy-dom
import { act, createElement, StrictMode, type ReactNode } from 'react';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Connection, ConnectionState, Pending } from '../src/api.js';
import { useConnection, usePending, useSession, type SessionHook } from '../src/react.js';
import type { SessionView, ViewSnapshot } from '../src/view/types.js';

interface FakeView extends SessionView {
  snapshot: ViewSnapshot;
  closed: boolean;
  show(change: Partial<ViewSnapshot>): void;
}

const views: FakeView[] = [];
const open = () => views.filter((view) => !view.closed);

vi.mock('../src/view/index.js', async (original) => {
  const { Fold } = await original<typeof import('../src/view/index.js')>();
  const openSession = (_: Connection, session: string): SessionView => {
    const listeners = new Set<() => void>();
    const view: FakeView = {
      session,
      snapshot: { conversation: new Fold().conversation, phase: 'loading', done: 0, of: 0, status: undefined, statusAt: 0, head: 0, floor: 0, hasEarlier: false, loadingEarlier: false, problem: undefined },
      closed: false,
      show(change) {
        this.snapshot = { ...this.snapshot, ...change };
        for (const listen of listeners) listen();
      },
      subscribe: (listen) => (listeners.add(listen), () => listeners.delete(listen)),
      loadEarlier: vi.fn(async () => {}),
      loadThrough: vi.fn(async (id: number) => id > 5),
      events: () => [],
      close() {
        this.closed = true;
      },
    };
    views.push(view);
    return view;
  };
  return { Fold, openSession };
});

class FakeConnection extends EventTarget {
  state: ConnectionState = { phase: 'connecting', transport: 'ws', attempt: 0 };
  pending: readonly Pending[] = [];
  send = vi.fn(async () => ({ session: 's1', id: 1, duplicate: false }));
  listeners = 0;
  override addEventListener(...args: Parameters<EventTarget['addEventListener']>) {
    this.listeners++;
    super.addEventListener(...args);
  }
  override removeEventListener(...args: Parameters<EventTarget['removeEventListener']>) {
    this.listeners--;
    super.removeEventListener(...args);
  }
}

interface Root {
  render(node: ReactNode): void;
  unmount(): void;
}

// Not by a literal name: the package has no types here, and needs none.
const dom = (await import(/* @vite-ignore */ 'react-dom/client' as string)) as { createRoot(at: Element): Root };
const server = (await import(/* @vite-ignore */ 'react-dom/server' as string)) as { renderToString(node: ReactNode): string };

let root: Root;
let at: HTMLElement;
beforeEach(() => {
  (globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;
  views.length = 0;
  at = document.createElement('div');
  root = dom.createRoot(at);
});
afterEach(() => act(() => root.unmount()));

const fake = new FakeConnection();
const connection = fake as unknown as Connection;
let hook: SessionHook;
let renders = 0;

function Session({ session }: { session: string }) {
  hook = useSession(connection, session);
  renders++;
  return createElement('p', null, `${session} ${hook.phase} ${hook.head}`);
}

describe('useSession', () => {
  it('shows the session as it is, and draws once per change', async () => {
    await act(() => root.render(createElement(Session, { session: 's1' })));
    expect(at.textContent).toBe('s1 loading 0');
    const before = renders;
    await act(() => views[0]!.show({ phase: 'live', head: 7 }));
    expect(at.textContent).toBe('s1 live 7');
    expect(renders).toBe(before + 1);
  });

  it('follows it once in strict mode, and closes all that it opened', async () => {
    await act(() => root.render(createElement(StrictMode, null, createElement(Session, { session: 's1' }))));
    expect(open()).toHaveLength(1);
    await act(() => open()[0]!.show({ phase: 'live', head: 3 }));
    expect(at.textContent).toBe('s1 live 3');
    await act(() => root.render(null));
    expect(open()).toHaveLength(0);
  });

  it('closes the old one when the session changes, and shows nothing of it', async () => {
    await act(() => root.render(createElement(Session, { session: 's1' })));
    await act(() => views[0]!.show({ phase: 'live', head: 7 }));
    await act(() => root.render(createElement(Session, { session: 's2' })));
    expect(at.textContent).toBe('s2 loading 0');
    expect(open().map((view) => view.session)).toEqual(['s2']);
  });

  it('has the same object, and the same functions, until something changed', async () => {
    await act(() => root.render(createElement(Session, { session: 's1' })));
    const first = hook;
    await act(() => root.render(createElement(Session, { session: 's1' })));
    expect(hook).toBe(first);
    await act(() => views[0]!.show({ head: 1 }));
    expect(hook).not.toBe(first);
    expect(hook.send).toBe(first.send);
  });

  it('loads earlier events, and sends to its session', async () => {
    await act(() => root.render(createElement(Session, { session: 's1' })));
    await hook.loadEarlier();
    expect(views[0]!.loadEarlier).toHaveBeenCalledOnce();
    expect([await hook.loadThrough(3), await hook.loadThrough(9)]).toEqual([false, true]);
    expect((await hook.send('prompt', { text: 'a' })).id).toBe(1);
    expect(fake.send).toHaveBeenLastCalledWith({ session: 's1', command: 'prompt', body: { text: 'a' } });
  });

  it('can be drawn on a server, where nothing is followed', () => {
    expect(server.renderToString(createElement(Session, { session: 's1' }))).toContain('s1 loading 0');
    expect(views).toHaveLength(0);
  });
});

describe('useConnection and usePending', () => {
  function State() {
    return createElement('p', null, `${useConnection(connection).phase} ${usePending(connection).length}`);
  }

  it('show what the connection says, and listen no longer than they are there', async () => {
    await act(() => root.render(createElement(StrictMode, null, createElement(State))));
    expect(at.textContent).toBe('connecting 0');
    await act(() => {
      fake.state = { phase: 'live', transport: 'sse', attempt: 0 };
      fake.dispatchEvent(new CustomEvent('state'));
      fake.pending = [{ key: 'k', session: 's1', command: 'prompt', body: {}, time: 1, state: 'waiting' }];
      fake.dispatchEvent(new CustomEvent('pending'));
    });
    expect(at.textContent).toBe('live 1');
    await act(() => root.render(null));
    expect(fake.listeners).toBe(0);
  });

  it('can be drawn on a server', () => {
    expect(server.renderToString(createElement(State))).toContain('live 1');
  });
});
