import { afterEach, describe, expect, it, vi } from 'vitest';
import { ProblemError, type Command, type Pending } from '../src/api.js';
import { Outbox, type OutboxOptions } from '../src/outbox.js';
import type { Kept, Store } from '../src/outboxstore.js';
import { Rest, unreachable } from '../src/rest.js';
import type { Ack, Problem } from '../src/types.js';
import { startServer } from './rig.js';
import { FakeLocks } from './tabs.js';

const limits = { baseMs: 2, maxMs: 10, outboxMax: 50, requestMs: 5_000 };

/** A disk that several tabs write to. */
class FakeStore implements Store {
  readonly rows = new Map<string, Kept>();
  broken = false;
  /** Each write waits for this. */
  gate: Promise<void> = Promise.resolve();
  async load() {
    return [...this.rows.values()].map((row) => structuredClone(row));
  }
  async put(row: Kept) {
    await this.gate;
    if (this.broken) throw new Error('private mode');
    this.rows.set(row.key, structuredClone(row));
  }
  async delete(key: string) {
    this.rows.delete(key);
  }
}

interface Call {
  path: string;
  body: Record<string, unknown>;
  answer(ack?: Partial<Ack>): Promise<void>;
  refuse(problem: Partial<Problem>): Promise<void>;
}

/** A server whose answers the test gives. */
class FakeRest {
  readonly calls: Call[] = [];
  /** Answers by itself, when set. */
  auto: ((path: string, body: Record<string, unknown>) => Partial<Ack> | Partial<Problem> & { code: Problem['code'] }) | undefined;
  request<T>(_: string, path: string, { body }: { body?: unknown } = {}): Promise<T> {
    return new Promise((resolve, reject) => {
      const answer = async (ack: Partial<Ack> = {}) => (resolve({ session: 's1', id: this.calls.length, duplicate: false, ...ack } as T), settled());
      const refuse = async (problem: Partial<Problem>) => (reject(new ProblemError({ ...unreachable('told so'), ...problem })), settled());
      this.calls.push({ path, body: body as Record<string, unknown>, answer, refuse });
      const now = this.auto?.(path, body as Record<string, unknown>);
      if (now) void ('code' in now ? refuse(now) : answer(now as Partial<Ack>));
    });
  }
  get last() {
    return this.calls.at(-1)!;
  }
}

async function settled() {
  for (let i = 0; i < 5; i++) await new Promise((done) => setImmediate(done));
}

const boxes: Outbox[] = [];
const scopes = { count: 0 };
afterEach(() => boxes.splice(0).forEach((box) => box.close()));

function outbox(options: Partial<OutboxOptions> & { rest: FakeRest | Rest; disk?: FakeStore; locks?: FakeLocks; tab?: string }): Outbox {
  const { disk, locks, tab = `tab${boxes.length}`, rest, ...more } = options;
  const box = new Outbox({ limits, store: 'memory', scope: `test ${scopes.count} ${process.pid}`, env: { store: disk, locks: locks?.of(tab) }, ...more, rest });
  boxes.push(box);
  return box;
}

const prompt = (text: string, session = 's1'): Command => ({ session, command: 'prompt', body: { text } });
const states = (box: Outbox) => box.pending.map((p) => [p.body['text'] ?? p.command, p.state]);
const refusal = async (given: Promise<unknown>) => ((await given.then(() => undefined, (e: unknown) => e)) as ProblemError | undefined)?.problem.code;
const offline: Partial<Problem> = { code: 'unreachable', retryable: true };

