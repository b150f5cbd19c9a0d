// Which transport, when, and why: by a clock and carriers that do what is said.
import { describe, expect, test } from 'vitest';
import type { Item } from '../src/transports/transport.js';
import type { Problem, TransportName } from '../src/types.js';
import { eventOf, helloOf, memoryStorage, reader, world, type FakeCarrier, type World } from './fakes.js';

/** What a carrier of a blocked transport does. */
const does = {
  works: (c: FakeCarrier) => c.hello(),
  hangs: () => {},
  refuses: (c: FakeCarrier) => c.end('refused'),
  fails: (c: FakeCarrier) => c.end('failed'),
  denies: (c: FakeCarrier) => c.end('denied'),
};
type Doing = keyof typeof does;

async function start(w: World, script: Partial<Record<TransportName, Doing>> = {}): Promise<ReturnType<typeof reader>> {
  for (const [t, what] of Object.entries(script)) w.script[t as TransportName] = does[what!];
  const r = reader();
  w.link.follow(r);
  await w.clock.go(0);
  return r;
}

const used = (w: World) => w.carriers.map((c) => c.transport).join(' ');

describe('stepping down', () => {
  const blocked = { status: 403 };
  const here = { status: 426, code: 'upgrade_required' };
  const table: [string, Partial<Record<TransportName, Doing>>, World['answer'], TransportName, string, string | undefined][] = [
    ['nothing is wrong', { ws: 'works' }, here, 'ws', 'ws', undefined],
    ['WebSockets hang', { ws: 'hangs', sse: 'works' }, here, 'sse', 'ws sse', 'silent'],
    ['WebSockets are refused, as a plain request shows', { ws: 'fails', sse: 'works' }, blocked, 'sse', 'ws sse', 'refused'],
    ['WebSockets are switched off', { ws: 'fails', sse: 'works' }, { status: 404, code: 'transport_disabled' }, 'sse', 'ws sse', 'refused'],
    ['WebSockets break before hello, twice', { ws: 'fails', sse: 'works' }, here, 'sse', 'ws ws sse', 'failing'],
    ['event streams are refused as well', { ws: 'hangs', sse: 'refuses', poll: 'works' }, here, 'poll', 'ws sse poll', 'refused'],
    ['event streams are buffered as well', { ws: 'fails', sse: 'hangs', poll: 'works' }, blocked, 'poll', 'ws sse poll', 'silent'],
  ];
  test.each(table)('%s', async (_, script, answer, transport, tried, reason) => {
    const w = world();
    w.answer = answer;
    await start(w, script);
    await w.clock.go(20_000);
    expect(used(w)).toBe(tried);
    expect(w.link.state).toMatchObject({ phase: 'live', transport });
    expect(w.link.state.downgrade?.reason).toBe(reason);
  });

  test.each([
    ['the server is away', undefined],
    ['a proxy says that the server is away', { status: 502 }],
    ['another page answers for the server', { status: 200 }],
    ['the server is stopping', { status: 503, code: 'shutting_down' }],
  ])('never when %s', async (_, answer) => {
    const w = world();
    w.answer = answer;
    await start(w, { ws: 'fails' });
    await w.clock.go(60_000);
    expect(new Set(w.carriers.map((c) => c.transport))).toEqual(new Set(['ws']));
    expect(w.carriers.length).toBeGreaterThan(5);
    w.script = { ws: does.works };
    await w.clock.go(20_000);
    expect(w.link.state).toMatchObject({ phase: 'live', transport: 'ws', attempt: 0 });
    expect(w.link.state.downgrade).toBeUndefined();
  });

  test('never after one failure, nor after any number of an established one', async () => {
    const w = world();
    await start(w, {});
    w.last.end('failed');
    w.script = { ws: does.works };
    await w.clock.go(1_000);
    expect(used(w)).toBe('ws ws');
    for (let i = 0; i < 10; i++) {
      w.last.end('failed');
      await w.clock.go(30_000);
    }
    expect(w.carriers).toHaveLength(12);
    expect(new Set(w.carriers.map((c) => c.transport))).toEqual(new Set(['ws']));
  });

  test('a pinned transport stays', async () => {
    const w = world({ transport: 'sse' });
    await start(w, { sse: 'refuses' });
    await w.clock.go(60_000);
    expect(new Set(w.carriers.map((c) => c.transport))).toEqual(new Set(['sse']));
    expect(w.link.state.phase).toBe('waiting');
  });

  test('when not even polls work the best is tried again, for it is not their fault', async () => {
    const w = world();
    await start(w, { ws: 'refuses', sse: 'refuses', poll: 'refuses' });
    await w.clock.go(30_000);
    expect(used(w)).toMatch(/^ws sse poll ws sse poll/);
    expect(w.states.some((s) => s.downgrade)).toBe(false);
  });

  test('without WebSocket it begins with sse, and says why', async () => {
    const w = world({ noWebSocket: true });
    await start(w, { sse: 'works' });
    await w.clock.go(200_000);
    expect(new Set(w.carriers.map((c) => c.transport))).toEqual(new Set(['sse']));
    expect(w.link.state.downgrade).toEqual({ from: 'ws', to: 'sse', reason: 'unsupported' });
  });

  test('failures while a server restarts are not the transport’s', async () => {
    const w = world();
    await start(w, { ws: 'works' });
    w.script = { ws: does.fails };
    w.last.items({ type: 'bye', reason: 'shutting_down', reconnectMs: 700 });
    w.last.end('failed');
    expect(w.link.state).toMatchObject({ phase: 'waiting', attempt: 0 });
    const retryAt = w.link.state.retryAt! - w.clock.time;
    expect(retryAt).toBeGreaterThanOrEqual(700);
    expect(retryAt).toBeLessThanOrEqual(950);
    await w.clock.go(10_000);
    expect(new Set(w.carriers.map((c) => c.transport))).toEqual(new Set(['ws']));
  });
});

