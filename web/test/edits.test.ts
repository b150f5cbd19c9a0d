import { describe, expect, it } from 'vitest';
import { compare, hunksOf } from '../src/parts/Diff';
import { editsOf } from '../src/session/edits';
import { random } from './random';

const add = { path: 'a.txt', before: '', after: 'new\n' };
const swap = { path: 'a.txt', before: 'old', after: 'new' };

describe('edits are found in the shape of', () => {
  it.each([
    ['Claude Edit', 'Edit', { file_path: 'a.txt', old_string: 'old', new_string: 'new', replace_all: false }, undefined, [swap]],
    ['Claude MultiEdit', 'MultiEdit', { file_path: 'a.txt', edits: [{ old_string: 'old', new_string: 'new' }, { old_string: 'x', new_string: '' }] }, undefined, [swap, { path: 'a.txt', before: 'x', after: '' }]],
    ['Claude Write', 'Write', { file_path: 'a.txt', content: 'new\n' }, undefined, [add]],
    ['a notebook', 'NotebookEdit', { notebook_path: 'a.txt', new_source: 'new\n' }, undefined, [add]],
    ['Gemini replace', 'replace', { file_path: 'a.txt', old_string: 'old', new_string: 'new' }, undefined, [swap]],
    ['Gemini write_file', 'write_file', { file_path: 'a.txt', content: 'new\n' }, undefined, [add]],
    ['opencode edit', 'edit', { filePath: 'a.txt', oldString: 'old', newString: 'new' }, undefined, [swap]],
    ['the text editor tool', 'str_replace_based_edit_tool', { command: 'str_replace', path: 'a.txt', old_str: 'old', new_str: 'new' }, undefined, [swap]],
    ['its create', 'str_replace_based_edit_tool', { command: 'create', path: 'a.txt', file_text: 'new\n' }, undefined, [add]],
    ['Codex file_change, a diff', 'file_change', { changes: [{ path: 'a.txt', kind: { type: 'update' }, diff: '@@ -1 +1 @@\n-old\n+new\n' }] }, undefined, [{ path: 'a.txt', patch: '@@ -1 +1 @@\n-old\n+new\n' }]],
    ['Codex file_change, kind as word, text of a new file', 'file_change', { changes: [{ path: 'a.txt', kind: 'add', diff: 'new\n' }] }, undefined, [add]],
    ['Codex file_change without content', 'file_change', { changes: [{ path: 'a.txt', kind: 'update' }] }, undefined, [{ path: 'a.txt', patch: '' }]],
    ['Codex changes by path', 'apply_patch', { changes: { 'a.txt': { update: { unified_diff: '@@ -1 +1 @@\n-old\n+new\n' } }, 'b.txt': { add: { content: 'b\n' } } } }, undefined, [{ path: 'a.txt', patch: '@@ -1 +1 @@\n-old\n+new\n' }, { path: 'b.txt', before: '', after: 'b\n' }]],
    ['Codex changes in the output', 'file_change', null, { changes: [{ path: 'a.txt', kind: 'delete', diff: 'gone\n' }] }, [{ path: 'a.txt', before: 'gone\n', after: '' }]],
    ['a patch in an envelope', 'apply_patch', { input: '*** Begin Patch\n*** Update File: a.txt\n@@\n-old\n+new\n*** Add File: b.txt\n+b\n*** Delete File: c.txt\n*** End Patch' }, undefined, [{ path: 'a.txt', patch: '@@\n-old\n+new' }, { path: 'b.txt', before: '', after: 'b' }, { path: 'c.txt', patch: '' }]],
    ['a patch as the whole input', 'apply_patch', '*** Begin Patch\n*** Update File: a.txt\n*** Move to: b.txt\n-old\n+new\n*** End Patch', undefined, [{ path: 'a.txt → b.txt', patch: '-old\n+new' }]],
    ['a unified patch of two files', 'patch', { patch: '--- a/a.txt\n+++ b/a.txt\n@@ -1 +1 @@\n-old\n+new\n--- a/b.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-b\n' }, undefined, [{ path: 'a.txt', patch: '--- a/a.txt\n+++ b/a.txt\n@@ -1 +1 @@\n-old\n+new\n' }, { path: 'b.txt', patch: '--- a/b.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-b\n' }]],
    ['ACP content', 'edit', { path: 'x' }, [{ type: 'diff', path: 'a.txt', oldText: 'old', newText: 'new' }], [swap]],
    ['ACP content of a new file', 'edit', undefined, { content: [{ type: 'diff', path: 'a.txt', oldText: null, newText: 'new\n' }] }, [add]],
    ['opencode metadata', 'edit', {}, { metadata: { diff: '--- a.txt\n+++ a.txt\n@@ -1 +1 @@\n-old\n+new\n' } }, [{ path: 'a.txt', patch: '--- a.txt\n+++ a.txt\n@@ -1 +1 @@\n-old\n+new\n' }]],
  ])('%s', (_, name, input, output, want) => {
    expect(editsOf(name as string, input, output)).toEqual(want);
  });

  it.each([
    ['Read', { file_path: 'a.txt' }, 'content'],
    ['Bash', { command: 'diff a b' }, '--- nothing'],
    ['Task', { description: 'x', prompt: 'before and after' }, undefined],
    ['WebSearch', { query: 'x', content: 'x' }, undefined],
    ['odd', null, null],
    ['odd', [1, 2], [[]]],
    ['odd', { changes: 7, edits: 'x' }, { changes: [null, 3] }],
  ])('nothing that is none: %s %j', (name, input, output) => {
    expect(editsOf(name, input, output)).toEqual([]);
  });
});

