// Web Locks, as far as this client needs them: to be the one tab that does a
// thing, and to learn that a tab is gone.

/** The part of LockManager that is used; tests bring their own. */
export interface Locks {
  request(name: string, options: { signal?: AbortSignal; steal?: boolean }, run: (lock: unknown) => Promise<void>): Promise<unknown>;
}

/** The platform's; undefined in Node and on pages without a secure origin. */
export function platformLocks(): Locks | undefined {
  return globalThis.navigator?.locks as Locks | undefined;
}

/**
 * Waits for a lock and keeps it until the returned function is called. `lost` is told, once, when another took it away (true), or
 * when the platform gives no locks after all (false).
 */
export function hold(locks: Locks, name: string, steal: boolean, got: () => void, lost: (stolen: boolean) => void): () => void {
  const over = new AbortController();
  let release = () => {};
  const run = () => {
    if (over.signal.aborted) return Promise.resolve();
    got();
    return new Promise<void>((resolve) => (release = resolve));
  };
  // A lock is stolen at once or not at all, so there the platform takes no signal.
  locks.request(name, steal ? { steal } : { signal: over.signal }, run).catch((e) => {
    if (over.signal.aborted) return;
    over.abort(); // it may be stolen before it was given: then what comes late is not had
    lost(e?.name === 'AbortError');
  });
  return () => {
    over.abort();
    release();
  };
}