describe('climbing', () => {
  test('the working carrier stays until the better one has said hello', async () => {
    const w = world();
    const r = await start(w, { ws: 'hangs', sse: 'works' });
    await w.clock.go(5_000);
    const sse = w.last;
    expect(sse.transport).toBe('sse');
    await w.clock.go(60_000);
    expect(w.last.transport).toBe('ws');
    expect(sse.closed).toBe(false);
    sse.items(eventOf(1));
    expect(r.got).toContainEqual(eventOf(1));
    await w.clock.go(4_000); // it hung again
    expect(sse.closed).toBe(false);
    expect(w.link.state).toMatchObject({ phase: 'live', transport: 'sse' });
    w.script['ws'] = does.works;
    await w.clock.go(60_000);
    expect(w.link.state).toMatchObject({ phase: 'live', transport: 'ws' });
    expect(w.link.state.downgrade).toBeUndefined();
    expect(sse.closed).toBe(true);
    expect(w.states.filter((s) => s.phase !== 'live' && s.phase !== 'connecting')).toEqual([]);
  });

  test('from poll the next best is taken when the best does not work', async () => {
    const w = world();
    await start(w, { ws: 'hangs', sse: 'refuses', poll: 'works' });
    await w.clock.go(5_000);
    expect(w.link.state.transport).toBe('poll');
    w.script['sse'] = does.works;
    await w.clock.go(70_000);
    expect(w.link.state).toMatchObject({ transport: 'sse', downgrade: { from: 'ws', to: 'sse', reason: 'silent' } });
  });

  test('online climbs at once', async () => {
    const w = world();
    await start(w, { ws: 'hangs', sse: 'works' });
    await w.clock.go(5_000);
    w.script['ws'] = does.works;
    w.signal('online');
    await w.clock.go(100);
    expect(w.link.state.transport).toBe('ws');
  });

  test('a network is remembered, others are not held to it, and it is forgotten', async () => {
    const storage = memoryStorage();
    const first = world({ storage, network: 'wifi' });
    await start(first, { ws: 'hangs', sse: 'works' });
    await first.clock.go(5_000);
    first.link.close();

    const again = world({ storage, network: 'wifi' });
    await start(again, { sse: 'works' });
    expect(used(again)).toBe('sse');
    expect(again.link.state).toMatchObject({ phase: 'live', downgrade: { from: 'ws', to: 'sse', reason: 'silent' } });

    const other = world({ storage, network: 'cellular' });
    await start(other, { ws: 'works' });
    expect(used(other)).toBe('ws');

    const old = memoryStorage();
    for (const [network, ms] of [['wifi', -1], ['ethernet', 1_000]] as const) {
      const until = again.clock.time + ms;
      old.setItem('konlog:transport:http://h:' + network, JSON.stringify({ transport: 'poll', reasons: { sse: 'silent' }, until }));
    }
    const forgotten = world({ storage: old, network: 'wifi' });
    forgotten.clock.time = again.clock.time;
    expect(forgotten.link.state.transport).toBe('ws');
    expect(world({ storage: old, network: 'ethernet' }).link.state.transport).toBe('poll');
  });

  test('a network that works again is no longer remembered', async () => {
    const w = world();
    await start(w, { ws: 'hangs', sse: 'works' });
    await w.clock.go(5_000);
    expect(w.storage.all.size).toBe(1);
    w.script['ws'] = does.works;
    await w.clock.go(70_000);
    expect(w.storage.all.size).toBe(0);
  });
});

