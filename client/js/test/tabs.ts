// A browser of tabs for tests, run step by step: what a tab hears, its timers
// and its locks wait in its own queue, so that it can be frozen, be slow or be
// gone at any moment, and a seed gives the same run again.
import type { ConnectionState, SubscribeOptions } from '../src/api.js';
import type { Locks } from '../src/lock.js';
import { share, type Channel, type ShareEnv } from '../src/share.js';
import type { Reader, Source } from '../src/source.js';
import type { Frame, LogEvent, Problem } from '../src/types.js';

/** Numbers in [0, 1) that are the same for the same seed. */
export function seeded(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Tasks of one step; more are a storm of messages. */
const tasksMax = 20_000;

interface Wanted {
  owner: string;
  grant(): void;
  broken(): void;
}

/** Web Locks for several owners in one process; `of` gives each its own LockManager, `gone` is what happens when its page goes. */
export class FakeLocks {
  readonly #held = new Map<string, Wanted>();
  readonly #queue = new Map<string, Wanted[]>();

  /** `task` runs what the platform would run in that page. */
  of(owner: string, task: (run: () => void) => void = queueMicrotask): Locks {
    return {
      request: (name, { signal, steal }, run) =>
        new Promise((resolve, reject) => {
          const want: Wanted = {
            owner,
            grant: () =>
              task(() => {
                // Also when it was stolen meanwhile, as browsers do.
                void Promise.resolve(run({ name })).then(resolve, reject).finally(() => this.#free(name, want));
              }),
            broken: () => task(() => reject(new DOMException('the lock was stolen', 'AbortError'))),
          };
          const queue = this.#queue.get(name) ?? [];
          this.#queue.set(name, queue);
          signal?.addEventListener('abort', () => {
            if (!queue.includes(want)) return;
            queue.splice(queue.indexOf(want), 1);
            reject(signal.reason);
          });
          if (steal) {
            this.#held.get(name)?.broken();
            this.#held.set(name, want);
            want.grant();
          } else {
            queue.push(want);
            this.#next(name);
          }
        }),
    };
  }

  gone(owner: string): void {
    for (const queue of this.#queue.values()) for (const want of [...queue]) if (want.owner === owner) queue.splice(queue.indexOf(want), 1);
    for (const [name, want] of [...this.#held]) if (want.owner === owner) this.#free(name, want);
  }

  holder(name: string): string | undefined {
    return this.#held.get(name)?.owner;
  }

  #free(name: string, want: Wanted): void {
    if (this.#held.get(name) !== want) return;
    this.#held.delete(name);
    this.#next(name);
  }

  #next(name: string): void {
    const want = this.#held.has(name) ? undefined : this.#queue.get(name)?.shift();
    if (!want) return;
    this.#held.set(name, want);
    want.grant();
  }
}

/** A subscription as far as a source sees it; it remembers all that it took. */
export class TestReader implements Reader {
  cursor = 0;
  readonly got: number[] = [];
  doubles = 0;
  holes = 0;
  hellos = 0;

  constructor(readonly session: string) {}

  position(): SubscribeOptions {
    return { after: this.cursor };
  }

  deliver(batch: readonly (LogEvent | Frame)[]): boolean {
    for (const m of batch) {
      if (!('data' in m)) this.hellos += +(m.type === 'hello');
      else if (m.id <= this.cursor) this.doubles++;
      else if (m.id > this.cursor + 1) {
        this.holes++;
        return false;
      } else this.got.push((this.cursor = m.id));
    }
    return true;
  }
}

interface Follow {
  reader: Reader;
  cursor: number;
  attached: boolean;
}

/** A link to a server that holds as many events of each session as `heads` says. */
export class TestLink implements Source {
  state: ConnectionState = { phase: 'live', transport: 'ws', attempt: 0 };
  readonly follows = new Set<Follow>();
  readonly #listeners = new Set<(state: ConnectionState) => void>();
  closed = false;
  reconnects = 0;
  attaches = 0;

  constructor(readonly heads: Map<string, number>, readonly text = '') {}

  onState(listen: (state: ConnectionState) => void): () => void {
    this.#listeners.add(listen);
    return () => this.#listeners.delete(listen);
  }

  show(state: ConnectionState): void {
    this.state = state;
    for (const listen of this.#listeners) listen(state);
  }

  follow(reader: Reader): () => void {
    const follow = { reader, cursor: 0, attached: false };
    this.follows.add(follow);
    return () => this.follows.delete(follow);
  }

  reconnect(): void {
    this.reconnects++;
    this.cut();
  }

  deny(problem: Problem): void {
    this.show({ ...this.state, phase: 'unauthorized', problem });
  }

  /** The connection breaks: everybody is asked for the position anew. */
  cut(): void {
    for (const follow of this.follows) follow.attached = false;
  }

  close(): void {
    this.closed = true;
    this.follows.clear();
  }

  /** Gives each reader up to `count` events more. Those that are level get the same batch. */
  deliver(count = Infinity): void {
    const shared = new Map<string, (LogEvent | Frame)[]>();
    for (const follow of [...this.follows]) {
      const { reader } = follow;
      const { session } = reader;
      const head = this.heads.get(session) ?? 0;
      const hello = !follow.attached;
      if (hello) {
        this.attaches++;
        follow.attached = true;
        follow.cursor = reader.position().after ?? 0;
      }
      const through = Math.min(head, follow.cursor + count);
      const place = `${session} ${follow.cursor} ${hello}`;
      let batch = shared.get(place);
      if (!batch) {
        batch = [];
        if (hello) batch.push({ type: 'hello', session, epoch: 'e1', floor: 1, head, after: follow.cursor, through: head } as Frame);
        for (let id = follow.cursor + 1; id <= through; id++) batch.push({ id, session, type: 'x', time: '', data: { text: this.text } });
        shared.set(place, batch);
      }
      if (!batch.length) continue;
      follow.cursor = through;
      if (!reader.deliver(batch)) follow.attached = false;
    }
  }
}

export interface Tab {
  readonly name: string;
  readonly source: Source;
  /** Connections that it opened, the last one last. */
  readonly links: TestLink[];
  readonly readers: TestReader[];
  readonly tasks: (() => void)[];
  readonly beats: Set<() => void>;
  visible: boolean;
  frozen: boolean;
}

export class Browser {
  readonly heads = new Map<string, number>();
  readonly locks = new FakeLocks();
  readonly tabs: Tab[] = [];
  /** Messages by channel name. */
  readonly said: { name: string; message: { t: string } }[] = [];
  /** Text of each event. */
  text = '';
  #count = 0;
  readonly #endpoints = new Set<{ name: string; tab: Tab; channel: Channel }>();

  append(session: string, count = 1): void {
    this.heads.set(session, (this.heads.get(session) ?? 0) + count);
  }

  open(change: (env: ShareEnv) => ShareEnv = (env) => env): Tab {
    const name = `t${++this.#count}`;
    const tab = { name, links: [], readers: [], tasks: [], beats: new Set(), visible: true, frozen: false } as unknown as Tab & { source: Source };
    const task = (run: () => void) => void tab.tasks.push(run);
    const env: ShareEnv = {
      locks: this.locks.of(name, task),
      channel: (channel) => this.#channel(channel, tab),
      visible: () => tab.visible,
      every: (_, run) => {
        tab.beats.add(run);
        return () => tab.beats.delete(run);
      },
    };
    const open = () => {
      const link = new TestLink(this.heads, this.text);
      tab.links.push(link);
      return link;
    };
    tab.source = share('test', open, change(env));
    this.tabs.push(tab);
    return tab;
  }

  read(tab: Tab, session: string): TestReader & { stop(): void } {
    const reader = new TestReader(session) as TestReader & { stop(): void };
    tab.readers.push(reader);
    const stop = tab.source.follow(reader);
    reader.stop = () => {
      tab.readers.splice(tab.readers.indexOf(reader), 1);
      stop();
    };
    return reader;
  }

  /** The page goes without a word. */
  crash(tab: Tab): void {
    this.tabs.splice(this.tabs.indexOf(tab), 1);
    for (const it of this.#endpoints) if (it.tab === tab) this.#endpoints.delete(it);
    for (const link of tab.links) link.close();
    tab.tasks.length = 0;
    tab.beats.clear();
    tab.frozen = true;
    this.locks.gone(tab.name);
  }

  close(tab: Tab): void {
    tab.source.close();
    this.crash(tab);
  }

  /** Links that are open; those of frozen tabs too. */
  links(tabs = this.tabs): TestLink[] {
    return tabs.flatMap((tab) => tab.links.filter((link) => !link.closed));
  }

  /** Runs one waiting task of a tab. */
  async run(tab: Tab): Promise<boolean> {
    const task = tab.frozen ? undefined : tab.tasks.shift();
    task?.();
    for (let i = 0; i < 8; i++) await null;
    return task !== undefined;
  }

  /** Runs all that waits in tabs that are not frozen. */
  async settle(): Promise<void> {
    let tasks = 0;
    for (let more = true; more; ) {
      more = false;
      for (let i = 0; i < 8; i++) await null; // what was begun outside of a task
      for (const tab of [...this.tabs]) while (await this.run(tab)) {
        more = true;
        if (++tasks > tasksMax) throw new Error(`a storm: ${JSON.stringify(this.said.slice(-12))}`);
      }
    }
  }

  async beat(tabs = this.tabs): Promise<void> {
    for (const tab of tabs) if (!tab.frozen) for (const run of [...tab.beats]) run();
    await this.settle();
  }

  /** Servers send all that they have, and tabs hear it. */
  async deliver(count?: number): Promise<void> {
    for (const tab of this.tabs) if (!tab.frozen) for (const link of this.links([tab])) link.deliver(count);
    await this.settle();
  }

  #channel(name: string, tab: Tab): Channel {
    const channel = {
      onmessage: null as ((event: { data: unknown }) => void) | null,
      postMessage: (message: { t: string }) => {
        const data = structuredClone(message);
        this.said.push({ name, message: data });
        for (const other of this.#endpoints) {
          if (other.name !== name || other.channel === channel) continue;
          other.tab.tasks.push(() => this.#endpoints.has(other) && other.channel.onmessage?.call(other.channel as BroadcastChannel, { data: structuredClone(data) } as MessageEvent));
        }
      },
      close: () => this.#endpoints.delete(endpoint),
    } as Channel;
    const endpoint = { name, tab, channel };
    this.#endpoints.add(endpoint);
    return channel;
  }
}
