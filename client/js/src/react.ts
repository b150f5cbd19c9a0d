// React hooks over a connection. They only read: what they return is the
// connection's and the view's own state, drawn anew when that changes.
import { useMemo, useSyncExternalStore } from 'react';
import type { CommandName, Connection, ConnectionState, Pending } from './api.js';
import type { Ack } from './types.js';
import { Fold, openSession } from './view/index.js';
import type { SessionView, ViewSnapshot } from './view/types.js';

/** A session on the screen, and what can be done with it. */
export interface SessionHook extends ViewSnapshot {
  /** One page further back. */
  loadEarlier(): Promise<void>;
  /** Loads back until the event is in the view; false: it is gone. */
  loadThrough(id: number): Promise<boolean>;
  /** As Connection.send, to this session: `send('prompt', {text: 'Go on'})`. */
  send(command: CommandName, body?: Record<string, unknown>): Promise<Ack>;
}

/** What is shown before there is anything, and on a server. */
const nothing: ViewSnapshot = {
  conversation: new Fold().conversation,
  phase: 'loading', done: 0, of: 0, status: undefined, statusAt: 0, head: 0, floor: 0, hasEarlier: false, loadingEarlier: false, problem: undefined,
};

function store(connection: Connection, session: string) {
  let view: SessionView | undefined;
  return {
    // Opens here and not while rendering: a render may be thrown away, and in strict mode is done twice.
    subscribe(changed: () => void) {
      const mine = (view = openSession(connection, session));
      const stop = mine.subscribe(changed);
      return () => {
        stop();
        mine.close();
      };
    },
    snapshot: () => view?.snapshot ?? nothing,
    acts: {
      loadEarlier: async () => view?.loadEarlier(),
      loadThrough: async (id: number) => (await view?.loadThrough(id)) ?? false,
      send: (command: CommandName, body?: Record<string, unknown>) => connection.send({ session, command, body }),
    },
  };
}

/** Follows a session for as long as the component is there. */
export function useSession(connection: Connection, session: string): SessionHook {
  const { subscribe, snapshot, acts } = useMemo(() => store(connection, session), [connection, session]);
  const now = useSyncExternalStore(subscribe, snapshot, () => nothing);
  return useMemo(() => ({ ...now, ...acts }), [now, acts]);
}

function useEvent<T>(connection: Connection, event: string, get: () => T): T {
  const subscribe = useMemo(
    () => (changed: () => void) => {
      connection.addEventListener(event, changed);
      return () => connection.removeEventListener(event, changed);
    },
    [connection, event],
  );
  return useSyncExternalStore(subscribe, get, get);
}

/** How the connection is. */
export function useConnection(connection: Connection): ConnectionState {
  return useEvent(connection, 'state', () => connection.state);
}

/** Commands that the server has not answered. */
export function usePending(connection: Connection): readonly Pending[] {
  return useEvent(connection, 'pending', () => connection.pending);
}