describe('alive or not', () => {
  test('three heartbeats must fail to come, not one', async () => {
    const w = world();
    w.pings = false;
    await start(w, { ws: 'works' });
    await w.clock.go(29_000);
    expect(w.last.closed).toBe(false);
    w.last.items({ type: 'ping', id: 0, serverTime: '' });
    await w.clock.go(29_000);
    expect(w.carriers).toHaveLength(1);
    await w.clock.go(4_000);
    expect(w.carriers[0]!.closed).toBe(true);
    await w.clock.go(1_000);
    expect(w.carriers).toHaveLength(2);
    expect(w.last.transport).toBe('ws');
  });

  test('somebody who looks again has a WebSocket asked, and a dead one replaced soon', async () => {
    const w = world();
    w.pings = false;
    await start(w, { ws: 'works' });
    w.signal('wake');
    expect(w.last.pings).toBe(1);
    w.last.items({ type: 'pong', id: 0, serverTime: '' });
    await w.clock.go(5_000);
    expect(w.carriers).toHaveLength(1);
    w.signal('wake');
    await w.clock.go(3_500);
    expect(w.carriers).toHaveLength(2);
  });

  test('an event stream cannot be asked: it is opened anew, and stays live meanwhile', async () => {
    const w = world({ transport: 'sse' });
    w.pings = false;
    const r = await start(w, { sse: 'works' });
    w.last.items(eventOf(1), eventOf(2));
    await w.clock.go(15_000);
    w.signal('wake');
    await w.clock.go(0);
    expect(w.carriers).toHaveLength(2);
    expect(w.last.places.get('s')!.after).toBe(2);
    expect(w.carriers[0]!.closed).toBe(true);
    expect(w.states.map((s) => s.phase)).toEqual(['live']);
    expect(r.got.filter((i) => 'data' in i)).toHaveLength(2);
  });

  test('what just spoke is not doubted by a look', async () => {
    const w = world({ transport: 'sse' });
    await start(w, { sse: 'works' });
    w.signal('wake');
    await w.clock.go(0);
    expect(w.carriers).toHaveLength(1);
  });

  test('a clock that jumped means sleep: the carrier is asked before it is given up', async () => {
    const w = world();
    await start(w, { ws: 'works' });
    w.clock.sleep(3_600_000);
    await w.clock.go(1_100);
    expect(w.last.pings).toBe(1);
    w.last.items({ type: 'pong', id: 0, serverTime: '' });
    await w.clock.go(10_000);
    expect(w.carriers).toHaveLength(1);
  });

  test('timers that are late while data comes are no sleep', async () => {
    const w = world({ transport: 'sse' });
    w.pings = false;
    await start(w, { sse: 'works' });
    for (let i = 0; i < 10; i++) {
      w.clock.sleep(59_000);
      w.last.items({ type: 'ping', id: 0, serverTime: '' });
      await w.clock.go(1_100);
    }
    expect(w.carriers).toHaveLength(1);
  });

  test('offline is said when the platform says so, and tried all the same', async () => {
    const w = world();
    await start(w, { ws: 'works' });
    w.offline = true;
    w.answer = undefined;
    w.script = { ws: does.fails };
    w.signal('offline');
    await w.clock.go(3_100);
    expect(w.link.state.phase).toMatch(/offline|connecting/);
    await w.clock.go(30_000);
    expect(w.states.some((s) => s.phase === 'offline')).toBe(true);
    w.script = { ws: does.works };
    w.offline = false;
    w.signal('online');
    await w.clock.go(0);
    expect(w.link.state.phase).toBe('live');
  });
});

