import type { LogEvent } from '@konlog/client';
import { describe, expect, test, vi } from 'vitest';
import { badges, needsPerson, note, type BadgeName } from '../src/sessions/badges';
import { arrange, matches, query, type Filter } from '../src/sessions/filter';
import { Look, LOOK_MS } from '../src/sessions/look';
import { Model, type Row } from '../src/sessions/model';
import { span } from '../src/sessions/window';
import { FakeServer, seeded } from './sessionserver';

let feedId = 0;
function feed(type: string, id: number, data: object = {}, turn = ''): LogEvent {
  feedId++;
  return { id: feedId, session: '_feed', type, ...(turn && { turn }), time: new Date(feedId * 1000).toISOString(), data: { session: 's', id, ...data } } as LogEvent;
}
function row(...events: LogEvent[]): Row {
  const model = new Model();
  for (const e of events) model.apply(e);
  return model.rows.get('s') as Row;
}
function shown(model: Model): Record<string, readonly BadgeName[]> {
  return Object.fromEntries([...model.rows.values()].map((r) => [r.id, badges(r)] as const).filter(([, all]) => all.length));
}

describe('badges follow the feed', () => {
  const start = feed('turn_start', 2, {}, 't');
  const cases: [name: string, events: LogEvent[], want: BadgeName[], words: string][] = [
    ['a new session is quiet', [feed('session_created', 0, { tags: [] })], [], ''],
    ['an open turn works', [start], ['working'], 'Working'],
    ['a finished turn is unread', [start, feed('turn_end', 5, { success: true, reason: 'done' }, 't')], ['unread'], 'Finished'],
    ['a failed turn says why', [start, feed('turn_end', 5, { success: false, reason: 'error', error: 'boom' }, 't')], ['failed'], 'boom'],
    ['a stopped turn has not failed', [start, feed('turn_end', 5, { success: false, reason: 'stopped' }, 't')], ['unread'], 'Stopped'],
    ['an abandoned turn has failed', [start, feed('turn_end', 5, { success: false, reason: 'abandoned' }, 't')], ['failed'], 'Failed: abandoned'],
    ['seen to its end it is quiet', [start, feed('turn_end', 5, { success: true }, 't'), feed('seen', 5, { subject: 'local' })], [], ''],
    ['seen before its end it is unread', [start, feed('turn_end', 5, { success: true }, 't'), feed('seen', 4, { subject: 'local' })], ['unread'], 'Finished'],
    ['what another person has seen does not count', [start, feed('turn_end', 5, { success: true }, 't'), feed('seen', 5, { subject: 'ann' })], ['unread'], 'Finished'],
    ['a withdrawn prompt is no result', [feed('session_created', 0, { tags: [] }), feed('turn_end', 3, { success: false, reason: 'stopped' }, 'waits')], [], ''],
    ['a withdrawn prompt does not end the open turn', [start, feed('turn_end', 3, { success: false, reason: 'stopped' }, 'waits')], ['working'], 'Working'],
    ['a question needs you', [start, feed('permission_request', 3, { requestId: 'q', tool: 'Bash' }, 't')], ['needs-you'], 'Asks to use Bash'],
    ['a question that was seen still needs you', [start, feed('permission_request', 3, { requestId: 'q' }, 't'), feed('seen', 3, { subject: 'local' })], ['needs-you'], 'Asks you something'],
    ['an answered question does not', [start, feed('permission_request', 3, { requestId: 'q' }, 't'), feed('permission_response', 4, { requestId: 'q', allow: true }, 't')], ['working'], 'Working'],
    ['one of two answered still does', [start, feed('permission_request', 3, { requestId: 'q' }, 't'), feed('permission_request', 4, { requestId: 'r' }, 't'), feed('permission_response', 5, { requestId: 'q' }, 't')], ['needs-you'], 'Asks you something'],
    ['questions end with their turn', [start, feed('permission_request', 3, { requestId: 'q' }, 't'), feed('turn_end', 4, { success: true }, 't')], ['unread'], 'Finished'],
    ['a delivered kontask waits', [feed('kontask_ready', 1, { kontaskId: 'k', title: 'Report' })], ['kontask'], 'Report'],
    ['one that is only made does not', [feed('kontask_created', 1, { kontaskId: 'k', title: 'Report' })], [], ''],
    ['one that was chosen from does not', [feed('kontask_ready', 1, { kontaskId: 'k' }), feed('kontask_chosen', 2, { kontaskId: 'k' })], [], ''],
    ['one that was seen does not', [feed('kontask_ready', 1, { kontaskId: 'k' }), feed('seen', 1, { subject: 'local' })], [], ''],
    ['an update of one that was seen does not bring it back', [feed('kontask_ready', 1, { kontaskId: 'k' }), feed('seen', 1, { subject: 'local' }), feed('kontask_updated', 2, { kontaskId: 'k', title: 'New' })], [], ''],
    ['a new turn beside an unread one shows both', [start, feed('turn_end', 5, { success: true }, 't'), feed('turn_start', 6, {}, 'u')], ['unread', 'working'], 'Finished'],
    ['a closed session asks nothing', [start, feed('permission_request', 3, { requestId: 'q' }), feed('session_closed', 9)], [], 'Closed'],
  ];
  test.each(cases)('%s', (_, events, want, words) => {
    const got = row(...events);
    expect(badges(got)).toEqual(want);
    expect(note(got)).toBe(words);
  });

  test('an event that is told twice changes nothing', () => {
    const events = [start, feed('permission_request', 3, { requestId: 'q' }, 't'), feed('turn_end', 4, { success: true }, 't'), feed('turn_start', 5, {}, 'u')];
    const model = new Model();
    model.load({ list: [], working: [], keep: false, inbox: [{ session: { id: 's', epoch: 'e', head: 5, floor: 1, bytes: 0, state: 'working', turn: 'u', queued: 0, questions: 0, notable: 4, title: '', scope: '', tags: [], meta: {}, createdAt: '', updatedAt: '' }, seen: 0, ended: { id: 4, success: true }, questions: [], kontasks: [] }] });
    const before = badges(model.rows.get('s') as Row);
    for (const e of events) {
      model.apply(e);
      expect(badges(model.rows.get('s') as Row)).toEqual(before); // nor for a moment: a badge would flash
    }
  });

  test('a turn that had ended before the page was read does not run again', () => {
    const model = new Model();
    model.add([{ id: 's', epoch: 'e', head: 5, floor: 1, bytes: 0, state: 'idle', queued: 0, questions: 0, notable: 4, title: '', scope: '', tags: [], meta: {}, createdAt: '', updatedAt: '' }]);
    model.apply(feed('turn_start', 2, {}, 't'));
    expect(badges(model.rows.get('s') as Row)).toEqual([]);
    model.apply(feed('turn_end', 4, { success: true }, 't'));
    expect(badges(model.rows.get('s') as Row)).toEqual(['unread']);
  });

  test('malformed events do no harm', () => {
    const model = new Model();
    for (const data of [null, 5, {}, { session: 7 }, { session: 's' }, { session: 's', id: 'x' }]) for (const type of ['turn_end', 'permission_request', 'kontask_ready', 'session_updated', 'seen', 'unheard']) model.apply({ id: 1, session: '_feed', type, time: 'never', data } as LogEvent);
    expect(shown(model)).toEqual({});
  });
});

