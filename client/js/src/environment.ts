// All that the client asks of its platform, in one place, so that tests can
// bring another clock, network and page.
import type { ConnectOptions } from './api.js';

/** online, offline: the platform says so. wake: somebody looks at the page again. */
export type Signal = 'online' | 'offline' | 'wake';

export interface Environment {
  /** Milliseconds since 1970. */
  now(): number;
  /** At least 0 and less than 1. */
  random(): number;
  /** Calls once, later; the returned function takes it back. */
  after(ms: number, run: () => void): () => void;
  readonly fetch: typeof fetch;
  readonly WebSocket: typeof WebSocket | undefined;
  /** What is remembered per network goes here; undefined where nothing lasts. */
  readonly storage: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'> | undefined;
  /** What the platform tells of the network's kind, '' when nothing. */
  network(): string;
  offline(): boolean;
  onSignal(listen: (signal: Signal) => void): () => void;
}

type Navigator = { onLine?: boolean; connection?: { type?: string } };

/** The platform at hand: a browser's page or worker, or Node. */
export function platform(options: Pick<ConnectOptions, 'fetch' | 'WebSocket'> = {}): Environment {
  const it = globalThis;
  const navigator = it.navigator as Navigator | undefined;
  return {
    now: () => Date.now(),
    random: () => Math.random(),
    after(ms, run) {
      const timer = setTimeout(run, ms);
      return () => clearTimeout(timer);
    },
    fetch: options.fetch ?? ((input, init) => it.fetch(input, init)),
    WebSocket: options.WebSocket ?? it.WebSocket,
    storage: storage(),
    network: () => navigator?.connection?.type ?? '',
    offline: () => navigator?.onLine === false,
    onSignal,
  };
}

function storage(): Environment['storage'] {
  try {
    // Node gives one only to those who ask by a flag, and warns all others.
    return globalThis.document && globalThis.localStorage;
  } catch {
    return undefined; // pages may be forbidden to keep anything
  }
}

function onSignal(listen: (signal: Signal) => void): () => void {
  const { document } = globalThis;
  if (!globalThis.addEventListener) return () => {};
  const heard = (e: Event) => {
    if (e.type === 'online' || e.type === 'offline') listen(e.type);
    else if (!document?.hidden) listen('wake');
  };
  const all = [[globalThis, 'online'], [globalThis, 'offline'], [globalThis, 'pageshow'], [document, 'visibilitychange']] as const;
  for (const [target, name] of all) target?.addEventListener(name, heard);
  return () => {
    for (const [target, name] of all) target?.removeEventListener(name, heard);
  };
}