describe('coming back', () => {
  test('waits grow, by chance, and are bounded; hello alone does not make them short again', async () => {
    const w = world();
    w.answer = undefined;
    w.random = 0.999;
    await start(w, {});
    const waits: number[] = [];
    for (let i = 0; i < 12; i++) {
      w.last.hello(); // and nothing else
      w.last.end('failed');
      await w.clock.go(0);
      waits.push(w.link.state.retryAt! - w.clock.time);
      await w.clock.go(waits.at(-1)! + 1);
    }
    expect(waits[0]).toBeLessThan(250);
    for (let i = 1; i < 12; i++) expect(waits[i]!).toBeGreaterThanOrEqual(waits[i - 1]!);
    expect(waits.at(-1)).toBeLessThanOrEqual(20_000);
    expect(waits.at(-1)).toBeGreaterThan(19_000);
    w.last.hello();
    w.last.items(eventOf(1));
    w.last.end('failed');
    expect(w.link.state.retryAt! - w.clock.time).toBeLessThan(250);
  });

  test('Retry-After is waited for', async () => {
    const w = world();
    await start(w, {});
    w.last.end('denied', { retryMs: 5_000 });
    await w.clock.go(4_900);
    expect(w.carriers).toHaveLength(1);
    await w.clock.go(400);
    expect(w.carriers).toHaveLength(2);
    expect(used(w)).toBe('ws ws');
  });

  test('a reader that misses something is attached again at its cursor', async () => {
    const w = world();
    const r = await start(w, { ws: 'works' });
    w.last.items(eventOf(1));
    r.refuse = true;
    w.last.items(eventOf(3));
    r.refuse = false;
    await w.clock.go(0);
    expect(w.carriers).toHaveLength(1);
    expect(w.last.places.get('s')).toMatchObject({ after: 1 });
  });

  test('a carrier that never gives what is missing is given up', async () => {
    const w = world();
    const r = await start(w, { ws: 'works' });
    r.refuse = true;
    for (let i = 0; i < 4; i++) {
      w.last.items(helloOf());
      await w.clock.go(0);
    }
    expect(w.carriers[0]!.closed).toBe(true);
    expect(w.link.state.phase).toBe('waiting');
  });

  test('nobody reads: nothing is open and no timer is left', async () => {
    const w = world();
    const r = reader();
    const stop = w.link.follow(r);
    await w.clock.go(0);
    w.last.hello();
    stop();
    await w.clock.go(0);
    expect(w.last.closed).toBe(true);
    await w.clock.go(10_000); // the fake's own ping
    expect(w.clock.waiting).toBe(0);
    w.link.close();
  });

  test('what is not to be followed is read by polls aside', async () => {
    const w = world();
    const [s, feed] = [reader(), reader('_feed')];
    w.link.follow(s);
    w.link.follow(feed);
    w.script['ws'] = (c) => {
      c.hello();
      c.items({ type: 'error', session: '_feed', code: 'transport_disabled', detail: 'off', retryable: false });
    };
    w.script['poll'] = (c) => c.items(helloOf('_feed', 'poll'), eventOf(1, '_feed'));
    await w.clock.go(10);
    expect(used(w)).toBe('ws poll');
    expect([...w.last.places.keys()]).toEqual(['_feed']);
    expect(feed.got).toContainEqual(eventOf(1, '_feed'));
    expect(w.link.state).toMatchObject({ phase: 'live', transport: 'ws' });
  });

  test('what the server could not read is read apart, and others are not held up', async () => {
    const w = world();
    const r = await start(w, { ws: 'works', poll: 'works' });
    w.last.items({ type: 'error', session: 's', code: 'internal', detail: 'it failed', retryable: true });
    await w.clock.go(10);
    expect(used(w)).toBe('ws poll');
    w.last.items(eventOf(1));
    expect(r.got).toContainEqual(eventOf(1));
    expect(r.got.some((i) => i.type === 'error')).toBe(false);
    w.last.end('failed');
    await w.clock.go(10_000);
    expect(w.carriers[0]!.places.get('s')).toMatchObject({ after: 1 });
    expect(w.carriers).toHaveLength(2);
  });

  test('what is refused while the credential is being renewed is read apart: the renewal succeeds, or the poll finds out', async () => {
    const w = world();
    const r = await start(w, { ws: 'works', poll: 'works' });
    w.last.items({ type: 'error', session: 's', code: 'unauthorized', detail: 'it has expired', retryable: false });
    await w.clock.go(10);
    expect(used(w)).toBe('ws poll');
    w.last.items(eventOf(1));
    expect(r.got).toContainEqual(eventOf(1));
    expect(r.got.some((i) => i.type === 'error')).toBe(false);
    w.last.end('denied', { problem: { status: 401, code: 'unauthorized', detail: 'sign in' } as unknown as Problem });
    expect(w.link.state.phase).toBe('unauthorized');
  });

  test('an event stream whose last session is no longer read is not opened again and again for those that are read apart', async () => {
    const w = world({ noWebSocket: true });
    const opened = () => w.carriers.filter((c) => c.transport === 'sse').length;
    w.script = { sse: (c) => ([...c.places.keys()].forEach((s) => c.hello(s)), c.places.has('_feed') && c.items({ type: 'error', session: '_feed', code: 'transport_disabled', detail: 'off', retryable: false })), poll: (c) => c.hello('_feed') };
    const stop = w.link.follow(reader('s'));
    w.link.follow(reader('_feed'));
    await w.clock.go(100);
    const feed = w.last;
    expect([feed.transport, [...feed.places.keys()].join(), opened()]).toEqual(['poll', '_feed', 1]);
    stop();
    let spins = false;
    const late = setTimeout(() => ((spins = true), w.link.close()), 3_000); // so that the clock comes to an end
    await w.clock.go(100);
    clearTimeout(late);
    expect(spins).toBe(false);
    expect([opened(), feed.closed]).toEqual([1, false]);
    const t = reader('t');
    w.link.follow(t);
    await w.clock.go(100);
    expect([w.last.transport, [...w.last.places.keys()].join(), opened()]).toEqual(['sse', 't', 2]);
    expect(w.carriers.filter((c) => !c.closed)).toEqual([feed, w.last]);
    expect(t.got.map((i) => i.type)).toEqual(['hello']);
  });

  test('sessions that are added to an event stream are all read by one more, not one each', async () => {
    const w = world({ transport: 'sse' });
    w.script['sse'] = (c) => [...c.places.keys()].forEach((s) => c.hello(s));
    w.link.follow(reader('s'));
    await w.clock.go(10);
    for (const s of ['a', 'b', 'c']) w.link.follow(reader(s));
    await w.clock.go(10_000);
    expect(w.carriers.map((c) => [...c.places.keys()].join())).toEqual(['s', 's,a,b,c']);
    expect(w.carriers.map((c) => c.closed)).toEqual([true, false]);
  });

  test('while a new event stream takes over the old one says nothing: a folded replay cannot be taken in half', async () => {
    const w = world({ transport: 'sse' });
    const r = reader('s', { after: 0, fold: true });
    w.link.follow(r);
    await w.clock.go(0);
    w.last.hello();
    w.link.follow(reader('a'));
    await w.clock.go(10);
    expect(w.carriers).toHaveLength(2);
    w.carriers[0]!.items(eventOf(1));
    expect(r.got.some((i) => 'data' in i)).toBe(false);
    w.last.hello();
    w.last.items(eventOf(2, 's', { from: 1 }));
    expect(r.got.filter((i) => 'data' in i).map((i) => (i as { id: number }).id)).toEqual([2]);
  });

  test('a session that is added while the connection opens is not forgotten', async () => {
    const w = world({ transport: 'sse' });
    w.link.follow(reader('s'));
    await w.clock.go(10);
    w.link.follow(reader('a'));
    await w.clock.go(10);
    w.script['sse'] = (c) => [...c.places.keys()].forEach((s) => c.hello(s));
    w.last.hello();
    await w.clock.go(10_000);
    expect([...w.last.places.keys()]).toEqual(['s', 'a']);
    expect(w.carriers).toHaveLength(2);
  });
});

