import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ConnectionState } from '../src/api.js';
import { hold } from '../src/lock.js';
import type { Problem } from '../src/types.js';
import { goneBeats, missedMax, share, windowMax } from '../src/share.js';
import { Browser, FakeLocks, seeded, TestLink, TestReader, type Tab } from './tabs.js';

const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);

beforeEach(() => void vi.spyOn(Math, 'random').mockImplementation(seeded(1)));
afterEach(() => void vi.restoreAllMocks());

async function opened(count: number): Promise<[Browser, ...Tab[]]> {
  const browser = new Browser();
  const tabs = [];
  for (let i = 0; i < count; i++) {
    tabs.push(browser.open());
    await browser.settle();
  }
  return [browser, ...tabs];
}

/** Beats until a tab that is not frozen has a connection. */
async function takenOver(browser: Browser): Promise<number> {
  for (let beats = 1; beats < 40; beats++) {
    await browser.beat();
    if (browser.links(browser.tabs.filter((tab) => !tab.frozen)).length) return beats;
  }
  throw new Error('nobody took over');
}

describe('one connection per browser', () => {
  it('is opened by one tab, and all tabs read on it', async () => {
    const [browser, a, b, c] = await opened(3);
    browser.append('s1', 5);
    browser.append('s2', 3);
    const readers = [browser.read(a!, 's1'), browser.read(b!, 's1'), browser.read(c!, 's1'), browser.read(c!, 's2')];
    await browser.deliver();
    await browser.deliver();
    expect(browser.links()).toHaveLength(1);
    expect(readers.map((r) => r.got)).toEqual([upTo(5), upTo(5), upTo(5), upTo(3)]);
    expect(readers.map((r) => r.doubles + r.holes)).toEqual([0, 0, 0, 0]);
  });

  it('tells followers how it is, and that it is shared', async () => {
    const [, a, b] = await opened(2);
    expect(a!.source.state.shared).toBeUndefined();
    expect(b!.source.state).toEqual({ phase: 'live', transport: 'ws', attempt: 0, shared: true });
  });

  it('shows followers each change of its state', async () => {
    const [browser, a, b] = await opened(2);
    const heard: ConnectionState[] = [];
    b!.source.onState((state) => heard.push(state));
    a!.links[0]!.show({ phase: 'waiting', transport: 'sse', attempt: 2, retryAt: 7 });
    await browser.settle();
    expect(heard).toEqual([{ phase: 'waiting', transport: 'sse', attempt: 2, retryAt: 7, shared: true }]);
    const { state } = b!.source;
    await browser.beat();
    expect(b!.source.state, 'a state that did not change is the same object').toBe(state);
  });

  it('sends one message for all readers that are level', async () => {
    const [browser, , b, c, d] = await opened(4);
    for (const tab of [b!, c!, d!]) browser.read(tab, 's1');
    await browser.settle();
    await browser.deliver();
    browser.said.length = 0;
    browser.append('s1', 3);
    await browser.deliver();
    expect(browser.said.filter((s) => s.message.t === 'batch')).toHaveLength(1);
    expect([b, c, d].map((tab) => tab!.readers[0]!.got)).toEqual([upTo(3), upTo(3), upTo(3)]);
  });

  it('is not disturbed by a follower that comes late or reads from the start', async () => {
    const [browser, a, b] = await opened(2);
    browser.append('s1', 50);
    const first = browser.read(a!, 's1');
    await browser.deliver();
    const late = browser.read(b!, 's1');
    await browser.settle();
    await browser.deliver(10);
    browser.append('s1', 1);
    for (let i = 0; i < 6; i++) await browser.deliver(10);
    expect(late.got).toEqual(upTo(51));
    expect(first.got).toEqual(upTo(51));
    expect(first.hellos).toBe(1);
  });

  it('reads no longer what a follower has closed', async () => {
    const [browser, a, b] = await opened(2);
    const reader = browser.read(b!, 's1');
    await browser.settle();
    expect(a!.links[0]!.follows.size).toBe(1);
    reader.stop();
    await browser.settle();
    expect(a!.links[0]!.follows.size).toBe(0);
  });

  it('goes on after a break from where the follower is, not from where it began', async () => {
    const [browser, a, b] = await opened(2);
    browser.append('s1', 20);
    const reader = browser.read(b!, 's1');
    await browser.settle();
    await browser.deliver();
    a!.links[0]!.cut();
    browser.append('s1', 2);
    await browser.deliver();
    expect(reader.got).toEqual(upTo(22));
    expect(reader.doubles).toBe(0);
  });

  it('is tried again at once when a follower asks for it', async () => {
    const [browser, a, b] = await opened(2);
    b!.source.reconnect();
    await browser.settle();
    expect(a!.links[0]!.reconnects).toBe(1);
  });
});

