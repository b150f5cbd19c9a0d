// A view of a session with a connection that does what the test says.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openSession } from '../../src/view/session.js';
import type { SessionView } from '../../src/view/types.js';
import { heldMax } from '../../src/view/window.js';
import { notes, problem, ScriptedConnection } from './script.js';

let c: ScriptedConnection;
let v: SessionView;
beforeEach(() => {
  vi.useFakeTimers();
  c = new ScriptedConnection();
});
afterEach(() => {
  v.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});
const settle = (ms = 50): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);
const words = (): string[] => v.snapshot.conversation.sections.flatMap((s) => s.items.map((i) => ('text' in i ? i.text : i.kind)));

test('the live tail begins right after the first page, with its epoch', async () => {
  c.log = notes(1, 5000);
  v = openSession(c.connection, 's', { tail: 100 });
  await settle();
  expect(c.newest.options).toEqual({ after: 5000, epoch: 'epoch-1', fold: true });
  expect([v.snapshot.phase, v.snapshot.conversation.last, v.snapshot.hasEarlier]).toEqual(['catching-up', 5000, true]);
  c.hello();
  c.caughtUp();
  await settle();
  expect(v.snapshot.phase).toBe('live');
});

test('a reconnect with much to replay says how far it is', async () => {
  c.log = notes(1, 100);
  v = openSession(c.connection, 's');
  await settle();
  c.hello();
  c.caughtUp();
  c.log = notes(1, 5100);
  c.hello();
  c.newest.events(notes(101, 1340));
  await settle();
  expect([v.snapshot.phase, v.snapshot.done, v.snapshot.of]).toEqual(['catching-up', 1240, 5000]);
  c.newest.events(notes(1341, 5100));
  c.caughtUp();
  await settle();
  expect([v.snapshot.phase, v.snapshot.done, v.snapshot.of]).toEqual(['live', 5000, 5000]);
});

test('after a reset the old conversation stays until the new one is complete, and is swapped once', async () => {
  c.log = notes(1, 3, 'old');
  v = openSession(c.connection, 's');
  await settle();
  c.hello();
  c.caughtUp();
  await settle();
  const old = v.snapshot.conversation;
  const seen = new Set<unknown>();
  v.subscribe(() => seen.add(v.snapshot.conversation));
  c.epoch = 'epoch-2';
  c.log = notes(1, 2, 'new');
  const first = c.newest;
  first.frame({ type: 'reset', epoch: 'epoch-2', head: 4, reason: 'epoch_changed' } as never);
  await settle();
  expect(first.closed).toBe(true);
  expect(v.snapshot.phase).toBe('catching-up');
  c.log = notes(1, 4, 'new');
  c.hello();
  c.newest.events(notes(3, 3, 'new'));
  await settle();
  expect(v.snapshot.conversation).toBe(old);
  first.events(notes(4, 4, 'a ghost')); // what the old one still says is not heard
  c.newest.events(notes(4, 4, 'new'));
  c.caughtUp();
  await settle();
  expect(words()).toEqual(['new 1', 'new 2', 'new 3', 'new 4']);
  expect(seen).toEqual(new Set([old, v.snapshot.conversation]));
});

test('a session that does not exist is asked for slowly, and shown when it does', async () => {
  c.refuse = problem;
  v = openSession(c.connection, 's');
  await settle(60_000);
  expect(v.snapshot.phase).toBe('missing');
  expect(c.asked.length).toBeGreaterThan(3);
  expect(c.asked.length).toBeLessThan(12);
  c.refuse = undefined;
  c.log = notes(1, 2);
  await settle(16_000);
  expect(words()).toEqual(['note 1', 'note 2']);
});

