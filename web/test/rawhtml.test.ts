import { expect, test } from 'vitest';
import { plainTags } from '../src/parts/rawhtml';

test.each([
  ['<b>bold</b>', '<b>bold</b>'],
  ['<script>alert(1)</script>', '&lt;script&gt;alert(1)&lt;/script&gt;'],
  ['<!-- a note -->', '&lt;!-- a note --&gt;'],
  ['Vec<T> <kbd onclick="x()">Esc</kbd>', 'Vec&lt;T&gt; <kbd>Esc</kbd>'],
  ['<img src="https://example.com/a.png" alt="a">', '<a href="https://example.com/a.png">a</a>'],
  ['<script', '&lt;script'],
])('nothing that was written vanishes, and no tag that is not allowed stands: %s', (html, want) => {
  expect(plainTags(html)).toBe(want);
});

test.each([
  ['spaces', `<div${' '.repeat(4_000)}"`],
  ['slashes', `<div${'/'.repeat(4_000)}"`],
  ['values with slashes', `<a${' b=c/d=e/f'.repeat(4_000)}"`],
  ['beginnings', '<a b '.repeat(20_000)],
  ['values that do not end', '<a b="'.repeat(20_000)],
  ['spaces before a value that never comes', `<a b${' '.repeat(20_000)}`],
])('a tag that never ends takes no time that anybody notices, however many %s it has', (_, html) => {
  const began = performance.now();
  expect(plainTags(html)).not.toBe('');
  expect(performance.now() - began).toBeLessThan(2_000);
});

test('attributes are read as a browser reads them', () => {
  expect(plainTags('<a title=x/y href="https://e.example/?a=b">')).toBe('<a title="x/y" href="https://e.example/?a=b">');
  expect(plainTags('<br/><hr />')).toBe('<br><hr>');
  expect(plainTags('<details open><td align=left/>')).toBe('<details open=""><td align="left/">');
});
