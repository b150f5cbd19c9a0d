// What this browser can do, as far as the console makes use of it.

export interface Ability {
  name: string;
  has: boolean;
  /** What it is for, and what is without it. */
  means: string;
}

/** Asks the browser. */
export async function abilities(): Promise<Ability[]> {
  const persistent = await navigator.storage?.persisted?.().catch(() => false);
  return [
    { name: 'WebSocket', has: 'WebSocket' in globalThis, means: 'the fastest transport' },
    { name: 'Streamed answers', has: typeof ReadableStream === 'function', means: 'server-sent events; without them long-polling' },
    { name: 'Web Locks', has: !!navigator.locks, means: 'one connection for all tabs; pages over plain http on another host have none' },
    { name: 'BroadcastChannel', has: typeof BroadcastChannel === 'function', means: 'one connection for all tabs' },
    { name: 'IndexedDB', has: !!globalThis.indexedDB, means: 'prompts that wait survive a reload' },
    { name: 'Persistent storage', has: persistent === true, means: 'the browser does not clear what waits when space is short' },
    { name: 'Secure context', has: globalThis.isSecureContext === true, means: 'https or localhost: locks and the clipboard' },
  ];
}