test('a server that wants a sign-in is not asked again before there was one, and then at once', async () => {
  const tell = (phase: typeof c.state.phase) => {
    c.state.phase = phase;
    c.dispatchEvent(new CustomEvent('state', { detail: c.state }));
  };
  c.refuse = { ...problem, status: 401, code: 'unauthorized' as typeof problem.code, retryable: false };
  v = openSession(c.connection, 's');
  await settle();
  tell('unauthorized');
  await settle(3_600_000);
  expect([c.asked.length, v.snapshot.phase, v.snapshot.problem?.status]).toEqual([1, 'loading', 401]);
  c.refuse = undefined;
  c.log = notes(1, 1);
  tell('connecting'); // nobody reads yet, so it does not become live by itself
  await settle(30);
  expect([words(), v.snapshot.problem]).toEqual([['note 1'], undefined]);
});

test('a server that is away is asked again, at once when the connection stands; a refusal for good is shown', async () => {
  c.refuse = { ...problem, status: 0, code: 'unreachable', retryable: true };
  c.state.phase = 'waiting';
  v = openSession(c.connection, 's');
  await settle(20_000);
  expect([v.snapshot.phase, v.snapshot.problem?.code]).toEqual(['loading', 'unreachable']);
  c.refuse = undefined;
  c.log = notes(1, 1);
  c.state.phase = 'live';
  c.dispatchEvent(new CustomEvent('state', { detail: c.state }));
  await settle(30);
  expect([words(), v.snapshot.problem]).toEqual([['note 1'], undefined]);
  v.close();
  c.refuse = { ...problem, status: 400, code: 'invalid_session' };
  v = openSession(c.connection, 's');
  await settle(60_000);
  expect([v.snapshot.phase, v.snapshot.problem?.code]).toEqual(['failed', 'invalid_session']);
});

test('an old question that could not be read is read as soon as the server lets us, without another hello', async () => {
  c.log = [{ ...notes(1, 1)[0]!, type: 'permission_request', turn: 'open', data: { requestId: 'q', tool: 'Bash' } }, ...notes(2, 500)];
  c.turn = 'open';
  v = openSession(c.connection, 's', { tail: 100 });
  await settle();
  c.refuse = { ...problem, status: 429, code: 'rate_limited', retryable: true };
  c.hello(c.newest, { questions: [{ id: 1, requestId: 'q' }] } as never);
  c.caughtUp();
  await settle();
  expect([v.snapshot.conversation.questions, v.snapshot.problem?.code]).toEqual([[], 'rate_limited']);
  const asked = c.asked.length;
  await settle(60_000);
  expect(c.asked.length - asked).toBeGreaterThan(3);
  expect(c.asked.length - asked).toBeLessThan(30); // slower and slower
  c.refuse = undefined;
  c.asked.length = 0;
  await settle(16_000);
  expect([v.snapshot.conversation.questions.map((q) => q.requestId), v.snapshot.problem]).toEqual([['q'], undefined]);
  expect(c.asked.filter((path) => path.includes('/turns/'))).toHaveLength(2); // so are the beginnings of the open turn and of the one that the page cuts
  c.asked.length = 0;
  await settle(60_000);
  expect(c.asked).toEqual([]);
  c.refuse = { ...problem, status: 503, code: 'shutting_down', retryable: true };
  c.hello(c.newest, { kontasks: [{ kontaskId: 'k' }] } as never);
  await settle();
  expect(v.snapshot.problem?.code).toBe('shutting_down');
  v.close();
  expect(vi.getTimerCount()).toBe(0);
});

test('listeners hear once per frame, and in a hidden tab, where frames stand still, by a timer', async () => {
  c.log = notes(1, 1);
  v = openSession(c.connection, 's');
  await settle();
  let frame: (() => void) | undefined;
  vi.stubGlobal('requestAnimationFrame', (run: () => void) => ((frame = run), 1));
  vi.stubGlobal('cancelAnimationFrame', () => (frame = undefined));
  let calls = 0;
  v.subscribe(() => calls++);
  for (let i = 2; i < 50; i++) c.newest.events(notes(i, i));
  expect([calls, v.snapshot.conversation.last]).toEqual([0, 1]);
  frame!();
  expect([calls, v.snapshot.conversation.last]).toEqual([1, 49]);
  c.newest.events(notes(50, 50)); // no frame comes
  await settle(300);
  expect([calls, v.snapshot.conversation.last]).toEqual([2, 50]);
});