describe('when the tab with the connection goes', () => {
  for (const how of ['close', 'crash'] as const)
    it(`by a ${how} the next one leads, and nobody loses or doubles an event`, async () => {
      const [browser, a, b, c] = await opened(3);
      browser.append('s1', 10);
      const readers = [browser.read(b!, 's1'), browser.read(c!, 's1')];
      await browser.settle();
      await browser.deliver(4);
      browser[how](a!);
      browser.append('s1', 10);
      await browser.settle();
      await browser.deliver();
      await browser.deliver();
      expect(browser.links()).toHaveLength(1);
      expect(readers.map((r) => r.got)).toEqual([upTo(20), upTo(20)]);
      expect(readers.map((r) => r.doubles)).toEqual([0, 0]);
      expect(b!.source.state.shared, 'who leads reads on its own').toBeUndefined();
      expect(c!.source.state.shared).toBe(true);
    });

  it('frozen, a visible tab takes over; thawed, it follows', async () => {
    const [browser, a, b] = await opened(2);
    browser.append('s1', 10);
    const mine = browser.read(a!, 's1');
    const reader = browser.read(b!, 's1');
    await browser.settle();
    await browser.deliver(4);
    a!.frozen = true;
    browser.append('s1', 10);
    expect(await takenOver(browser)).toBeGreaterThan(missedMax);
    await browser.deliver();
    expect(reader.got).toEqual(upTo(20));
    a!.frozen = false;
    await browser.settle();
    await browser.beat();
    await browser.deliver();
    expect(a!.links.map((link) => link.closed)).toEqual([true]);
    expect(browser.links()).toHaveLength(1);
    expect(a!.source.state.shared).toBe(true);
    expect(mine.got).toEqual(upTo(20));
  });

  it('frozen before another was opened, the new tab does not wait for ever', async () => {
    const [browser, a] = await opened(1);
    a!.frozen = true;
    browser.append('s1', 3);
    const b = browser.open();
    const reader = browser.read(b, 's1');
    await takenOver(browser);
    await browser.deliver();
    expect(reader.got).toEqual(upTo(3));
  });

  it('a hidden tab leaves it alone', async () => {
    const [browser, a, b] = await opened(2);
    a!.frozen = true;
    b!.visible = false;
    for (let i = 0; i < 30; i++) await browser.beat();
    expect(b!.links).toHaveLength(0);
    b!.visible = true;
    await takenOver(browser);
  });

  it('a tab that was asleep itself does not take over from a leader that is well', async () => {
    const [browser, a, b] = await opened(2);
    b!.frozen = true;
    for (let i = 0; i < 20; i++) await browser.beat();
    b!.frozen = false;
    for (let i = 0; i < 20; i++) await browser.beat();
    expect(browser.links()).toEqual(a!.links);
  });

  it('what a frozen tab says when it wakes does not lead others astray', async () => {
    const [browser, a, b, c] = await opened(3);
    const reader = browser.read(c!, 's1');
    await browser.settle();
    c!.visible = false;
    a!.frozen = true;
    await takenOver(browser);
    await browser.deliver();
    a!.frozen = false;
    await browser.run(a!); // it hears "who leads?" before that its lock is gone
    browser.append('s1', 2);
    await browser.settle();
    await browser.deliver();
    expect(b!.links[0]!.closed).toBe(false);
    expect(reader.got).toEqual(upTo(2));
    expect(reader.holes).toBe(0);
  });
});

