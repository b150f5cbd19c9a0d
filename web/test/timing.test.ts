import type { Turn } from '@konlog/client';
import { describe, expect, test } from 'vitest';
import { byTool, callsOf, slowest, sorted, spanOf, timesOf, timingLine, tokensOf, totalsOf } from '../src/replay/timing';
import { TurnStore, WHOLE_MAX } from '../src/replay/turnstore';

// Older servers and other readers may leave members out, so the page must bear it.
type Told = Partial<Omit<Turn, 'timing'>> & { timing?: Partial<Turn['timing']> };
const turn = (more: Told): Turn => ({ session: 's', turn: 't', state: 'ended', first: 1, last: 2, timing: {}, toolCalls: 0, tools: [], ...more }) as Turn;

describe('a turn in one line', () => {
  test('the turn that was measured: 66.7 s, of which 54 ms until the first event', () => {
    const times = timesOf(turn({ timing: { totalMs: 66_700, ttfeMs: 54, thinkingMs: 66_646, toolExecutionMs: 0, toolCallCount: 0 } }));
    expect(timingLine(times)).toBe('66.7 s, 0 tools, TTFE 0 %, thinking 100 %, tools 0 %');
  });

  test('one tool is one tool, and waiting is told', () => {
    const times = timesOf(turn({ timing: { totalMs: 1000, ttfeMs: 100, thinkingMs: 300, toolExecutionMs: 200, waitingMs: 400, toolCallCount: 1 } }));
    expect(timingLine(times)).toBe('1.0 s, 1 tool, TTFE 10 %, thinking 30 %, tools 20 %, waiting 40 %');
  });

  test('a turn that has not begun has no shares', () => {
    expect(timingLine(timesOf(turn({ timing: undefined })))).toBe('0.0 s, 0 tools, TTFE 0 %, thinking 0 %, tools 0 %');
  });

  test('the bar is the queue and all parts', () => {
    expect(spanOf(timesOf(turn({ timing: { queueMs: 500, totalMs: 1000, ttfeMs: 100, thinkingMs: 900 } })))).toBe(1500);
  });
});

describe('sums', () => {
  test('are those of the turns', () => {
    const totals = totalsOf([
      turn({ timing: { totalMs: 10, thinkingMs: 7, ttfeMs: 3 }, toolCalls: 2, costUsd: 0.5, usage: { input_tokens: 10, output_tokens: 2, cache_read_input_tokens: 100 } }),
      turn({ timing: { totalMs: 5, queueMs: 1, toolExecutionMs: 5 }, success: false, costUsd: 0.25, usage: { inputTokens: 1, outputTokens: 1 } }),
      turn({}),
    ]);
    expect(totals).toMatchObject({ turns: 3, failed: 1, totalMs: 15, toolCalls: 2, costUsd: 0.75, tokens: { input: 11, output: 3, cacheRead: 100 } });
    expect(totals.parts).toEqual({ queue: 1, ttfe: 3, thinking: 7, tools: 5, waiting: 0 });
  });

  test('what nobody told is not told as nothing', () => {
    const totals = totalsOf([turn({}), turn({ usage: 'much' })]);
    expect([totals.costUsd, totals.tokens.input]).toEqual([undefined, undefined]);
    expect(totalsOf([turn({ costUsd: 0 })]).costUsd).toBe(0);
  });

  test('tokens by the names that agents use', () => {
    expect(tokensOf({ prompt_tokens: 3, completion_tokens: 4 })).toMatchObject({ input: 3, output: 4 });
    expect(tokensOf({ input_tokens: 9, cached_input_tokens: 5, output_tokens: '7' })).toMatchObject({ input: 9, cacheRead: 5, output: undefined });
    expect(tokensOf(null)).toEqual({ input: undefined, output: undefined, cacheRead: undefined, cacheWrite: undefined });
  });
});