test('what is held is bounded while nobody looks back: the oldest goes, open questions stay', async () => {
  c.log = [{ ...notes(1, 1)[0]!, type: 'turn_start', turn: 'open' }, { ...notes(2, 2)[0]!, type: 'permission_request', turn: 'open', data: { requestId: 'q' } }];
  c.turn = 'open';
  v = openSession(c.connection, 's');
  await settle();
  c.hello();
  c.caughtUp();
  const n = heldMax + 25_000;
  for (let id = 3; id <= n; id += 5000) c.newest.events(notes(id, Math.min(n, id + 4999)).map((e) => ({ ...e, turn: 'open', type: e.id % 2 ? 'app.a' : 'app.b' })));
  await settle();
  expect(v.events().length).toBeLessThanOrEqual(heldMax + 10_000);
  expect(v.snapshot.hasEarlier).toBe(true);
  expect(v.snapshot.conversation).toMatchObject({ last: n, questions: [{ requestId: 'q' }], openTurn: { turn: 'open', state: 'open' } });
  c.log = [...c.log, ...notes(3, n)];
  const { length } = v.events();
  await v.loadEarlier();
  expect(v.events().length).toBeGreaterThan(length); // and who looks back may hold more
});

test('loadEarlier is never two at once, stops at the floor and says what went wrong', async () => {
  c.log = notes(1, 3000).filter((e) => e.id > 500);
  c.floor = 501;
  v = openSession(c.connection, 's', { tail: 100 });
  await settle();
  let go = (): void => {};
  c.hold = new Promise((done) => (go = done));
  const asked = c.asked.length;
  const both = [v.loadEarlier(), v.loadEarlier()];
  await settle();
  expect([c.asked.length - asked, v.snapshot.loadingEarlier]).toEqual([1, true]);
  go();
  await Promise.all(both);
  expect([v.snapshot.loadingEarlier, v.events()[0]!.id]).toEqual([false, 1901]);
  c.refuse = { ...problem, status: 503, code: 'shutting_down' };
  await v.loadEarlier();
  expect([v.snapshot.problem?.code, v.events()[0]!.id]).toEqual(['shutting_down', 1901]);
  // Who asks again with every drawing of the failure asks the server once.
  const refused = c.asked.length;
  for (let i = 0; i < 20; i++) await v.loadEarlier();
  expect(c.asked.length).toBe(refused);
  c.refuse = undefined;
  await settle(1_000);
  await v.loadEarlier();
  expect([v.snapshot.hasEarlier, v.events()[0]!.id, v.snapshot.problem]).toEqual([false, 501, undefined]);
});

test('a gap stands where its events would, and a run that overlaps what is held is read anew', async () => {
  c.log = notes(1, 2);
  v = openSession(c.connection, 's');
  await settle();
  c.hello();
  c.caughtUp();
  c.newest.frame({ type: 'gap', from: 3, to: 9, reason: 'retention' } as never);
  c.newest.events(notes(10, 10));
  await settle();
  expect(words()).toEqual(['note 1', 'note 2', 'Events 3 to 9 were removed by retention', 'note 10']);
  const before = c.subscriptions.length;
  c.log = notes(1, 12);
  c.newest.events([{ ...notes(12, 12)[0]!, from: 9 }]);
  await settle();
  expect(c.subscriptions.length).toBe(before + 1);
  c.hello();
  c.caughtUp();
  await settle();
  expect(words()).toHaveLength(12);
});

test('close leaves no timer, no subscription and no listener behind', async () => {
  c.log = notes(1, 3);
  v = openSession(c.connection, 's');
  await settle();
  let calls = 0;
  v.subscribe(() => calls++);
  c.newest.events(notes(4, 4));
  v.close();
  await settle(60_000);
  expect([calls, c.newest.closed, vi.getTimerCount()]).toEqual([0, true, 0]);
  c.dispatchEvent(new CustomEvent('state', { detail: c.state }));
  c.newest.error(problem);
  expect(vi.getTimerCount()).toBe(0);
});
