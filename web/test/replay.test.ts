import { Fold } from '@konlog/client/view';
import type { LogEvent } from '@konlog/client';
import { h, render } from 'preact';
import { act } from 'preact/test-utils';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { AsOf } from '../src/replay/asof';
import { NO_FILTER } from '../src/replay/filter';
import { PAGE, RecordedLog, serverLog } from '../src/replay/log';
import { marksOf, SPOTS, spotsOf } from '../src/replay/marks';
import { Player } from '../src/replay/player';
import { Replay } from '../src/replay/replay';
import { IDLE_MAX, Timeline } from '../src/replay/timeline';
import { TimingPage } from '../src/replay/TimingPage';
import { useEventList, type Inspector } from '../src/replay/useEventList';
import { aLog, recorded } from './recorded';

const live = vi.hoisted(() => ({ news: () => {} }));
vi.mock('../src/app/connection', () => ({
  connection: {
    url: 'http://server',
    addEventListener() {},
    get: async () => ({}),
    session: () => Object.assign(new EventTarget(), { onMessage: (tell: (m: object) => void) => ((live.news = () => tell({ kind: 'events' })), () => {}), close() {} }),
  },
}));

function lineOf(...times: number[]): Timeline {
  const line = new Timeline();
  times.forEach((t, i) => line.add(i + 1, t, `type${i}`));
  return line;
}

describe('the line of time', () => {
  test('idle time is cut where it is to be skipped, and only there', () => {
    const line = lineOf(0, 1_000, 61_000, 61_500);
    expect([0, 1, 2, 3].map((i) => line.moment(i, true))).toEqual([0, 1_000, 1_000 + IDLE_MAX, 1_500 + IDLE_MAX]);
    expect([0, 1, 2, 3].map((i) => line.moment(i, false))).toEqual([0, 1_000, 61_000, 61_500]);
  });

  test('events that were appended at once still have a place each', () => {
    const line = lineOf(0, 0, 0, 0);
    expect(new Set([0, 1, 2, 3].map((i) => line.moment(i, true))).size).toBe(4);
    expect(line.at(line.moment(2, true), true)).toBe(2);
  });

  test('a clock that was set back does not turn the line', () => {
    const line = lineOf(5_000, 4_000, 4_100, NaN, 6_000);
    for (let i = 1; i < line.length; i++) expect(line.moment(i, false)).toBeGreaterThanOrEqual(line.moment(i - 1, false));
  });

  test('a moment finds the last event that has come by then', () => {
    const line = lineOf(0, 100, 100, 200);
    expect([0, 99, 100, 199, 200, 9_999].map((t) => line.at(t, false))).toEqual([0, 0, 2, 2, 3, 3]);
    expect(new Timeline().at(5, true)).toBe(-1);
  });

  test('ids with holes find the event before the hole', () => {
    const line = new Timeline();
    for (const id of [3, 4, 9]) line.add(id, id * 100, 'x');
    expect([1, 3, 5, 8, 9, 40].map((id) => line.placeOf(id))).toEqual([-1, 0, 1, 1, 2, 2]);
  });

  test('60,000 events are all on it, and the density counts each once', () => {
    const line = new Timeline();
    for (let i = 0; i < 60_000; i++) line.add(i + 1, i * 20, i % 3 ? 'a' : 'b');
    expect([line.length, line.id(59_999), line.type(59_999), line.type(0)]).toEqual([60_000, 60_000, 'b'.replace('b', 59_999 % 3 ? 'a' : 'b'), 'b']);
    expect(line.density(200, true).reduce((a, b) => a + b)).toBe(60_000);
  });
});