/** What is asked by REST waits until the returned function is called. */
function holdAnswers(w: World): () => void {
  let go = () => {};
  w.asked = new Promise((done) => (go = done));
  return go;
}
const all = (c: FakeCarrier) => [...c.places.keys()].forEach((s) => c.hello(s));

describe('changes that cross', () => {
  test('a session that is added while a better transport is only being asked about is not forgotten', async () => {
    const w = world();
    w.answer = { status: 403 };
    w.script = { ws: does.refuses, sse: does.refuses, poll: all };
    w.link.follow(reader('s'));
    await w.clock.go(59_900);
    expect(w.link.state.transport).toBe('poll');
    w.script.sse = all;
    const answer = holdAnswers(w);
    w.link.follow(reader('t', { tail: 3 }));
    await w.clock.go(1_000);
    w.link.follow(reader('b'));
    await w.clock.go(100);
    answer();
    await w.clock.go(1_000);
    expect(w.link.state.transport).toBe('sse');
    expect([...w.last.places.keys()].sort()).toEqual(['b', 's', 't']);
  });

  test('a climb does not come between an event stream and the one that takes over from it', async () => {
    const w = world();
    w.answer = { status: 403 };
    w.script = { ws: does.refuses, sse: all };
    w.link.follow(reader('s'));
    await w.clock.go(59_900);
    const answer = holdAnswers(w);
    w.link.follow(reader('t', { tail: 3 }));
    await w.clock.go(1_000);
    answer();
    await w.clock.go(1_000);
    expect(w.last).toMatchObject({ transport: 'sse', closed: false });
    expect([...w.last.places.keys()]).toEqual(['s', 't']);
  });

  test('what is to be read apart is, also when the carrier is replaced meanwhile', async () => {
    const w = world();
    w.answer = { status: 403 };
    w.script = { ws: does.refuses, sse: (c) => (c.hello('s'), c.places.has('_feed') && c.items({ type: 'error', session: '_feed', code: 'transport_disabled', detail: 'off', retryable: false })), poll: all };
    w.link.follow(reader('s'));
    await w.clock.go(59_900);
    w.script.ws = all;
    const { sse } = w.script;
    let answer = () => {};
    w.script.sse = (c) => ((answer = holdAnswers(w)), sse!(c));
    w.link.follow(reader('_feed', { tail: 3 }));
    await w.clock.go(1_000);
    expect(w.link.state.transport).toBe('ws');
    answer();
    await w.clock.go(100);
    expect(w.last.transport).toBe('poll');
    expect([...w.last.places.keys()]).toEqual(['_feed']);
  });

  test('a reader that comes to a session that is being read hears nothing before its own hello, and asks for it once', async () => {
    const w = world();
    await start(w);
    w.last.hello();
    w.last.items(eventOf(1), eventOf(2));
    const late = reader('s', { tail: 1 });
    w.link.follow(late);
    w.last.items(eventOf(3));
    await w.clock.go(0);
    w.last.items(eventOf(4));
    expect(late.got).toEqual([]);
    w.last.hello('s', { after: 0, head: 4 });
    w.last.items(eventOf(5));
    expect(late.got.map((i) => i.type)).toEqual(['hello', 'note']);
    late.refuse = true;
    w.last.items(eventOf(7));
    late.refuse = false;
    w.last.items(eventOf(8));
    w.last.items(eventOf(9));
    expect(late.got).toHaveLength(2);
  });
});

