import { describe, expect, test } from 'vitest';
import { choices, entries, subject, type Item } from '../src/inbox/items';

const session = (id: string) => ({ id }) as Item['session'];
const at = (s: number) => new Date(s * 1000).toISOString();

test('questions come before kontasks before results, the newest first', () => {
  const list = entries([
    { session: session('a'), seen: 0, reasons: [], ended: { id: 9, turn: 't', success: true, time: at(90) }, questions: [{ id: 3, requestId: 'q1', time: at(10) }], kontasks: [] },
    { session: session('b'), seen: 0, reasons: [], questions: [{ id: 4, requestId: 'q2', time: at(20) }], kontasks: [{ id: 5, ready: 5, kontaskId: 'k', time: at(80) }] },
  ]);
  expect(list.map((e) => e.key)).toEqual(['b q q2', 'a q q1', 'b k k', 'a e 9']);
  expect(new Set(list.map((e) => e.key)).size).toBe(list.length);
});

describe('what a question is about is said, whatever its input is', () => {
  test.each<[unknown, string]>([
    [{ command: 'rm -rf x', description: 'd' }, 'rm -rf x'],
    [{ command: ['ls', '-l'] }, 'ls -l'],
    [{ file_path: '/a' }, '/a'],
    [{ question: 'Which?', path: '/a' }, 'Which?'],
    [{ odd: 1 }, '{"odd":1}'],
    ['text', 'text'],
    [{}, ''], [null, ''], [undefined, ''], [5, ''],
  ])('%j', (input, want) => expect(subject(input)).toBe(want));
});

test('choices are buttons only when they have a word', () => {
  expect(choices([{ label: 'Yes', value: 1, primary: true }, 'No', { value: 'later' }, { name: 'N' }, {}, null, 7, { label: '' }])).toEqual([
    { label: 'Yes', value: 1, primary: true },
    { label: 'No', value: 'No', primary: false },
    { label: 'later', value: 'later', primary: false },
    { label: 'N', value: 'N', primary: false },
  ]);
  for (const odd of [undefined, null, 'x', {}, 5]) expect(choices(odd)).toEqual([]);
});
