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