describe('the player', () => {
  test('plays at its speed and stops at the end', () => {
    const player = new Player(lineOf(0, 100, 200, 300));
    player.seek(0);
    player.speed = 2;
    player.play();
    player.tick(60, false);
    expect([player.place, player.moment]).toEqual([1, 120]);
    player.tick(500, false);
    expect([player.place, player.playing]).toEqual([3, false]);
    player.play();
    expect(player.place).toBe(0);
  });

  test('a hidden tab makes no leap', () => {
    const player = new Player(lineOf(0, 2_000, 4_000));
    player.seek(0);
    player.play();
    player.tick(3_600_000, false);
    expect(player.moment).toBe(1_000);
  });

  test('the end of a session that goes on is no end', () => {
    const line = lineOf(0, 100);
    const player = new Player(line);
    player.seek(0);
    player.play();
    player.tick(900, true);
    expect([player.place, player.playing]).toEqual([1, true]);
    line.add(3, 150, 'x');
    player.tick(60, true);
    expect(player.place).toBe(2);
  });

  test('events of one moment are stepped through one by one', () => {
    const player = new Player(lineOf(0, 0, 0, 100));
    player.seek(0);
    const places = [0, 1, 2].map(() => (player.step(1), player.place));
    expect(places).toEqual([1, 2, 3]);
    player.step(-1);
    expect(player.place).toBe(2);
    player.step(-Infinity);
    expect(player.place).toBe(0);
  });

  test('turns are stepped to their first event', () => {
    const player = new Player(lineOf(0, 1, 2, 3, 4, 5));
    player.seek(3);
    player.stepTurn(-1, [1, 3, 5]);
    expect(player.place).toBe(2);
    player.stepTurn(-1, [1, 3, 5]);
    expect(player.place).toBe(0);
    player.stepTurn(1, [1, 3, 5]);
    player.stepTurn(1, [1, 3, 5]);
    expect(player.place).toBe(4);
    player.stepTurn(1, [1, 3, 5]);
    expect(player.place).toBe(5);
  });

  test('the place stays when idle time is no longer skipped', () => {
    const player = new Player(lineOf(0, 60_000, 60_100));
    player.seek(1);
    player.setSkip(false);
    expect([player.place, player.moment]).toEqual([1, 60_000]);
  });
});

const wait = async () => {};
const textOf = (fold: Fold) => JSON.stringify(fold.conversation);

/** What the events up to k show, folded from the first one. */
function foldTo(texts: string[], k: number): string {
  const fold = new Fold();
  fold.apply(texts.slice(0, k).map((t) => JSON.parse(t) as LogEvent));
  return textOf(fold);
}

async function loaded(texts: string[], wholeMax?: number) {
  const log = new RecordedLog(serverLog(recorded(texts), 's'), 0, wholeMax);
  await log.load(() => {});
  return log;
}

describe('as of any event', () => {
  const texts = aLog(4);

  test('it is the fold of 1..k, wherever one comes from', async () => {
    const log = await loaded(texts);
    const asOf = new AsOf(log, { changed: () => {}, pause: wait });
    const order = [5, 3, texts.length - 1, 0, 17, 18, 19, 10, 40, 41, 2, -1, 30];
    for (const place of order) {
      await asOf.seek(place);
      expect(JSON.stringify(asOf.conversation), `place ${place}`).toBe(foldTo(texts, place + 1));
    }
  });

  test('it is the same when pages had to go and only their folded form is there', async () => {
    const long = aLog(400); // several pages
    expect(long.length).toBeGreaterThan(2 * PAGE);
    const log = await loaded(long, 1);
    expect(log.segments.filter((s) => s.whole).length).toBe(1);
    const asOf = new AsOf(log, { changed: () => {}, pause: wait });
    let seed = 3;
    const places = Array.from({ length: 12 }, () => (seed = (seed * 48271) % 0x7fffffff) % long.length);
    for (const place of [long.length - 1, ...places, PAGE - 1, PAGE, 0]) {
      await asOf.seek(place);
      expect(shown(asOf.conversation.sections), `place ${place}`).toBe(shown(sectionsTo(long, place + 1)));
      expect(log.segments.filter((s) => s.whole).length).toBeLessThanOrEqual(2);
    }
  });

  test('the last place that was asked for is the one that is shown', async () => {
    const log = await loaded(aLog(200));
    let clock = 0;
    const asOf = new AsOf(log, { changed: () => {}, now: () => (clock += 100), pause: wait });
    const first = asOf.seek(2_000);
    void asOf.seek(7);
    void asOf.seek(900);
    void asOf.seek(42);
    await first;
    expect([asOf.place, asOf.busy]).toEqual([42, false]);
    expect(JSON.stringify(asOf.conversation)).toBe(foldTo(aLog(200), 43));
  });

  test('a redacted range is no end of it', async () => {
    const log = new RecordedLog(serverLog(recorded([...texts.slice(0, 4), ...texts.slice(8)], { redacted: [5, 8] }), 's'));
    await log.load(() => {});
    expect(log.line.length).toBe(texts.length - 4);
    const asOf = new AsOf(log, { changed: () => {}, pause: wait });
    await asOf.seek(log.line.length - 1);
    expect(JSON.stringify(asOf.conversation)).toContain('5 to 8 were redacted');
    await asOf.seek(3);
    expect(JSON.stringify(asOf.conversation)).not.toContain('redacted');
  });
});