describe('a command', () => {
  it('goes to its route with a key of its own, and its answer comes back', async () => {
    const rest = new FakeRest();
    const box = outbox({ rest });
    const given: Command[] = [
      prompt('a'),
      { session: 's2', command: 'stop', body: { requestId: 'r' } },
      { session: 's3', command: 'answer', body: { requestId: 'q', allow: true } },
      { session: 's/4', command: 'choose', body: { kontaskId: 'k/1', choice: 0 } },
    ];
    const answers = given.map((command) => box.add(command));
    await settled();
    expect(rest.calls.map((c) => c.path)).toEqual(['/v1/sessions/s1/prompts', '/v1/sessions/s2/stop', '/v1/sessions/s3/answers', '/v1/kontasks/k%2F1/choose']);
    const keys = rest.calls.map((c) => c.body['key'] as string);
    expect(new Set(keys).size).toBe(4);
    for (const key of keys) expect(key).toMatch(/^[0-9a-f]{32}$/);
    expect(rest.calls.map(({ body: { key: _, ...body } }) => body)).toEqual([{ text: 'a' }, { requestId: 'r' }, { requestId: 'q', allow: true }, { choice: 0 }]);
    for (const [i, call] of rest.calls.entries()) await call.answer({ id: i + 10 });
    expect((await Promise.all(answers)).map((a) => a.id)).toEqual([10, 11, 12, 13]);
    expect(box.pending).toEqual([]);
  });

  it('is on disk before it is sent, and goes from there when it was answered', async () => {
    const rest = new FakeRest();
    const disk = new FakeStore();
    let written = () => {};
    disk.gate = new Promise((open) => (written = open));
    const box = outbox({ rest, disk, locks: new FakeLocks() });
    void box.add(prompt('a'));
    await settled();
    expect(states(box)).toEqual([['a', 'waiting']]);
    expect(rest.calls).toHaveLength(0);
    written();
    await settled();
    expect([...disk.rows.values()].map((row) => row.body)).toEqual([{ text: 'a' }]);
    expect(states(box)).toEqual([['a', 'sending']]);
    await rest.last.answer();
    expect(disk.rows.size).toBe(0);
  });

  it('is not changed by what its giver does with it later', async () => {
    const rest = new FakeRest();
    const box = outbox({ rest, disk: new FakeStore(), locks: new FakeLocks() });
    const body = { text: 'a' };
    void box.add({ session: 's1', command: 'prompt', body });
    body.text = 'b';
    await settled();
    expect(rest.last.body['text']).toBe('a');
  });

  it('is sent again with the same key while nobody is reached, at growing random distance', async () => {
    const rest = new FakeRest();
    let reached = 6;
    rest.auto = () => (reached-- > 0 ? { code: 'unreachable', retryable: true } : { id: 9 });
    const waits: number[] = [];
    vi.spyOn(Math, 'random').mockImplementation(() => (waits.push(1), 0.5));
    const ack = await outbox({ rest }).add(prompt('a'));
    vi.restoreAllMocks();
    expect(ack.id).toBe(9);
    expect(rest.calls).toHaveLength(7);
    expect(new Set(rest.calls.map((c) => c.body['key'])).size).toBe(1);
    expect(waits).toHaveLength(6);
  });

  it('is sent at once when the server is back', async () => {
    const rest = new FakeRest();
    const box = outbox({ rest, limits: { ...limits, baseMs: 1e6, maxMs: 1e6 } });
    const given = box.add(prompt('a'));
    await settled();
    await rest.last.refuse(offline);
    expect(states(box)).toEqual([['a', 'waiting']]);
    expect(box.pending[0]!.problem?.code).toBe('unreachable');
    expect(rest.calls).toHaveLength(1);
    box.flush();
    await settled();
    await rest.last.answer({ id: 4 });
    expect((await given).id).toBe(4);
  });

  it('waits as long as Retry-After asks for', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    try {
      const rest = new FakeRest();
      const box = outbox({ rest });
      void box.add(prompt('a'));
      await settled();
      await rest.last.refuse({ code: 'queue_full', retryable: true, retryAfter: 5 });
      await vi.advanceTimersByTimeAsync(4_900);
      expect(rest.calls).toHaveLength(1);
      await vi.advanceTimersByTimeAsync(200);
      expect(rest.calls).toHaveLength(2);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('order', () => {
  it('is that of giving within a session; sessions do not wait for each other', async () => {
    const rest = new FakeRest();
    const box = outbox({ rest });
    for (const text of ['a', 'b', 'c']) void box.add(prompt(text));
    void box.add(prompt('x', 's2'));
    await settled();
    const sent = () => rest.calls.map((c) => c.body['text']);
    expect(sent()).toEqual(['a', 'x']);
    await rest.calls[0]!.answer();
    expect(sent()).toEqual(['a', 'x', 'b']);
    await rest.last.answer();
    expect(sent()).toEqual(['a', 'x', 'b', 'c']);
  });

  it('holds when each send fails at random', async () => {
    const rest = new FakeRest();
    const log: unknown[] = [];
    const known = new Set<unknown>();
    rest.auto = (_, { key, text }) => {
      const lost = Math.random();
      if (lost < 0.3) return { code: 'unreachable', retryable: true };
      if (lost < 0.4) return { code: 'queue_full', retryable: true };
      const duplicate = known.has(key);
      if (!duplicate) log.push(text);
      known.add(key);
      return lost < 0.6 ? { code: 'unreachable', retryable: true } : { duplicate };
    };
    const box = outbox({ rest });
    const texts = Array.from({ length: 40 }, (_, i) => `p${i}`);
    await Promise.all(texts.map((text) => box.add(prompt(text))));
    expect(log).toEqual(texts);
  });

  it('does not keep a stop or an answer behind prompts that the server puts off', async () => {
    const rest = new FakeRest();
    rest.auto = (path) => (path.endsWith('prompts') ? { code: 'too_many_prompts' as const, retryable: true, retryAfter: 60 } : { id: 1 });
    const box = outbox({ rest });
    void box.add(prompt('a'));
    void box.add(prompt('b'));
    await settled();
    await box.add({ session: 's1', command: 'stop', body: { requestId: 'r' } });
    expect(rest.calls.map((c) => c.path.split('/').at(-1))).toEqual(['prompts', 'stop']);
  });

  it('sends one ahead, not all, while the server is away', async () => {
    const rest = new FakeRest();
    const box = outbox({ rest });
    for (let i = 0; i < 10; i++) void box.add(prompt('a', `s${i}`));
    await settled();
    expect(rest.calls).toHaveLength(4);
    for (const call of [...rest.calls]) await call.refuse(offline);
    await vi.waitFor(() => expect(rest.calls).toHaveLength(5));
    await new Promise((done) => setTimeout(done, 40));
    expect(rest.calls).toHaveLength(5);
    await rest.last.answer();
    expect(rest.calls).toHaveLength(9);
  });
});

describe('a refusal for good', () => {
  it('rejects, and stays until it is retried or dropped; the next one goes on', async () => {
    const rest = new FakeRest();
    const disk = new FakeStore();
    const box = outbox({ rest, disk, locks: new FakeLocks() });
    const first = refusal(box.add(prompt('a')));
    void box.add(prompt('b'));
    await settled();
    await rest.last.refuse({ code: 'session_closed', status: 409, retryable: false });
    expect(await first).toBe('session_closed');
    expect(states(box)).toEqual([['a', 'refused'], ['b', 'sending']]);
    expect(box.pending[0]!.problem?.code).toBe('session_closed');
    await rest.last.answer();
    expect([...disk.rows.values()].map((row) => row.state)).toEqual(['refused']);
    box.retry(box.pending[0]!.key);
    await settled();
    expect(rest.last.body).toMatchObject({ text: 'a', key: rest.calls[0]!.body['key'] });
    await rest.last.refuse({ code: 'session_closed', status: 409, retryable: false });
    box.drop(box.pending[0]!.key);
    await settled();
    expect(box.pending).toEqual([]);
    expect(disk.rows.size).toBe(0);
  });

  it('of a stop or a read mark leaves nothing behind', async () => {
    const rest = new FakeRest();
    rest.auto = () => ({ code: 'no_turn', retryable: false });
    const box = outbox({ rest });
    expect(await refusal(box.add({ session: 's1', command: 'stop' }))).toBe('no_turn');
    expect(await refusal(box.add({ session: 's1', command: 'seen', body: { id: 1 } }))).toBe('no_turn');
    expect(box.pending).toEqual([]);
  });

  it('comes to a stop that names no turn and could not be sent in time: it would stop another one', async () => {
    const rest = new FakeRest();
    rest.auto = () => ({ code: 'unreachable', retryable: true });
    const box = outbox({ rest, limits: { ...limits, requestMs: 20 } });
    expect(await refusal(box.add({ session: 's1', command: 'stop' }))).toBe('unreachable');
  });

  it('comes when it is dropped, also while it is being sent', async () => {
    const rest = new FakeRest();
    const box = outbox({ rest });
    const given = refusal(box.add(prompt('a')));
    await settled();
    box.drop(box.pending[0]!.key);
    expect(await given).toBe('dropped');
    await rest.last.refuse(offline);
    expect(box.pending).toEqual([]);
    await new Promise((done) => setTimeout(done, 30));
    expect(rest.calls).toHaveLength(1);
  });

  it('comes when too many wait, and says what to do', async () => {
    const rest = new FakeRest();
    const box = outbox({ rest, limits: { ...limits, outboxMax: 2 } });
    for (const text of ['a', 'b']) void box.add(prompt(text));
    const error = await box.add(prompt('c')).catch((e: unknown) => e as ProblemError);
    expect(error).toMatchObject({ message: '2 commands wait to be sent: connect, or drop some of them', problem: { code: 'outbox_full' } });
    expect(box.pending).toHaveLength(2);
  });
});

describe('read marks', () => {
  it('that wait are one, the highest, and all who gave them get its answer', async () => {
    const rest = new FakeRest();
    const box = outbox({ rest });
    const seen = (id: number) => box.add({ session: 's1', command: 'seen', body: { id } });
    const given = [seen(5)];
    await settled();
    given.push(seen(9), seen(7));
    await rest.last.answer({ id: 5 });
    await rest.last.answer({ id: 9 });
    expect(rest.calls.map((c) => c.body['id'])).toEqual([5, 9]);
    expect((await Promise.all(given)).map((a) => a.id)).toEqual([5, 9, 9]);
  });
});

describe('a reload', () => {
  it('sends what was kept, with its key and in its order; a stop and a read mark are not kept', async () => {
    const disk = new FakeStore();
    const locks = new FakeLocks();
    const before = outbox({ rest: new FakeRest(), disk, locks, tab: 'before' });
    const given = [prompt('a'), { session: 's1', command: 'stop' } as Command, { session: 's2', command: 'seen', body: { id: 3 } } as Command, prompt('b')].map((c) => refusal(before.add(c)));
    await settled();
    const keys = before.pending.filter((p) => p.command === 'prompt').map((p) => p.key);
    before.close();
    locks.gone('before');
    expect(await Promise.all(given)).toEqual(Array(4).fill('unreachable'));
    const rest = new FakeRest();
    rest.auto = () => ({});
    const after = outbox({ rest, disk, locks, tab: 'after' });
    await vi.waitFor(() => expect(rest.calls).toHaveLength(2));
    await settled();
    expect(rest.calls.map((c) => [c.body['text'], c.body['key']])).toEqual([['a', keys[0]], ['b', keys[1]]]);
    expect(after.pending).toEqual([]);
    expect(disk.rows.size).toBe(0);
  });

  it('shows again what was refused, and does not send it by itself', async () => {
    const disk = new FakeStore();
    const locks = new FakeLocks();
    const rest = new FakeRest();
    rest.auto = () => ({ code: 'session_closed', retryable: false });
    const before = outbox({ rest, disk, locks, tab: 'before' });
    await refusal(before.add(prompt('a')));
    await settled();
    before.close();
    const after = outbox({ rest, disk, locks, tab: 'after' });
    await vi.waitFor(() => expect(states(after)).toEqual([['a', 'refused']]));
    expect(after.pending[0]!.problem?.code).toBe('session_closed');
    expect(rest.calls).toHaveLength(1);
  });

  it('keeps what is new behind what is old, whatever the clock says', async () => {
    const disk = new FakeStore();
    const locks = new FakeLocks();
    const old: Kept = { key: 'k', session: 's1', command: 'prompt', body: { text: 'old' }, time: Date.now() + 1e9, state: 'waiting', tab: 'gone' };
    disk.rows.set('k', old);
    const rest = new FakeRest();
    const box = outbox({ rest, disk, locks });
    await vi.waitFor(() => expect(rest.calls).toHaveLength(1));
    void box.add(prompt('new'));
    await settled();
    expect(states(box)).toEqual([['old', 'sending'], ['new', 'waiting']]);
  });

  it('works where the disk fails: the command is sent all the same', async () => {
    const disk = new FakeStore();
    disk.broken = true;
    disk.load = () => Promise.reject(new Error('private mode'));
    disk.delete = () => Promise.reject(new Error('private mode'));
    const rest = new FakeRest();
    rest.auto = () => ({ id: 3 });
    const box = outbox({ rest, disk, locks: new FakeLocks() });
    expect((await box.add(prompt('a'))).id).toBe(3);
    expect(box.pending).toEqual([]);
  });

  it('without Web Locks sends what it finds: twice is once by the key', async () => {
    const disk = new FakeStore();
    disk.rows.set('k', { key: 'k', session: 's1', command: 'prompt', body: { text: 'a' }, time: 1, state: 'waiting', tab: 'other' });
    const rest = new FakeRest();
    rest.auto = () => ({});
    outbox({ rest, disk });
    await vi.waitFor(() => expect(disk.rows.size).toBe(0));
    expect(rest.calls).toHaveLength(1);
  });
});

describe('two tabs', () => {
  const pair = () => {
    scopes.count++;
    const [disk, locks, a, b] = [new FakeStore(), new FakeLocks(), new FakeRest(), new FakeRest()];
    return { disk, locks, a, b, one: outbox({ rest: a, disk, locks, tab: 'one' }), two: outbox({ rest: b, disk, locks, tab: 'two' }) };
  };

  it('show each other’s commands, and each sends its own only', async () => {
    const { a, b, one, two } = pair();
    const heard: Pending[][] = [];
    two.addEventListener('pending', (e) => heard.push((e as CustomEvent<Pending[]>).detail));
    const given = one.add(prompt('a'));
    await vi.waitFor(() => expect(states(two)).toEqual([['a', 'waiting']]));
    expect(heard.at(-1)).toBe(two.pending);
    await a.last.answer({ id: 2 });
    expect((await given).id).toBe(2);
    await vi.waitFor(() => expect(two.pending).toEqual([]));
    expect(b.calls).toHaveLength(0);
  });

  it('that is left alone sends what the other had, as soon as that is gone', async () => {
    const { a, b, locks, one, two, disk } = pair();
    void one.add(prompt('a'));
    await vi.waitFor(() => expect(states(two)).toHaveLength(1));
    boxes.splice(boxes.indexOf(one), 1);
    locks.gone('one'); // crashed
    await vi.waitFor(() => expect(b.calls).toHaveLength(1));
    expect(b.last.body['key']).toBe(a.last.body['key']);
    await b.last.answer();
    expect(disk.rows.size).toBe(0);
  });

  it('retry and drop each other’s refused commands', async () => {
    const { a, one, two, disk } = pair();
    a.auto = () => ({ code: 'session_closed', retryable: false });
    await refusal(one.add(prompt('a')));
    await vi.waitFor(() => expect(states(two)).toEqual([['a', 'refused']]));
    two.retry(two.pending[0]!.key);
    await vi.waitFor(() => expect(a.calls).toHaveLength(2));
    await vi.waitFor(() => expect(states(two)).toEqual([['a', 'refused']]));
    two.drop(two.pending[0]!.key);
    await vi.waitFor(() => expect([one.pending, two.pending, disk.rows.size]).toEqual([[], [], 0]));
  });

  it('do not leave behind what a frozen one has: it is sent once the server is back, a while later', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    try {
      const { b, one, two } = pair();
      void one.add(prompt('a'));
      await settled();
      await settled();
      await vi.advanceTimersByTimeAsync(60_000);
      two.flush();
      await vi.advanceTimersByTimeAsync(9_000);
      expect(b.calls).toHaveLength(0);
      await vi.advanceTimersByTimeAsync(2_000);
      await settled();
      expect(b.calls.map((c) => c.body['text'])).toEqual(['a']);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('against the real server', () => {
  it('a prompt given while it is down makes its session once it is up, once, though each is sent several times', async () => {
    const server = await startServer();
    try {
      await server.kill();
      // Every other answer is lost on its way back.
      let n = 0;
      const lossy: typeof fetch = async (input, init) => {
        const response = await fetch(input, init);
        if (n++ % 2 === 0) throw new TypeError('connection reset');
        return response;
      };
      const box = outbox({ rest: new Rest(new URL(server.url), { fetch: lossy, requestMs: 5_000 }) });
      const given = ['a', 'b', 'c'].map((text) => box.add(prompt(text, 'fresh')));
      await new Promise((done) => setTimeout(done, 50));
      expect(states(box)).toHaveLength(3);
      await server.start();
      expect((await Promise.all(given)).map((ack) => ack.id)).toEqual([1, 2, 3]);
      const page = await server.call<{ events: { type: string; data: { text: string } }[] }>('GET', '/v1/sessions/fresh/events');
      expect(page.events.map((e) => [e.type, e.data.text])).toEqual([['prompt', 'a'], ['prompt', 'b'], ['prompt', 'c']]);
      expect(await refusal(box.add({ session: 'fresh', command: 'answer', body: { requestId: 'q', allow: true } }))).toBe('question_not_found');
      const seen = await box.add({ session: 'fresh', command: 'seen', body: { id: 2 } });
      expect(seen.id).toBe(2);
    } finally {
      await server.close();
    }
  });
});

describe('odd moments', () => {
  it('a clock that is set back does not make a wait of hours', async () => {
    const rest = new FakeRest();
    const box = outbox({ rest });
    void box.add({ session: 's1', command: 'prompt', body: { text: 'a' } });
    await settled();
    const { now } = Date;
    await rest.last.refuse({ code: 'unreachable', retryable: true });
    vi.spyOn(Date, 'now').mockImplementation(() => now() - 3_600_000);
    try {
      await vi.waitFor(() => expect(rest.calls).toHaveLength(2));
    } finally {
      vi.restoreAllMocks();
    }
  });

  it('a seen that is given after close is answered for too', async () => {
    const box = outbox({ rest: new FakeRest() });
    void box.add({ session: 's1', command: 'prompt', body: { text: 'a' } });
    box.add({ session: 's1', command: 'seen', body: { id: 1 } }).catch(() => {});
    await settled();
    box.close();
    await expect(box.add({ session: 's1', command: 'seen', body: { id: 2 } })).rejects.toBeInstanceOf(ProblemError);
  });

  it('a name that cannot stand in an address is refused, and holds nothing up', async () => {
    const rest = new FakeRest();
    rest.auto = () => ({});
    const box = outbox({ rest });
    await expect(box.add({ session: 's1', command: 'choose', body: { kontaskId: '\ud800', choice: 0 } })).rejects.toThrow();
    expect(box.pending).toEqual([]);
    await box.add({ session: 's1', command: 'prompt', body: { text: 'a' } });
  });
});

describe('a server that knows its users', () => {
  /** The same server for all boxes of a test: who is signed in, and what was sent as whom. */
  class Users extends FakeRest {
    who: string | undefined = 'alice';
    asked = 0;
    readonly sent: [text: unknown, as: string | undefined, key: unknown][] = [];
    status = 401;
    forbids = false;
    /** What the next one is told who asks, whoever is signed in: another tab was quicker. */
    stale: string[] = [];
    override request<T>(_: string, path: string, options: { body?: unknown; headers?: HeadersInit } = {}): Promise<T> {
      const refused = () => Promise.reject(new ProblemError({ ...unreachable('no', this.status, false), code: (this.status === 401 ? 'unauthorized' : 'not_found') as Problem['code'] }));
      if (path === '/v1/me') {
        this.asked++;
        return this.who === undefined ? refused() : Promise.resolve({ subject: this.stale.shift() ?? this.who } as T);
      }
      if (this.who === undefined && this.status === 401) return refused();
      const body = options.body as Record<string, unknown>;
      const meant = new Headers(options.headers).get('Konlog-Subject');
      if (this.forbids || (meant !== null && decodeURIComponent(meant) !== this.who)) return Promise.reject(new ProblemError({ ...unreachable('not you', 403, false), code: 'forbidden' as Problem['code'] }));
      this.sent.push([body['text'], this.who, body['key']]);
      return Promise.resolve({ session: 's1', id: this.sent.length, duplicate: false } as T);
    }
  }
  const texts = (rest: Users) => rest.sent.map(([text, as]) => [text, as]);
  const made = (rest: Users, more: Partial<Parameters<typeof outbox>[0]> = {}) => outbox({ rest: rest as FakeRest, named: true, ...more });

  it('is asked once who is here, and then each command goes at once', async () => {
    const rest = new Users();
    const box = made(rest);
    await settled();
    expect(rest.asked).toBe(0); // nothing is to be sent
    for (const text of ['a', 'b', 'c']) await box.add(prompt(text));
    expect([texts(rest), rest.asked]).toEqual([[['a', 'alice'], ['b', 'alice'], ['c', 'alice']], 1]);
  });

  it.each([401, 404])('a prompt waits while nobody is signed in (401), and not for a server without users (404): %i', async (status) => {
    const rest = new Users();
    Object.assign(rest, { who: undefined, status });
    const box = made(rest);
    const ack = box.add(prompt('a'));
    await settled();
    expect(rest.sent.length).toBe(status === 404 ? 1 : 0);
    if (status === 404) return void (await ack);
    const before = rest.asked;
    await new Promise((done) => setTimeout(done, 40)); // four of the longest waits
    expect([rest.asked, states(box)]).toEqual([before, [['a', 'waiting']]]);
    rest.who = 'alice';
    box.flush();
    await ack;
    expect(texts(rest)).toEqual([['a', 'alice']]);
  });

  it('what was typed before the sign-in ran out is sent once, after the next, in order', async () => {
    const rest = new Users();
    const box = made(rest, { disk: new FakeStore(), locks: new FakeLocks() });
    await box.add(prompt('before'));
    rest.who = undefined;
    const later = ['one', 'two', 'three'].map((text) => box.add(prompt(text)));
    await settled();
    expect(states(box)).toEqual([['one', 'waiting'], ['two', 'waiting'], ['three', 'waiting']]);
    expect(box.pending.map((p) => p.subject)).toEqual(['alice', 'alice', 'alice']);
    rest.who = 'alice';
    box.flush();
    box.flush();
    await Promise.all(later);
    expect(texts(rest).slice(1)).toEqual([['one', 'alice'], ['two', 'alice'], ['three', 'alice']]);
    expect(box.pending).toEqual([]);
  });

  it('is never sent as somebody else, who does not see it either; it waits for its own', async () => {
    const rest = new Users();
    const disk = new FakeStore();
    const box = made(rest, { disk, locks: new FakeLocks() });
    await box.add(prompt('known'));
    rest.who = undefined;
    void box.add(prompt('of alice'));
    await settled();
    rest.who = 'bob';
    box.flush();
    await settled();
    expect([texts(rest), box.pending]).toEqual([[['known', 'alice']], []]);
    await box.add(prompt('of bob'));
    rest.who = 'alice';
    box.flush();
    await settled();
    await settled();
    expect(texts(rest)).toEqual([['known', 'alice'], ['of bob', 'bob'], ['of alice', 'alice']]);
    expect(disk.rows.size).toBe(0);
  });

  it('goes to nobody else either when they sign in between the question who it is and the command: the server compares', async () => {
    const rest = new Users();
    const box = made(rest, { disk: new FakeStore(), locks: new FakeLocks() });
    rest.who = 'bøb / %41';
    rest.stale = ['alice'];
    void box.add(prompt('of alice'));
    await settled();
    await settled();
    expect([texts(rest), box.pending, rest.asked]).toEqual([[], [], 2]);
    rest.who = 'alice';
    box.flush();
    await settled();
    expect(texts(rest)).toEqual([['of alice', 'alice']]);
    rest.who = 'bøb / %41';
    box.flush();
    await box.add(prompt('of him'));
    expect(texts(rest).at(-1)).toEqual(['of him', 'bøb / %41']);
  });

  it('that forbids it has refused it, once it is sure who asked', async () => {
    const rest = new Users();
    rest.forbids = true;
    const box = made(rest);
    await expect(box.add(prompt('a'))).rejects.toMatchObject({ problem: { code: 'forbidden' } });
    expect([states(box), rest.asked]).toEqual([[['a', 'refused']], 2]);
  });

  it('is kept apart on disk too: the next page, of somebody else, leaves it alone, and a later one of its own sends it', async () => {
    const rest = new Users();
    const disk = new FakeStore();
    const locks = new FakeLocks();
    const first = made(rest, { disk, locks, tab: 'first' });
    await first.add(prompt('known'));
    rest.who = undefined;
    void first.add(prompt('of alice'));
    await settled();
    first.close();
    locks.gone('first');
    rest.who = 'bob';
    const second = made(rest, { disk, locks, tab: 'second' });
    second.flush();
    await second.add(prompt('of bob'));
    await settled();
    expect([texts(rest).slice(1), second.pending]).toEqual([[['of bob', 'bob']], []]);
    rest.who = 'alice';
    second.flush();
    // Somebody types, so that it is asked who it is: the page was bob's until then.
    await second.add(prompt('again alice'));
    await settled();
    await settled();
    expect(texts(rest).slice(2).map((t) => t.join(' ')).sort()).toEqual(['again alice alice', 'of alice alice']);
    expect(disk.rows.size).toBe(0);
  });

  it('what an earlier page wrote down before anybody was known is sent by nobody without a word from them', async () => {
    const rest = new Users();
    const disk = new FakeStore();
    disk.rows.set('k', { key: 'k', session: 's1', command: 'prompt', body: { text: 'whose?' }, time: 1, state: 'waiting', stored: true, tab: 'gone' });
    const box = made(rest, { disk, locks: new FakeLocks() });
    await settled();
    expect(texts(rest)).toEqual([]);
    expect(box.pending).toMatchObject([{ key: 'k', state: 'refused', subject: 'alice', problem: { detail: expect.stringContaining('alice') } }]);
    box.retry('k');
    await settled();
    expect(texts(rest)).toEqual([['whose?', 'alice']]);
  });

  it('without users is as ever: what an earlier page left is sent, with its key, and bears no name', async () => {
    const rest = new Users();
    rest.who = 'local';
    const disk = new FakeStore();
    disk.rows.set('k', { key: 'k', session: 's1', command: 'prompt', body: { text: 'left' }, time: 1, state: 'waiting', stored: true, tab: 'gone' });
    const box = made(rest, { disk, locks: new FakeLocks() });
    await settled();
    disk.gate = new Promise(() => {});
    void box.add(prompt('next'));
    expect(box.pending.map((p) => 'subject' in p)).toEqual([false]);
    expect(rest.sent).toEqual([['left', 'local', 'k']]);
  });

  it('that is not reached when it is asked who is here is asked again, at growing distance', async () => {
    const rest = new Users();
    let misses = 3;
    const asked = rest.request.bind(rest);
    rest.request = <T,>(method: string, path: string, options?: { body?: unknown }) => (path === '/v1/me' && misses-- > 0 ? Promise.reject(new ProblemError(unreachable('away'))) : asked<T>(method, path, options)) as Promise<T>;
    await made(rest).add(prompt('a'));
    expect([texts(rest), misses]).toEqual([[['a', 'alice']], -1]);
  });
});
