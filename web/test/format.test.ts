import { describe, expect, test } from 'vitest';
import { ago, bytes, clip, cost, count, counter, duration, percent, plural, short } from '../src/parts/format';

const MIN = 60_000;
const H = 60 * MIN;
const D = 24 * H;

describe('numbers read as people write them', () => {
  test.each<[number, string]>([
    [0, '0 ms'], [340, '340 ms'], [999.4, '999 ms'], [999.6, '1.0 s'], [1_000, '1.0 s'], [2_449, '2.4 s'], [9_949, '9.9 s'], [9_960, '10 s'], [41_200, '41 s'],
    [59_499, '59 s'], [59_500, '1 min'], [60_000, '1 min'], [185_000, '3 min 5 s'], [H - 400, '1 h'], [H, '1 h'], [2 * H + 4 * MIN, '2 h 4 min'], [D - 1, '1 d'], [3 * D + H, '3 d 1 h'], [90 * D, '90 d'], [-5, '0 ms'], [NaN, '–'], [Infinity, '–'],
  ])('duration %d', (ms, want) => expect(duration(ms)).toBe(want));

  test('no duration says 60 s, 60 min or 24 h', () => {
    for (let ms = 0; ms < 3 * D; ms = Math.ceil(ms * 1.0007) + 137) expect(duration(ms)).not.toMatch(/\b(60 s|60 min|24 h|1000 ms)\b/);
  });
  test.each<[number, string]>([[0, '0:00'], [7_900, '0:07'], [760_000, '12:40'], [H + 2 * MIN + 3_000, '1:02:03'], [-1, '0:00']])('counter %d', (ms, want) => expect(counter(ms)).toBe(want));
  test.each<[number, string]>([[0, '0 B'], [999, '999 B'], [1_024, '1.0 KB'], [1_434, '1.4 KB'], [10_200, '10 KB'], [33_554_432, '32 MB'], [1_073_741_824, '1.0 GB'], [1_023 * 1_024, '1.0 MB'], [NaN, '–']])('bytes %d', (n, want) => expect(bytes(n)).toBe(want));
  test.each<[number, string]>([[0, '0'], [1_240, '1,240'], [1_000_000, '1,000,000'], [NaN, '–']])('count %d', (n, want) => expect(count(n)).toBe(want));
  test.each<[number, string]>([[999, '999'], [1_240, '1.2k'], [34_400, '34k'], [999_900, '1.0M'], [5_640_000, '5.6M']])('short %d', (n, want) => expect(short(n)).toBe(want));
  test.each<[number, string]>([[0, '$0'], [0.00001, '<$0.0001'], [0.0042, '$0.0042'], [0.05, '$0.05'], [0.31, '$0.31'], [12.4, '$12.40'], [NaN, '–']])('cost %d', (n, want) => expect(cost(n)).toBe(want));
  test('one and many', () => expect([plural(1, 'event'), plural(0, 'event'), plural(1_200, 'event'), plural(2, 'reply', 'replies')]).toEqual(['1 event', '0 events', '1,200 events', '2 replies']));
  test('shares', () => expect([percent(1, 3), percent(0, 3), percent(1, 0)]).toEqual(['33 %', '0 %', '–']));
});

describe('how long ago', () => {
  const now = Date.parse('2026-11-21T12:00:00Z');
  test.each<[number, string]>([[0, 'now'], [44_000, 'now'], [50_000, '1 min'], [5 * MIN, '5 min'], [59.8 * MIN, '1 h'], [3 * H, '3 h'], [23.9 * H, '23 h'], [D, '1 d'], [6.9 * D, '6 d'], [-5_000, 'now']])('%d ms', (past, want) => expect(ago(now - past, now)).toBe(want));
  test('a date when it is long ago, with its year when that is another', () => {
    expect(ago(now - 30 * D, now)).toMatch(/22/);
    expect(ago(now - 400 * D, now)).toMatch(/2025/);
    expect(ago(NaN, now)).toBe('');
  });
});

test('a clipped text is one line and keeps whole characters', () => {
  expect(clip(' a\n\n b\tc ', 20)).toBe('a b c');
  expect(clip('abcdefgh', 5)).toBe('abcd…');
  for (let max = 2; max < 12; max++) expect(clip('😀😀😀😀😀😀', max)).not.toMatch(/[\uD800-\uDBFF](?![\uDC00-\uDFFF])/);
});