describe('tools', () => {
  const tools = [
    { id: 'a', name: 'Bash', start: 3, end: 4, startedAt: '2026-11-20T17:00:00.000Z', endedAt: '2026-11-20T17:00:02.000Z' },
    { id: 'b', name: 'Read', start: 5, end: 6, startedAt: '2026-11-20T17:00:02.000Z', endedAt: '2026-11-20T17:00:05.000Z', isError: true },
    { id: 'c', name: 'Bash', start: 7, startedAt: '2026-11-20T17:00:05.000Z' },
  ];
  const calls = callsOf(turn({ tools }));

  test('the slowest first, without those that never ended', () => {
    expect(slowest(calls, 5).map((c) => [c.id, c.ms])).toEqual([['b', 3000], ['a', 2000]]);
    expect(slowest(calls, 1)).toHaveLength(1);
  });

  test('by name', () => {
    expect(byTool(calls)).toEqual([
      { name: 'Read', calls: 1, failed: 1, ms: 3000, longestMs: 3000 },
      { name: 'Bash', calls: 2, failed: 0, ms: 2000, longestMs: 2000 },
    ]);
  });
});

describe('order', () => {
  const a = turn({ turn: 'a', first: 1, timing: { totalMs: 5 }, costUsd: 1 });
  const b = turn({ turn: 'b', first: 2, timing: { totalMs: 9 } });
  const c = turn({ turn: 'c', first: 3, timing: { totalMs: 5 }, costUsd: 2 });
  const ids = (turns: Turn[]) => turns.map((t) => t.turn).join('');

  test('equal turns stand newest first, those without a value last', () => {
    expect(ids(sorted([a, b, c], { by: 'total', down: true }))).toBe('bca');
    expect(ids(sorted([a, b, c], { by: 'cost', down: true }))).toBe('cab');
    expect(ids(sorted([a, b, c], { by: 'cost', down: false }))).toBe('acb');
    expect(ids(sorted([c, a, b], { by: 'first', down: false }))).toBe('abc');
  });
});

describe('the turns of a session', () => {
  // A server with n turns, the newest of which is open.
  function server(n: number) {
    const state = { n, whole: 0 };
    const one = (i: number): Turn => turn({ turn: `t${i}`, first: i, last: i, state: i === state.n ? 'open' : 'ended', text: 'long' });
    return Object.assign(state, {
      async text(path: string) {
        const url = new URL(path, 'http://x');
        const single = /turns\/t(\d+)$/.exec(url.pathname);
        if (single) return state.whole++, JSON.stringify({ ...one(Number(single[1])), tools: [{ name: 'x' }] });
        const from = Number(url.searchParams.get('cursor') || state.n);
        const limit = Number(url.searchParams.get('limit'));
        const turns = Array.from({ length: Math.min(limit, from) }, (_, i) => one(from - i));
        return JSON.stringify({ turns, next: from > limit ? String(from - limit) : undefined });
      },
    });
  }

  test('are read to the first one, each once', async () => {
    const store = new TurnStore(server(1_350), 's');
    while (store.more) await store.loadMore();
    expect(store.turns.map((t) => t.first)).toEqual(Array.from({ length: 1_350 }, (_, i) => 1_350 - i));
  });

  test('a refresh brings new turns and the end of the open one', async () => {
    const log = server(150);
    const store = new TurnStore(log, 's');
    await store.loadMore();
    expect(store.turns[0]).toMatchObject({ turn: 't150', state: 'open' });
    log.n = 152;
    await store.refresh();
    expect(store.turns.slice(0, 3).map((t) => `${t.turn} ${t.state}`)).toEqual(['t152 open', 't151 ended', 't150 ended']);
    expect(store.turns).toHaveLength(102);
  });

  test('whole turns are kept without their text, and not all of them', async () => {
    const log = server(WHOLE_MAX + 50);
    const store = new TurnStore(log, 's');
    const got = await store.get('t1');
    expect(got.text).toBeUndefined();
    await store.get('t1');
    expect(log.whole).toBe(1);
    await store.getAll(Array.from({ length: WHOLE_MAX }, (_, i) => `t${i + 2}`), () => {});
    await store.get('t1');
    expect(log.whole).toBe(WHOLE_MAX + 2);
  });
});
