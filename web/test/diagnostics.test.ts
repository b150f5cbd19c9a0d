import { describe, expect, test } from 'vitest';
import { judgeServer } from '../src/diagnostics/doctor';
import { judge, judgeClocks, report, skew, summary, type Finding, type Walk } from '../src/diagnostics/verdict';

const DUE = [0, 500, 1_000, 1_500, 2_000];
function walk(at: number[], change: Partial<Walk> = {}, due = DUE): Walk {
  return { transport: 'ws', off: false, error: '', idle: 0, arrivals: at.map((t, i) => ({ n: i + 1, of: due.length, atMs: due[i] ?? 0, at: t })), ...change };
}

describe('what the arrival of frames tells', () => {
  test.each<[string, Walk, Finding['status'], RegExp, RegExp | '']>([
    ['paced frames are well', walk([20, 521, 1_020, 1_522, 2_020]), 'ok', /5 of 5 frames.*first after 20 ms/, ''],
    ['a slow first frame is only a slow start', walk([900, 1_400, 1_900, 2_400, 2_900]), 'ok', /first after 900 ms/, ''],
    ['a late frame is told', walk([20, 521, 1_520, 1_700, 2_020]), 'warn', /at most 500 ms late/, /lumps/],
    ['a lump at the end is buffering', walk([2_030, 2_031, 2_032, 2_033, 2_034]), 'fail', /at once, after 2\.0 s/, /proxy_buffering off/],
    ['a lump before silence is buffering too', walk([2_030, 2_031, 2_032, 2_033, 2_034, 32_040], { idle: 30 }, [...DUE, 32_000]), 'fail', /buffers/, /proxy_buffering off/],
    ['silence that is survived is well', walk([10, 511, 1_010, 1_511, 2_012, 32_015], { idle: 30 }, [...DUE, 32_000]), 'ok', /6 of 6/, ''],
    ['silence that is not is a cut', walk([10, 511, 1_010, 1_511, 2_012], { idle: 30, error: 'closed with 1006' }, [...DUE, 32_000]), 'fail', /Cut during 30 s of silence: closed with 1006/, /proxy_read_timeout/],
    ['an early end is a cut', walk([10, 511], { error: 'the stream ended' }), 'fail', /Cut after 2 of 5 frames, 511 ms after the start/, /timeout/],
    ['nothing over WebSocket is a blocked upgrade', walk([], { error: 'the upgrade was refused' }), 'fail', /Nothing came: the upgrade was refused/, /Upgrade \$http_upgrade/],
    ['nothing over SSE has another hint', walk([], { transport: 'sse', error: 'HTTP 502' }), 'fail', /HTTP 502/, /SSE_ENABLED/],
    ['what is switched off is no failure', walk([], { off: true, error: 'switched off' }), 'off', /Switched off/, ''],
  ])('%s', (_, of, status, detail, hint) => {
    const got = judge(of);
    expect(got.status).toBe(status);
    expect(got.detail).toMatch(detail);
    if (hint === '') expect(got.hint).toBe('');
    else expect(got.hint).toMatch(hint);
  });
});

test('the clock is told by the fastest answer', () => {
  const at = (began: number, way: number, off: number) => ({ began, ended: began + way, serverTime: began + way / 2 + off });
  expect(skew([at(0, 900, 5_400), at(2_000, 10, 5_000), at(3_000, 400, 5_150)])).toEqual({ skewMs: 5_000, latencyMs: 10 });
  expect(skew([])).toBeUndefined();
  expect(judgeClocks({ skewMs: -5_000, latencyMs: 4 }).status).toBe('warn');
  expect(judgeClocks({ skewMs: 90, latencyMs: 4 }).status).toBe('ok');
  expect(judgeClocks(undefined).status).toBe('fail');
});

test('the server that cannot write is not well, whatever the network does', () => {
  const base = { version: 'v1', draining: false, writable: true } as Parameters<typeof judgeServer>[0];
  expect(judgeServer(base).status).toBe('ok');
  expect(judgeServer({ ...base, writable: false } as typeof base)).toMatchObject({ status: 'fail', hint: expect.stringContaining('df') });
  expect(judgeServer({ ...base, draining: true } as typeof base).status).toBe('warn');
  expect(judgeServer(undefined).status).toBe('fail');
});

describe('the whole in one line', () => {
  const of = (server: Finding['status'], ws: Finding['status'], sse: Finding['status'], poll: Finding['status']) =>
    summary([['server', server], ['clocks', 'ok'], ['ws', ws], ['sse', sse], ['poll', poll]].map(([check, status]) => ({ check, status, detail: '', hint: '' }) as Finding));
  test.each<[Parameters<typeof of>, Finding['status'], RegExp]>([
    [['ok', 'ok', 'ok', 'ok'], 'ok', /All is well/],
    [['ok', 'off', 'ok', 'ok'], 'ok', /All is well/],
    [['ok', 'fail', 'ok', 'ok'], 'warn', /WebSocket does not get through/],
    [['ok', 'fail', 'fail', 'ok'], 'warn', /Only long-polling/],
    [['ok', 'fail', 'fail', 'fail'], 'fail', /No transport/],
    [['fail', 'ok', 'ok', 'ok'], 'fail', /cannot be reached, or takes no events/],
    [['ok', 'warn', 'ok', 'ok'], 'warn', /worth a look/],
  ])('%j', (args, status, text) => expect(of(...args)).toMatchObject({ status, text: expect.stringMatching(text) }));
});

test('the report holds what was found and what to do', () => {
  const text = report({ server: 'v1' }, [judge(walk([], { error: 'x' })), judge(walk([1, 501, 1_001, 1_501, 2_001], { transport: 'sse' }))]);
  expect(text).toMatch(/^konlog diagnostics\nserver: v1\n\nfail {2}ws/);
  expect(text).toMatch(/hint: A proxy/);
  expect(text).toMatch(/ok {4}sse/);
});
