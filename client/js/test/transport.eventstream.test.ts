// Event streams, cut anywhere.
import { expect, test } from 'vitest';
import { EventStream } from '../src/transports/eventstream.js';
import { random } from './rig.js';

const read = (chunks: Uint8Array[]) => {
  const got: string[] = [];
  const stream = new EventStream((data) => got.push(data));
  for (const c of chunks) stream.push(c);
  return got;
};
const bytes = (text: string) => new TextEncoder().encode(text);

test.each([
  ['line feeds', 'data: a\n\ndata: b\n\n', ['a', 'b']],
  ['carriage returns', 'data: a\r\rdata: b\r\r', ['a', 'b']],
  ['both', 'data: a\r\n\r\ndata: b\r\n\r\n', ['a', 'b']],
  ['several lines', 'data: a\ndata:b\ndata\ndata: \n\n', ['a\nb\n\n']],
  ['comments, ids, names and retry', ':beat\n\nretry: 2000\n\nid: 4\nevent: hello\ndata: {}\n\n: x\n', ['{}']],
  ['a mark at the beginning', '\uFEFFdata: a\n\n', ['a']],
  ['an event that has not ended', 'data: a\n\ndata: b\n', ['a']],
  ['fields that only look like data', 'dataset: x\nDATA: y\n data: z\n\ndata: a\n\n', ['a']],
  ['one space only is taken away', 'data:  a\n\n', [' a']],
])('%s', (_, text, want) => {
  expect(read([bytes(text)])).toEqual(want);
  expect(read([...bytes(text)].map((b) => Uint8Array.of(b)))).toEqual(want);
});

test('chunks may be cut within characters, line ends and lines', () => {
  const words = ['', 'a', 'Grüße', '漢字', '👩‍🚀', ' leading', 'x'.repeat(300), '{"data":"\\n"}', ':', 'data:'];
  for (let seed = 1; seed <= 500; seed++) {
    const next = random(seed);
    const pick = <T>(list: readonly T[]) => list[Math.floor(next() * list.length)]!;
    const want: string[] = [];
    let text = next() < 0.3 ? '\uFEFF' : '';
    const end = () => pick(['\n', '\r\n', '\r']);
    for (let i = 0; i < 1 + next() * 20; i++) {
      const lines = Array.from({ length: 1 + Math.floor(next() * 3) }, () => pick(words));
      if (next() < 0.3) text += ':' + pick(words) + end();
      if (next() < 0.5) text += `id: ${i}` + end();
      for (const line of lines) text += (line[0] === ' ' || next() < 0.7 ? 'data: ' : 'data:') + line + end();
      if (next() < 0.3) text += 'event: x' + end();
      // A lone CR that ends the event must not join a LF that begins the next line.
      text += text.endsWith('\r') ? '\r' : end();
      want.push(lines.join('\n'));
    }
    const all = bytes(text);
    const chunks: Uint8Array[] = [];
    for (let i = 0; i < all.length; ) {
      const n = Math.floor(next() * pick([2, 5, 40]));
      chunks.push(all.subarray(i, i + n));
      i += n;
    }
    expect(read(chunks), `seed ${seed}`).toEqual(want);
  }
});

test('a line without end is given up before it takes the memory', () => {
  const stream = new EventStream(() => {});
  const chunk = new Uint8Array(8 << 20).fill(97);
  expect(() => {
    for (let i = 0; i < 10; i++) stream.push(chunk);
  }).toThrow(/does not end/);
});