/** A list as a page has it: it reads REST and the feed at its own pace. */
class Reader {
  readonly model = new Model();
  at = 0;
  constructor(readonly server: FakeServer) {
    this.at = server.feed.length;
  }
  deliver(n: number): void {
    for (; n > 0 && this.at < this.server.feed.length; n--) this.model.apply(this.server.feed[this.at++] as LogEvent);
  }
  load(keep: boolean, between: () => void): void {
    const list = this.server.list(0, 6);
    between();
    const working = this.server.working();
    between();
    this.model.load({ list, working, inbox: this.server.inbox(), keep });
  }
  /** What only the feed has named is asked for. */
  ask(): void {
    for (const r of [...this.model.rows.values()]) if (!r.known) this.model.add(this.server.one(r.id));
  }
  page(): void {
    const from = Math.floor(this.server.random() * 20);
    this.model.add(this.server.list(from, from + 6));
  }
}

describe('the list is that of the server', () => {
  test('whatever happens between its readings (250 random runs)', () => {
    for (let seed = 1; seed <= 250; seed++) {
      const random = seeded(seed);
      const server = new FakeServer(random);
      const some = () => {
        for (let n = Math.floor(random() * 8); n > 0; n--) server.step();
      };
      for (let n = 0; n < 40; n++) server.step();
      const readers = [new Reader(server), new Reader(server)];
      for (const r of readers) r.load(false, some);
      for (let n = 0; n < 60; n++) {
        some();
        const r = server.pick(readers) as Reader;
        const what = random();
        if (what < 0.6) r.deliver(Math.floor(random() * 10));
        else if (what < 0.7) r.ask();
        else if (what < 0.9) r.page();
        else r.load(random() < 0.7, some);
      }
      for (const r of readers) {
        r.deliver(Infinity);
        r.ask();
        if (r.model.doubt) r.load(true, () => undefined);
        expect(shown(r.model), `seed ${seed}`).toEqual(server.badges());
      }
    }
  }, 30_000);

  test('two that are fed the same events show the same, in the same order', () => {
    const server = new FakeServer(seeded(7));
    const [a, b] = [new Reader(server), new Reader(server)];
    for (let n = 0; n < 2_000; n++) server.step();
    a.deliver(Infinity);
    while (b.at < server.feed.length) b.deliver(3);
    const all: Filter = { name: 'all', text: '', scope: '', tag: '' };
    expect(shown(b.model)).toEqual(shown(a.model));
    expect(arrange(b.model.rows.values(), all).map((r) => r.id)).toEqual(arrange(a.model.rows.values(), all).map((r) => r.id));
    expect(a.model.rows.size).toBe(server.sessions.size);
  });

  test('after a restore nothing of the old history is left', () => {
    const server = new FakeServer(seeded(3));
    const reader = new Reader(server);
    for (let n = 0; n < 300; n++) server.step();
    reader.deliver(Infinity);
    const other = new FakeServer(seeded(4));
    for (let n = 0; n < 100; n++) other.step();
    reader.model.load({ list: other.list(0, 100), working: other.working(), inbox: other.inbox(), keep: false });
    expect(shown(reader.model)).toEqual(other.badges());
    expect([...reader.model.rows.keys()].sort()).toEqual([...other.sessions.keys()].sort());
  });
});