describe('differences', () => {
  it('give back both sides, whatever they are', () => {
    for (let seed = 1; seed <= 300; seed++) {
      const dice = random(seed);
      const text = () => Array.from({ length: Math.floor(dice() * 30) }, () => ['a', 'b', 'c', '', '  d'][Math.floor(dice() * 5)]).join('\n');
      const [before, after] = [text(), text()];
      const lines = compare(before, after).flat();
      const patched = apply(before, lines);
      expect(patched, `seed ${seed}`).toBe(after.replace(/\n$/, ''));
    }
  });

  it('mark the words that changed, not the line', () => {
    const [hunk] = compare('const a = first(x, y);\n', 'const a = second(x, y);\n');
    const [gone, came] = hunk!;
    expect(gone!.marks!.map(([from, to]) => gone!.text.slice(from, to))).toEqual(['first']);
    expect(came!.marks!.map(([from, to]) => came!.text.slice(from, to))).toEqual(['second']);
  });

  it('of two large unlike texts are given up for both texts, in no time', () => {
    const one = Array.from({ length: 30_000 }, (_, i) => `a${(i * 7919) % 30_011}`).join('\n');
    const two = Array.from({ length: 30_000 }, (_, i) => `b${(i * 104_729) % 30_011}`).join('\n');
    const began = performance.now();
    const lines = compare(one, two).flat();
    expect(performance.now() - began).toBeLessThan(3_000);
    expect(lines.length).toBe(60_000);
  });

  it('are read from patches with numbers, without, and from what is none', () => {
    expect(hunksOf('@@ -3,2 +3,2 @@\n keep\n-old\n+new\n')[0]!.map((l) => [l.sign, l.text, l.old, l.now])).toEqual([[' ', 'keep', 3, 3], ['-', 'old', 4, undefined], ['+', 'new', undefined, 4]]);
    expect(hunksOf('@@ func\n keep\n-old\n+new')[0]!.map((l) => l.sign + l.text)).toEqual([' keep', '-old', '+new']);
    expect(hunksOf('just text').flat().map((l) => l.sign + l.text)).toEqual([' just text']);
    expect(hunksOf('')).toEqual([[{ sign: ' ', text: '', old: undefined, now: undefined }]]);
  });
});

/** The text before with the lines of a difference applied. */
function apply(before: string, lines: ReturnType<typeof compare>[number]): string {
  const old = before.replace(/\n$/, '').split('\n');
  const made: string[] = [];
  let at = 1;
  for (const line of lines) {
    const to = line.old ?? (line.now === undefined ? at : at + Math.max(0, line.now - made.length - 1));
    while (at < to) made.push(old[at++ - 1]!);
    if (line.sign !== '+') at++;
    if (line.sign !== '-') made.push(line.text);
  }
  while (at <= old.length && before !== '') made.push(old[at++ - 1]!);
  return made.join('\n');
}