describe('a lock', () => {
  it('that is stolen before it was given is not had', async () => {
    const locks = new FakeLocks();
    const tasks: (() => void)[] = [];
    const got = vi.fn();
    const lost = vi.fn();
    hold(locks.of('a', (run) => tasks.push(run)), 'n', false, got, lost);
    hold(locks.of('b'), 'n', true, () => {}, () => {});
    for (const run of tasks.reverse()) {
      run(); // the bad news first
      await new Promise((done) => setImmediate(done));
    }
    expect(lost.mock.calls).toEqual([[true]]);
    expect(got).not.toHaveBeenCalled();
  });
});

describe('a follower', () => {
  it('that takes nothing costs a bounded amount, and is level again afterwards', async () => {
    const browser = new Browser();
    browser.text = 'x'.repeat(1 << 20);
    const a = browser.open();
    const b = browser.open();
    await browser.settle();
    const reader = browser.read(b, 's1');
    await browser.settle();
    await browser.deliver();
    b.frozen = true;
    browser.said.length = 0;
    for (let i = 0; i < 40; i++) {
      browser.append('s1');
      await browser.deliver();
    }
    const sent = browser.said.map((s) => (s.message as { json?: string }).json?.length ?? 0).reduce((x, y) => x + y);
    expect(sent).toBeGreaterThan(windowMax);
    expect(sent).toBeLessThan(windowMax * 1.2);
    expect(a.links[0]!.follows.size).toBe(0);
    b.frozen = false;
    await browser.settle();
    await browser.beat();
    await browser.deliver();
    expect(reader.got).toEqual(upTo(40));
  });

  it('that takes what it gets is never put off, however much comes', async () => {
    const browser = new Browser();
    browser.text = 'x'.repeat(1 << 20);
    const a = browser.open();
    const b = browser.open();
    await browser.settle();
    const reader = browser.read(b, 's1');
    await browser.settle();
    for (let i = 0; i < 60; i++) {
      browser.append('s1');
      await browser.deliver();
    }
    expect(reader.got).toEqual(upTo(60));
    expect(a.links[0]!.attaches).toBe(1);
  });

  it('that crashed is read for no longer', async () => {
    const [browser, a, b] = await opened(2);
    browser.read(b!, 's1');
    await browser.settle();
    browser.crash(b!);
    for (let i = 0; i <= goneBeats; i++) await browser.beat();
    expect(a!.links[0]!.follows.size).toBe(0);
  });

  it('finds a hole by its cursor and reads again from there', async () => {
    const [browser, a, b] = await opened(2);
    const reader = browser.read(b!, 's1');
    await browser.settle();
    browser.append('s1', 3);
    a!.links[0]!.deliver();
    await null;
    b!.tasks.length = 0; // lost on the way
    browser.append('s1', 3);
    for (let i = 0; i < 3; i++) await browser.deliver();
    expect(reader.got).toEqual(upTo(6));
    expect(reader.holes).toBe(1);
  });
});

