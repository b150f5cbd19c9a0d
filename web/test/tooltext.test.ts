import { describe, expect, it } from 'vitest';
import { hasAnsi, pieces, withoutAnsi } from '../src/parts/ansi';
import { decode, localPath } from '../src/parts/Image';
import { lineCount, start } from '../src/parts/Code';
import { commandOf, inputShort, readOutput } from '../src/session/tooltext';
import { todosOf } from '../src/session/Tool';

describe('the input in a line', () => {
  it.each([
    [{ command: 'go test ./...', description: 'Run' }, 'go test ./...'],
    [{ command: ['bash', '-lc', 'ls -l'] }, 'ls -l'],
    [{ command: "/bin/bash -lc 'cat missing.txt'" }, 'cat missing.txt'],
    [{ cmd: ['git', 'status'] }, 'git status'],
    [{ file_path: '/a/b.go', offset: 3 }, '/a/b.go'],
    [{ pattern: 'x', path: 'store' }, 'store'],
    [{ changes: [{ path: 'a' }, { path: 'b' }] }, 'a, b'],
    ['plain', 'plain'],
    [undefined, ''],
    [{}, ''],
    [[1], '[1]'],
  ])('%j is %j', (input, want) => expect(inputShort(input)).toBe(want));

  it('is what was streamed while there is no whole one', () => expect(inputShort(undefined, '{"comm')).toBe('{"comm'));
  it('does not take a shell with variables apart', () => expect(commandOf({ command: 'bash -c "echo $X"' })).toBe('bash -c "echo $X"'));
});

describe('an output', () => {
  const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } };
  it.each([
    ['text', 'text'],
    [[{ type: 'text', text: 'a' }, { type: 'text', text: 'b' }], 'a\nb'],
    [[{ type: 'content', content: { type: 'text', text: 'acp' } }], 'acp'],
    [{ content: [{ type: 'text', text: 'mcp' }], isError: false }, 'mcp'],
    [{ stdout: 'out', stderr: 'err', interrupted: false, isImage: false }, 'out\nerr'],
    [{ aggregated_output: 'out', exit_code: 2 }, 'out'],
    [null, ''],
    [42, '42'],
  ])('%j reads as %j', (output, text) => expect(readOutput(output)).toMatchObject({ text, rest: undefined }));

  it('has its exit code and images', () => {
    expect(readOutput({ aggregated_output: 'x', exit_code: 2 }).exit).toBe(2);
    expect(readOutput([image, { type: 'text', text: 'seen' }])).toMatchObject({ text: 'seen', images: [{ url: 'data:image/png;base64,AAAA' }] });
  });

  it('that cannot be read is there whole, as JSON', () => {
    for (const output of [{ a: 1 }, [{ type: 'resource', uri: 'x' }], { stdout: 'x', other: 1 }, [1, 2]]) expect(readOutput(output).rest).toBe(output);
  });
});

describe('terminal colours', () => {
  it('become classes, and everything else goes', () => {
    expect(pieces('\x1b[1;31mbad\x1b[0m ok \x1b[38;5;2mgreen\x1b[39m \x1b[38;2;1;2;3mrgb\x1b[m')).toEqual([
      { text: 'bad', style: 'ansi-bold ansi-red' }, { text: ' ok ', style: '' }, { text: 'green', style: 'ansi-green' }, { text: ' rgb', style: '' },
    ]);
    expect(withoutAnsi('\x1b]0;title\x07a\x1b[2K\x1b[1Ab\x1b(B\x00c\x1b]8;;https://x\x1b\\link')).toBe('abclink');
    expect(hasAnsi('plain\ttext\n')).toBe(false);
  });

  it('of a progress bar leave its last state', () => expect(withoutAnsi('10%\r50%\r100%\ndone\r\n')).toBe('100%\ndone\n'));

  it('keep what was written last of a line that is written again and again', () => {
    expect(withoutAnsi('1 %\r50 %\r100 %\r\nnext\r\n10 %\r20 %\r')).toBe('100 %\nnext\n20 %');
    const began = performance.now();
    for (const text of [`a\rb\n${'x'.repeat(300_000)}`, `${'\r'.repeat(300_000)}x`]) expect(withoutAnsi(text)).toContain('x');
    expect(performance.now() - began).toBeLessThan(1_500);
  });

  it('never lose a letter and never take long', () => {
    const text = '\x1b['.repeat(50_000) + 'x'.repeat(10) + '\x1b]' + 'y'.repeat(100_000);
    const began = performance.now();
    expect(withoutAnsi(text)).toContain('y');
    expect(performance.now() - began).toBeLessThan(1_500);
  });
});

describe('images', () => {
  it('are shown of this server and as allowed pixels only', async () => {
    const blob = `/v1/blobs/${'0a'.repeat(32)}`;
    expect(localPath(blob)).toBe(blob);
    // A stream would never end, and hold a connection of the browser.
    for (const url of ['/v1/blobs/abc', '/v1/sessions/s1/sse', `${blob}/x`, '//evil.example/v1/x', 'https://evil.example/v1/a', '/v1/../x', '/v1//evil', '\\\\evil', '/other', 'javascript:1', '/v1/blobs/a?x']) expect(localPath(url), url).toBeUndefined();
    expect(decode('data:image/png;base64,AAAA')?.type).toBe('image/png');
    for (const url of ['data:image/svg+xml;base64,AAAA', 'data:text/html;base64,AAAA', 'data:image/png,AAAA', 'data:image/png;base64,%%%', 'data:image/PNG;base64,AAAA']) expect(decode(url), url).toBeUndefined();
  });
});

it('long text is cut at lines, and not for the sake of a few', () => {
  const text = Array.from({ length: 100 }, (_, i) => `line ${i}`).join('\n');
  expect(lineCount(start(text, 24, 6_000))).toBe(24);
  expect(start(text, 98, 60_000)).toBe(text);
  expect(start('x'.repeat(10_000), 24, 6_000)).toHaveLength(6_000);
  expect(lineCount('a\nb\n')).toBe(2);
});

it('lists of things to do are read from several agents, and nothing else is', () => {
  expect(todosOf({ todos: [{ content: 'a', status: 'completed' }, { content: 'b', status: 'in_progress' }] })).toEqual([{ text: 'a', state: 'done' }, { text: 'b', state: 'active' }]);
  expect(todosOf({ plan: [{ step: 'a', status: 'pending' }] })).toEqual([{ text: 'a', state: 'pending' }]);
  expect(todosOf({ items: [{ text: 'a', completed: true }] })).toEqual([{ text: 'a', state: 'done' }]);
  expect(todosOf({ items: [{ name: 'x' }] })).toBeUndefined();
  expect(todosOf({ items: ['x'] })).toBeUndefined();
});