describe('filters and order', () => {
  const rows = [
    row(feed('session_updated', 0, { title: 'Old talk', tags: ['night'], scope: 'web' })),
    { ...row(feed('turn_start', 1, {}, 't')), id: 'works', title: 'Parser' },
    { ...row(feed('permission_request', 1, { requestId: 'q' })), id: 'asks', title: 'Deploy', updatedAt: 5 },
    { ...row(feed('kontask_ready', 1, { kontaskId: 'k' })), id: 'card', title: 'Report', updatedAt: 9 },
    { ...row(feed('session_closed', 1)), id: 'shut', title: '' },
  ];
  const of = (f: Partial<Filter>) => arrange(rows, { name: 'all', text: '', scope: '', tag: '', ...f }).map((r) => r.id);
  test('who waits for a person comes first, then the newest', () => expect(of({})).toEqual(['card', 'asks', 'shut', 'works', 's']));
  test.each<[Partial<Filter>, string[]]>([
    [{ name: 'needs-you' }, ['card', 'asks']],
    [{ name: 'working' }, ['works']],
    [{ name: 'unread' }, ['card']],
    [{ name: 'closed' }, ['shut']],
    [{ text: 'PARS' }, ['works']],
    [{ text: 'shu' }, ['shut']],
    [{ text: 'nothing' }, []],
    [{ scope: 'web' }, ['s']],
    [{ tag: 'night' }, ['s']],
    [{ tag: 'day' }, []],
    [{ name: 'working', text: 'dep' }, []],
  ])('%j', (f, want) => expect(of(f)).toEqual(want));
  test('matches agrees with arrange', () => expect(rows.filter((r) => matches(r, { name: 'all', text: 'e', scope: '', tag: '' })).length).toBe(of({ text: 'e' }).length));
  test('the server is asked for what is not here, and only for that', () => {
    const base: Filter = { name: 'all', text: '', scope: '', tag: '' };
    expect(query(base)).toBe('');
    expect(query({ ...base, text: ' a b ' })).toBe('q=a+b');
    expect(query({ ...base, name: 'closed', tag: 'x' })).toBe('state=closed&tag=x');
    expect(query({ ...base, name: 'unread', text: 'a' })).toBeUndefined();
  });
  test('the title counts questions and kontasks, not results', () => expect(rows.filter(needsPerson).map((r) => r.id)).toEqual(['asks', 'card']));
});