const sectionsTo = (texts: string[], k: number) => {
  const fold = new Fold();
  fold.apply(texts.slice(0, k).map((t) => JSON.parse(t) as LogEvent));
  return fold.conversation.sections;
};

// What a reader sees: texts, tools and states, without the bookkeeping of ids.
function shown(sections: Fold['conversation']['sections']): string {
  return JSON.stringify(sections.map((s) => [s.turn, s.state, s.items.map((i) => [i.kind, 'text' in i ? i.text : '', 'state' in i ? i.state : ''])]));
}

describe('the log', () => {
  test('one that grows is read on from where it was', async () => {
    const pages = recorded(aLog(3));
    const log = new RecordedLog(serverLog(pages, 's'));
    await log.load(() => {});
    const before = log.line.length;
    pages.texts = aLog(5).slice(0, before + 7);
    await log.load(() => {});
    expect([log.line.length, log.segments.length, log.complete]).toEqual([before + 7, 1, true]);
    expect(pages.asked.at(-1)).toContain(`after=${before}`);
  });

  test('one that was replaced is told', async () => {
    const pages = recorded(aLog(1));
    const log = new RecordedLog(serverLog(pages, 's'));
    expect(await log.load(() => {})).toBe(true);
    pages.epoch = 'e2';
    expect(await log.load(() => {})).toBe(false);
  });
});

describe('marks', () => {
  const fold = new Fold();
  fold.apply(aLog(4).map((t) => JSON.parse(t) as LogEvent));
  const marks = marksOf(fold.conversation);

  test('turns, tools, questions, kontasks and what failed', () => {
    const count = (kind: string) => marks.filter((m) => m.kind === kind).length;
    expect([count('turn'), count('tool'), count('question'), count('kontask')]).toEqual([4, 4, 1, 1]);
    expect(count('error')).toBeGreaterThanOrEqual(2); // the tool of turn 2, and turn 3
    expect(marks.map((m) => m.id)).toEqual([...marks.map((m) => m.id)].sort((a, b) => a - b));
  });

  test('of lines without turns the prompts are the steps', () => {
    const lines = new Fold();
    lines.apply(['One', 'Two'].map((text, i) => ({ id: i + 1, session: 's', type: 'prompt', time: '2026-11-20T17:00:00Z', data: { text } })) as LogEvent[]);
    const loose = marksOf({ ...lines.conversation, sections: lines.conversation.sections.map((s) => ({ ...s, turn: '', items: s.items.map((i) => ({ ...i, turn: '' })) })) });
    expect(loose.map((m) => [m.kind, m.label])).toEqual([['turn', 'One'], ['turn', 'Two']]);
  });

  test('a log of any length has a bounded number of them on the line', () => {
    const line = new Timeline();
    for (let i = 0; i < 20_000; i++) line.add(i + 1, i, 'x');
    const many = Array.from({ length: 20_000 }, (_, i) => ({ kind: 'tool' as const, id: i + 1, label: '' }));
    const spots = spotsOf(many, line, true);
    expect(spots.length).toBeLessThanOrEqual(SPOTS + 1);
    expect(spots.reduce((n, s) => n + s.n, 0)).toBe(20_000);
  });
});

