import { expect, test } from 'vitest';
import { titleMax, titleOf } from '../src/sessions/title';

test.each<[string, string]>([
  ['Fix the build', 'Fix the build'],
  ['\n\n  \t\n  Second line counts \nthird', 'Second line counts'],
  ['# A **bold** `plan`', 'A bold plan'],
  ['> - [ ] 1. tick me', 'tick me'],
  ['```ts\nconst a = 1', 'const a = 1'],
  ['---\n***\nBelow the rule', 'Below the rule'],
  ['See [the docs](https://example.com/a) and ![a picture](x.png)', 'See the docs and a picture'],
  ['rename snake_case_name in src/*.ts and __init__.py, 2 * 3 * 4', 'rename snake_case_name in src/*.ts and __init__.py, 2 * 3 * 4'],
  ['#include is no heading', '#include is no heading'],
  ['-v is no list', '-v is no list'],
  ['a\u0000b\u001b[31mc\u202Ed', 'a b [31mcd'],
  ['half \uD83D a pair', 'half a pair'],
  ['windows\r\nlines', 'windows'],
  ['', ''], [' \n```\n', ''],
])('%j is called %j', (prompt, want) => expect(titleOf(prompt)).toBe(want));

test('a long line is cut between characters, and fits what the server takes', () => {
  const title = titleOf('👩‍💻🎉'.repeat(1_000));
  expect([...title]).toHaveLength(titleMax);
  expect(title).not.toMatch(/\p{Cs}/u);
  expect(new TextEncoder().encode(title).length).toBeLessThanOrEqual(512);
  expect(titleOf('x'.repeat(80))).toBe('x'.repeat(80));
});

test('a hostile line takes no time', () => {
  const began = performance.now();
  for (const mark of ['[', '*', '> ', '_a', '**a ', '`', '- ', '![](']) titleOf(mark.repeat(50_000));
  expect(performance.now() - began).toBeLessThan(1_000);
});