test('a long list draws what is in view, and no more', () => {
  expect(span(0, 56, 0, 800)).toEqual({ from: 0, to: 0 });
  expect(span(5, 56, 0, 800)).toEqual({ from: 0, to: 5 });
  const { from, to } = span(50_000, 56, 56 * 20_000, 800);
  expect(from).toBeLessThanOrEqual(20_000);
  expect(to).toBeGreaterThanOrEqual(20_000 + 15);
  expect(to - from).toBeLessThan(40);
  expect(span(10, 56, 99_999, 800).from).toBeLessThanOrEqual(10); // the list got shorter under the scroller
});

describe('looking marks as seen', () => {
  function rig() {
    vi.useFakeTimers();
    const model = new Model();
    const sent: [string, number][] = [];
    const look = new Look({ mark: (s, id) => void model.see(s, id), send: async (s, id) => void sent.push([s, id]), row: (s) => model.rows.get(s) });
    const apply = (e: LogEvent) => {
      model.apply(e);
      look.news(model.rows.get('s') as Row);
    };
    return { model, sent, look, apply };
  }
  test('once, however often it is said, and only when something was unseen', async () => {
    const { model, sent, look, apply } = rig();
    apply(feed('turn_start', 1, {}, 't'));
    for (let id = 1; id < 50; id++) look.at('s', id);
    await vi.advanceTimersByTimeAsync(LOOK_MS * 2);
    expect(sent).toEqual([]); // text that streams is no news
    apply(feed('turn_end', 50, { success: true }, 't'));
    expect(badges(model.rows.get('s') as Row)).toEqual(['unread']);
    look.at('s', 50);
    expect(badges(model.rows.get('s') as Row)).toEqual([]);
    look.at('s', 50);
    await vi.advanceTimersByTimeAsync(LOOK_MS * 2);
    expect(sent).toEqual([['s', 50]]);
    vi.useRealTimers();
  });
  test('also when the feed is behind the eyes', async () => {
    const { model, sent, look, apply } = rig();
    apply(feed('turn_start', 1, {}, 't'));
    look.at('s', 9);
    apply(feed('turn_end', 8, { success: true }, 't'));
    expect(badges(model.rows.get('s') as Row)).toEqual([]);
    await vi.advanceTimersByTimeAsync(LOOK_MS * 2);
    expect(sent).toEqual([['s', 9]]);
    vi.useRealTimers();
  });
  test('not while the page is hidden, but when it is shown again', async () => {
    const { sent, look, apply } = rig();
    const hidden = vi.spyOn(document, 'hidden', 'get').mockReturnValue(true);
    apply(feed('turn_start', 1, {}, 't'));
    apply(feed('turn_end', 2, { success: true }, 't'));
    look.at('s', 2);
    await vi.advanceTimersByTimeAsync(LOOK_MS * 2);
    expect(sent).toEqual([]);
    hidden.mockReturnValue(false);
    document.dispatchEvent(new Event('visibilitychange'));
    await vi.advanceTimersByTimeAsync(LOOK_MS * 2);
    expect(sent).toEqual([['s', 2]]);
    hidden.mockRestore();
    vi.useRealTimers();
  });
  test('what came behind the place that was looked at stays unread', () => {
    const { model, look, apply } = rig();
    apply(feed('turn_start', 1, {}, 't'));
    look.at('s', 3);
    apply(feed('turn_end', 4, { success: true }, 't'));
    expect(badges(model.rows.get('s') as Row)).toEqual(['unread']);
    vi.useRealTimers();
  });
});

test('a list that grows for weeks lets the quietest rows go, and none that is needed', () => {
  const model = new Model();
  const feed = (session: string, type: string, n: number, data: object = {}) => model.apply({ id: n, session: '_feed', type, time: new Date(n * 1000).toISOString(), data: { session, id: 1, ...data } } as LogEvent);
  for (let n = 1; n <= 50; n++) feed(`s${n}`, 'session_created', n);
  feed('s1', 'permission_request', 51, { requestId: 'q', id: 2 });
  model.rows.set('s1', { ...model.rows.get('s1')!, updatedAt: 0 });
  model.trim(10, needsPerson);
  expect([...model.rows.keys()].sort()).toEqual(['s1', 's42', 's43', 's44', 's45', 's46', 's47', 's48', 's49', 's50']);
});