describe('a replay', () => {
  const settled = () => new Promise((go) => setTimeout(go, 20));

  test('opens at the first event, at the one of the link, or at the end', async () => {
    for (const [start, place] of [['begin', 0], [12, 11], ['end', 62], [9_999, 62]] as const) {
      const replay = new Replay(serverLog(recorded(aLog(4)), 's'), 's', start);
      await replay.load();
      await settled();
      expect([start, replay.player.place]).toEqual([start, Math.min(place, replay.log.line.length - 1)]);
      expect(replay.conversation.last).toBe(replay.log.line.id(replay.player.place));
    }
  });

  test('a link to an event that is not read yet is not lost', async () => {
    const replay = new Replay(serverLog(recorded(aLog(4)), 's'), 's', 'begin');
    replay.goTo(12);
    await replay.load();
    await settled();
    expect(replay.conversation.last).toBe(12);
    replay.goTo(3);
    await settled();
    expect(replay.conversation.last).toBe(3);
  });

  test('who stands at the end stays there as events come; who does not stays too', async () => {
    const pages = recorded(aLog(4).slice(0, 40));
    const replay = new Replay(serverLog(pages, 's'), 's', 'end');
    await replay.load();
    pages.texts = aLog(4).slice(0, 44);
    await replay.load();
    await settled();
    expect(replay.conversation.last).toBe(44);
    replay.move((p) => p.seek(9));
    pages.texts = aLog(4);
    await replay.load();
    await settled();
    expect(replay.conversation.last).toBe(10);
  });

  test('another history begins anew and does not mix with the old one', async () => {
    const pages = recorded(aLog(4));
    const replay = new Replay(serverLog(pages, 's'), 's', 'end');
    await replay.load();
    pages.texts = aLog(1);
    pages.epoch = 'e2';
    await replay.load();
    await settled();
    expect([replay.log.line.length, replay.conversation.last]).toEqual([aLog(1).length, aLog(1).length]);
  });

  test('a failure is told, and the next try goes on', async () => {
    const pages = recorded(aLog(4));
    const text = pages.text;
    pages.text = async () => {
      throw new Error('The server was not reached');
    };
    const replay = new Replay(serverLog(pages, 's'), 's', 'begin');
    await replay.load();
    expect(replay.trouble).toContain('not reached');
    pages.text = text;
    await replay.load();
    expect([replay.trouble, replay.log.complete]).toEqual(['', true]);
  });

  test('what comes while its last page is on the way is read after that', async () => {
    const pages = recorded(aLog(4).slice(0, 40));
    const held = hold(pages);
    const replay = new Replay(serverLog(pages, 's'), 's', 'end');
    const first = replay.load();
    await vi.waitFor(() => expect(held).toHaveLength(1));
    pages.texts = aLog(4).slice(0, 44);
    await replay.load(); // the news, of which there will be no more
    held.shift()!();
    await vi.waitFor(() => expect(held).toHaveLength(1));
    held.shift()!();
    await first;
    await settled();
    expect([replay.log.line.length, replay.conversation.last, replay.loading]).toEqual([44, 44, false]);
    expect(pages.asked).toHaveLength(2);
  });
});

/** Answers are made when they are asked for, and come when the test says so. */
function hold(pages: ReturnType<typeof recorded>): (() => void)[] {
  const { text } = pages;
  const held: (() => void)[] = [];
  pages.text = async (path) => {
    const answer = await text(path);
    await new Promise<void>((go) => held.push(go));
    return answer;
  };
  return held;
}

describe('a page about a session that falls silent', () => {
  const host = document.createElement('div');
  const next = async (held: (() => void)[]) => {
    await vi.waitFor(() => expect(held.length).toBeGreaterThan(0));
    await act(async () => held.shift()!());
  };
  const serve = (pages: ReturnType<typeof recorded>) =>
    vi.stubGlobal('fetch', async (url: URL, { signal }: RequestInit) => {
      const text = await pages.text(url.pathname + url.search);
      signal?.throwIfAborted();
      return new Response(text);
    });
  afterEach(async () => {
    await act(() => render(null, host));
    vi.unstubAllGlobals();
  });

  test('events: the last one is there, also when it came while a page was read', async () => {
    const pages = recorded(aLog(4).slice(0, 40));
    const held = hold(pages);
    serve(pages);
    let inspector!: Inspector;
    const Page = () => ((inspector = useEventList('s', NO_FILTER, undefined)), null);
    await act(() => render(h(Page, {}), host));
    await next(held); // where the end is
    await vi.waitFor(() => expect(held).toHaveLength(1));
    pages.texts = aLog(4).slice(0, 41);
    await act(() => inspector.wake());
    await next(held); // the page before it
    await next(held); // what came meanwhile
    await vi.waitFor(() => expect(inspector.list.rows.at(-1)?.id).toBe(41));
    await vi.waitFor(() => expect(inspector.busy).toBe(''));
    expect(pages.asked).toHaveLength(3);
  });

  test('timing: a turn that ended while the turns were read has ended', async () => {
    const pages = recorded([], { turns: { t1: '' } });
    let state = 'open';
    const answer = () => ({ turn: 't1', first: 1, last: 3, state, ...(state === 'ended' && { success: true }), text: '', tools: [], startedAt: '2026-11-20T17:00:00Z', usage: {} });
    pages.text = async (path) => (pages.asked.push(path), JSON.stringify(path.includes('/turns/') ? answer() : { turns: [answer()] }));
    const held = hold(pages);
    serve(pages);
    await act(() => render(h(TimingPage, { session: 's' }), host));
    await vi.waitFor(() => expect(held).toHaveLength(1));
    state = 'ended';
    live.news();
    await new Promise((go) => setTimeout(go, 1_100));
    expect(pages.asked).toHaveLength(1);
    await next(held);
    await next(held);
    await act(() => settle());
    expect(pages.asked).toHaveLength(2);
    expect(host.textContent).not.toContain('working');
  });
});

const settle = () => new Promise<void>((go) => setTimeout(go, 20));