describe('where the platform fails', () => {
  it('each tab has a connection of its own without Web Locks', async () => {
    const browser = new Browser();
    browser.append('s1', 2);
    const tabs = [1, 2].map(() => browser.open((env) => ({ ...env, locks: undefined })));
    const readers = tabs.map((tab) => browser.read(tab, 's1'));
    await browser.deliver();
    expect(browser.links()).toHaveLength(2);
    expect(readers.map((r) => r.got)).toEqual([upTo(2), upTo(2)]);
  });

  it('a tab reads on its own when there is no channel, when it breaks, or when locks are refused', async () => {
    const changes: ((env: Parameters<NonNullable<Parameters<typeof share>[2]>['channel']>[0] extends string ? NonNullable<Parameters<typeof share>[2]> : never) => NonNullable<Parameters<typeof share>[2]>)[] = [
      (env) => ({ ...env, channel: () => { throw new Error('no channel'); } }),
      (env) => ({ ...env, channel: (name) => ({ ...env.channel(name), postMessage: () => { throw new Error('closed'); } }) }),
      (env) => ({ ...env, locks: { request: () => Promise.reject(new Error('SecurityError')) } }),
    ];
    for (const change of changes) {
      const [browser] = await opened(1);
      browser.append('s1', 2);
      const tab = browser.open(change);
      const reader = browser.read(tab, 's1');
      await browser.settle();
      await browser.deliver();
      expect(reader.got).toEqual(upTo(2));
      expect(tab.links).toHaveLength(1);
      tab.source.close();
      expect(tab.links[0]!.closed).toBe(true);
    }
  });

  it('two that lead at the same time do not make their followers go to and fro', async () => {
    const [browser, a, b] = await opened(2);
    const reader = browser.read(b!, 's1');
    browser.open((env) => ({ ...env, locks: { request: () => Promise.reject(new Error('SecurityError')) } }));
    await browser.settle();
    browser.said.length = 0;
    for (let i = 0; i < 10; i++) await browser.beat();
    expect(browser.said.filter((s) => s.message.t === 'read')).toEqual([]);
    browser.append('s1', 2);
    await browser.deliver();
    await browser.deliver();
    expect(reader.got).toEqual(upTo(2));
    expect(a!.links).toHaveLength(1);
  });

  it('pages of another version, and words nobody knows, are passed over', async () => {
    const [browser, a, b] = await opened(2);
    const reader = browser.read(b!, 's1');
    await browser.settle();
    expect(new Set(browser.said.map((s) => s.name))).toEqual(new Set(['konlog:2:test']));
    for (const message of [null, 7, {}, { t: 'new' }, { t: 'batch', lead: 'x', to: [], json: '[' }]) {
      const stranger = new BrowserTab(browser);
      stranger.say(message);
    }
    browser.append('s1', 2);
    await browser.settle();
    await browser.deliver();
    expect(reader.got).toEqual(upTo(2));
    expect(a!.source.state.phase).toBe('live');
  });

  it('that the server wants other credentials reaches all tabs, whoever heard it, and so does that somebody signed in', async () => {
    const [browser, a, b, c] = await opened(3);
    const problem = { status: 401, code: 'unauthorized', detail: 'sign in' } as unknown as Problem;
    const all = () => [a!, b!, c!].map((tab) => [tab.source.state.phase, tab.source.state.problem]);
    for (const tab of [b!, a!]) {
      tab.source.deny(problem);
      await browser.settle();
      expect(all()).toEqual(Array(3).fill(['unauthorized', problem]));
      c!.source.reconnect();
      await browser.settle();
      expect(a!.links[0]!.reconnects).toBe(tab === b ? 1 : 2);
      a!.links[0]!.show({ phase: 'live', transport: 'ws', attempt: 0 });
      await browser.settle();
      expect(all()).toEqual(Array(3).fill(['live', undefined]));
    }
  });

  it('close ends it: no timer, lock or listener is left', async () => {
    const [browser, a, b] = await opened(2);
    for (const tab of [b!, a!]) {
      tab.source.close();
      tab.source.close();
      expect(tab.source.state.phase).toBe('closed');
      expect(tab.beats.size).toBe(0);
      await browser.settle();
    }
    expect(browser.links()).toHaveLength(0);
    expect(browser.locks.holder('konlog:1:test')).toBeUndefined();
  });
});

/** Something else on the same channel. */
class BrowserTab {
  constructor(readonly browser: Browser) {}
  say(message: unknown): void {
    let post = (_: unknown) => {};
    const tab = this.browser.open((env) => ({
      ...env,
      channel: (name) => {
        const channel = env.channel(name);
        post = (m) => channel.postMessage(m);
        return channel;
      },
    }));
    post(message);
    this.browser.close(tab);
  }
}

describe('tabs that open, close, freeze, crash, steal and hide at random', () => {
  const runs = Number(process.env['KONLOG_SHARE_RUNS'] ?? 150);
  it(`give each reader 1..n once and in order, ${runs} seeds`, async () => {
    for (let seed = 1; seed <= runs; seed++) await disturbed(seed);
  });
});