test('a first page that takes longer than hello may is waited for as long as it comes', async () => {
  const w = world({ transport: 'poll' });
  await start(w, {});
  for (let i = 0; i < 10; i++) {
    await w.clock.go(3_000);
    w.last.items();
  }
  expect(w.carriers).toHaveLength(1);
  await w.clock.go(20_000);
  expect(w.carriers.length).toBeGreaterThan(1);
});

test('what is read apart and falls silent is read anew', async () => {
  const w = world();
  w.script = {
    ws: (c) => (c.hello('s'), c.items({ type: 'error', session: '_feed', code: 'transport_disabled', detail: 'off', retryable: false })),
    poll: (c) => c.items(helloOf('_feed', 'poll')),
  };
  w.link.follow(reader('s'));
  w.link.follow(reader('_feed'));
  await w.clock.go(60_000);
  expect(w.carriers.map((c) => [c.transport, c.closed, [...c.places.keys()].join()])).toEqual([['ws', false, 's,_feed'], ['poll', true, '_feed']]);
});

describe('a server that wants other credentials', () => {
  const problem = { status: 401, code: 'unauthorized', detail: 'sign in' } as unknown as Problem;
  const denied = (w: World) => w.last.end('denied', { problem });

  test('is asked no more, whatever time passes and the network does, until somebody says so', async () => {
    const w = world();
    const r = await start(w, { ws: 'works' });
    w.last.items(eventOf(1));
    denied(w);
    await w.clock.go(0);
    expect(w.link.state).toMatchObject({ phase: 'unauthorized', problem });
    const before = [w.carriers.length, w.checks];
    w.signal('wake');
    w.signal('online');
    w.link.follow(reader('t'));
    await w.clock.go(3_600_000);
    expect([w.carriers.length, w.checks]).toEqual(before);
    expect([w.clock.waiting, w.link.state.phase]).toEqual([0, 'unauthorized']);
    w.link.reconnect();
    await w.clock.go(0);
    expect(w.last.places.get('s')).toMatchObject({ after: 1 });
    expect([...w.last.places.keys()]).toEqual(['s', 't']);
    expect(w.link.state).toMatchObject({ phase: 'live', transport: 'ws' });
    expect(w.link.state.problem).toBeUndefined();
    expect(r.got.filter((i) => i.type === 'error' || i.type === 'bye')).toEqual([]);
  });

  test('is found out behind a WebSocket that fails without a word', async () => {
    const w = world();
    w.answer = { status: 401, code: 'unauthorized' };
    await start(w, { ws: 'fails' });
    expect(w.link.state).toMatchObject({ phase: 'unauthorized', transport: 'ws', problem: { code: 'unauthorized' } });
    expect(w.carriers).toHaveLength(1);
  });

  test('is known from a request of somebody else too, and lets go of what stands', async () => {
    const w = world();
    await start(w, { ws: 'works' });
    w.link.deny(problem);
    expect([w.last.closed, w.link.state.phase]).toEqual([true, 'unauthorized']);
    w.link.deny({ ...problem, status: 403 });
    w.link.reconnect();
    await w.clock.go(0);
    expect(w.link.state.phase).toBe('live');
    w.link.deny({ ...problem, status: 403 });
    expect(w.link.state.phase).toBe('live');
  });

  test('and nobody who reads: a reader later asks nothing either, and reconnect clears it', async () => {
    const w = world();
    w.link.deny(problem);
    w.script.ws = does.works;
    w.link.follow(reader());
    await w.clock.go(60_000);
    expect(w.carriers).toHaveLength(0);
    w.link.reconnect();
    await w.clock.go(0);
    expect(w.link.state.phase).toBe('live');
  });

  test('that says so to what is read apart stops all of it', async () => {
    const w = world();
    await start(w, { ws: 'works' });
    w.last.items({ type: 'error', session: 's', code: 'transport_disabled', detail: '', retryable: false } as Item);
    await w.clock.go(0);
    expect(w.last.transport).toBe('poll');
    denied(w);
    expect(w.link.state.phase).toBe('unauthorized');
  });
});
