import { describe, expect, test } from 'vitest';
import { entries, subject, type Item } from '../src/inbox/items';
import { choicesOf } from '../src/session/choices';

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

test('what failed stands before what is done; what somebody stopped has not failed', () => {
  const ended = (id: number, success: boolean, reason?: string) => ({ session: session(`s${id}`), seen: 0, reasons: [], ended: { id, turn: 't', success, reason, time: at(id) }, questions: [], kontasks: [] }) as Item;
  const list = entries([ended(9, true), ended(1, false, 'error'), ended(8, false, 'stopped'), ended(2, false)]);
  expect(list.map((e) => `${e.kind} ${e.session.id}`)).toEqual(['failed s2', 'failed s1', 'ended s9', 'ended s8']);
});

describe('what a question is about is said, whatever its input is', () => {
  test.each<[unknown, string]>([
    [{ command: 'rm -rf x', description: 'd' }, 'rm -rf x'],
    [{ command: ['ls', '-l'] }, 'ls -l'],
    [{ file_path: '/a' }, '/a'],
    [{ question: 'Which?', path: '/a' }, 'Which?'],
    [{ questions: [{ question: 'Which?', options: [{ label: 'A' }] }, { question: 'When?' }] }, 'Which? When?'],
    [{ odd: 1 }, '{"odd":1}'],
    ['text', 'text'],
    [{}, ''], [null, ''], [undefined, ''], [5, ''],
  ])('%j', (input, want) => expect(subject(input)).toBe(want));
});

test('choices are buttons only when they are choices, the primary one first', () => {
  expect(choicesOf([{ label: 'Yes', value: 'y' }, 'No', { value: 'later', primary: true }, null, 7, { label: 'Also', primary: true }])).toEqual([
    { label: 'later', value: 'later', primary: true },
    { label: 'Yes', value: 'y', primary: false },
    { label: 'Also', value: 'Also', primary: false },
  ]);
  for (const odd of [undefined, null, 'x', {}, 5]) expect(choicesOf(odd)).toEqual([]);
});