async function disturbed(seed: number): Promise<void> {
  const random = seeded(seed);
  vi.spyOn(Math, 'random').mockImplementation(random);
  const browser = new Browser();
  const pick = <T>(from: readonly T[]): T | undefined => from[Math.floor(random() * from.length)];
  const sessions = ['s1', 's2', 's3'];
  const actions: [number, () => unknown][] = [
    [40, () => browser.append(pick(sessions)!, 1 + Math.floor(random() * 5))],
    [60, () => pick(browser.links(browser.tabs.filter((tab) => !tab.frozen)))?.deliver(1 + Math.floor(random() * 4))],
    [120, () => { const tab = pick(browser.tabs); return tab && browser.run(tab); }],
    [30, () => { const tab = pick(browser.tabs); if (tab && !tab.frozen) for (const beat of [...tab.beats]) beat(); }],
    [6, () => browser.tabs.length < 5 && browser.open()],
    [8, () => { const tab = pick(browser.tabs); if (tab && tab.readers.length < 4) browser.read(tab, pick(sessions)!); }],
    [3, () => { const reader = pick(pick(browser.tabs)?.readers ?? []); (reader as { stop?(): void } | undefined)?.stop?.(); }],
    [4, () => { const tab = pick(browser.tabs); if (tab) tab.frozen = !tab.frozen; }],
    [3, () => { const tab = pick(browser.tabs); if (tab) tab.visible = !tab.visible; }],
    [1, () => { const tab = pick(browser.tabs); if (tab) browser.crash(tab); }],
    [1, () => { const tab = pick(browser.tabs); if (tab) browser.close(tab); }],
    [4, () => pick(browser.links())?.cut()],
  ];
  const total = actions.reduce((sum, [weight]) => sum + weight, 0);
  for (let step = 0; step < 400; step++) {
    let at = random() * total;
    await actions.find(([weight]) => (at -= weight) < 0)![1]();
    await null;
  }
  await level(browser, seed);
}

/** All thaw, and at the end have everything, over one connection. */
async function level(browser: Browser, seed: number): Promise<void> {
  for (const tab of browser.tabs) tab.frozen = !(tab.visible = true);
  for (let round = 0; round < 30; round++) {
    await browser.settle();
    await browser.beat();
    await browser.deliver();
  }
  for (const tab of browser.tabs)
    for (const reader of tab.readers) expect(reader.got, `seed ${seed}, ${tab.name}, ${reader.session}`).toEqual(upTo(browser.heads.get(reader.session) ?? 0));
  expect(browser.links().length, `connections, seed ${seed}`).toBe(Math.min(1, browser.tabs.length));
}

describe('over the platform’s own BroadcastChannel', () => {
  it('tabs follow one connection, and the next one leads when it goes', async () => {
    vi.restoreAllMocks();
    const heads = new Map([['s1', 30]]);
    const locks = new FakeLocks();
    const links: TestLink[] = [];
    const name = `real ${process.pid}`;
    const tab = (owner: string) =>
      share(name, () => (links.push(new TestLink(heads)), links.at(-1)!), {
        locks: locks.of(owner),
        channel: (channel) => new BroadcastChannel(channel),
        visible: () => true,
        every: (ms, run) => {
          const timer = setInterval(run, ms);
          return () => clearInterval(timer);
        },
      });
    const a = tab('a');
    const b = tab('b');
    const reader = new TestReader('s1');
    b.follow(reader);
    await vi.waitFor(() => expect(links[0]?.follows.size).toBe(1));
    links[0]!.deliver(10);
    await vi.waitFor(() => expect(reader.got).toEqual(upTo(10)));
    a.close();
    await vi.waitFor(() => expect(links).toHaveLength(2));
    links[1]!.deliver();
    expect(reader.got).toEqual(upTo(30));
    expect(reader.doubles).toBe(0);
    b.close();
  });
});

it('a follower is read for from its own place, whatever hello of another attach says', async () => {
  const [browser, a, b] = await opened(2);
  browser.append('s1', 20);
  const reader = browser.read(b!, 's1');
  reader.cursor = 0;
  await browser.settle();
  const remote = [...a!.links[0]!.follows][0]!.reader;
  const hello = (after: number) => ({ type: 'hello', session: 's1', epoch: 'e1', floor: 1, head: 20, after, through: 20 }) as never;
  remote.deliver([hello(10)]);
  expect(remote.position()).toMatchObject({ after: 0 });
});
