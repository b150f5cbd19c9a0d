// Where commands wait over a reload: IndexedDB.
import type { Pending } from './api.js';

/** A pending command and the tab that has it in hand. */
export interface Kept extends Pending {
  tab: string;
}

/** Each call resolves when it is on disk. Any may fail: then the command lives in memory only. */
export interface Store {
  load(): Promise<Kept[]>;
  put(entry: Kept): Promise<unknown>;
  delete(key: string): Promise<unknown>;
}

/** Some browsers never answer in private mode. */
const storeMs = 3_000;
const table = 'outbox';

/** The store of this scope, or undefined where the platform has none. */
export function browserStore(scope: string): Store | undefined {
  if (typeof indexedDB === 'undefined') return undefined;
  const run = <T>(mode: IDBTransactionMode, act: (rows: IDBObjectStore) => IDBRequest<T>) => transact('konlog:' + scope, mode, act);
  return {
    load: () => run('readonly', (rows) => rows.getAll() as IDBRequest<Kept[]>),
    put: (entry) => run('readwrite', (rows) => rows.put(entry)),
    delete: (key) => run('readwrite', (rows) => rows.delete(key)),
  };
}

// Opens for each call: people's commands are few, and phones lose databases that stay open in the background.
function transact<T>(name: string, mode: IDBTransactionMode, act: (rows: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(reject, storeMs, new Error('IndexedDB does not answer'));
    const fail = (e: unknown) => (clearTimeout(timer), reject(e));
    const open = indexedDB.open(name, 1);
    open.onupgradeneeded = () => open.result.createObjectStore(table, { keyPath: 'key' });
    open.onerror = () => fail(open.error);
    open.onsuccess = () => {
      const db = open.result;
      try {
        const work = db.transaction(table, mode, { durability: 'strict' });
        const request = act(work.objectStore(table));
        work.oncomplete = () => (clearTimeout(timer), resolve(request.result));
        work.onabort = () => fail(work.error);
      } catch (e) {
        fail(e);
      }
      db.close(); // once the work is done
    };
  });
}
