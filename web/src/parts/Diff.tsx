import { diffWordsWithSpace, parsePatch, structuredPatch, type StructuredPatchHunk } from 'diff';
import { useMemo, useState } from 'preact/hooks';
import { CopyButton } from './CopyButton';
import { inOrder, plural } from './format';
import { memo } from './memo';
import './content.css';

/** Characters of one side that are compared; beyond it the two texts are shown as they are. */
export const diffChars = 400_000;
/** What the search for a short difference may take; two unlike texts would cost seconds. */
const editsMax = 2_000;
const searchMs = 200;
/** Lines that are shown before somebody asks for all. */
export const diffLinesShown = 80;
/** Characters of a line in which single words are marked. */
const wordsMax = 500;
const context = 3;

/** The difference of two texts, as of a file that was edited. */
export const Diff = memo(({ before, after, path }: { before: string; after: string; path: string }) => {
  const hunks = useMemo(() => compare(inOrder(before), inOrder(after)), [before, after]);
  return <Hunks hunks={hunks} path={path} copy={after} />;
});

/** A difference as it was printed (unified, or the patches of agents). What is none is shown as it is. */
export const Patch = memo(({ patch, path }: { patch: string; path: string }) => {
  const hunks = useMemo(() => hunksOf(inOrder(patch)), [patch]);
  return <Hunks hunks={hunks} path={path} copy={patch} />;
});

export interface DiffLine {
  sign: '+' | '-' | ' ';
  text: string;
  old: number | undefined;
  now: number | undefined;
  /** What of the line is another than in the line it took the place of. */
  marks?: [from: number, to: number][];
}
export type Hunk = DiffLine[];

/** The hunks between two texts, with some lines around. */
export function compare(before: string, after: string): Hunk[] {
  const from = before.replace(/\r\n/g, '\n');
  const to = after.replace(/\r\n/g, '\n');
  const patch =
    from.length > diffChars || to.length > diffChars ? undefined : structuredPatch('', '', from, to, '', '', { context, maxEditLength: editsMax, timeout: searchMs });
  if (patch) return patch.hunks.map(numbered);
  return [[...whole(from, '-'), ...whole(to, '+')]];
}

function whole(text: string, sign: '+' | '-'): DiffLine[] {
  return text === '' ? [] : text.replace(/\n$/, '').split('\n').map((line, i) => ({ sign, text: line, old: sign === '-' ? i + 1 : undefined, now: sign === '+' ? i + 1 : undefined }));
}

/** The hunks of a printed difference; of anything else one hunk without signs. */
export function hunksOf(patch: string): Hunk[] {
  const text = patch.replace(/\r\n/g, '\n');
  try {
    const hunks = parsePatch(text).flatMap((file) => file.hunks);
    if (hunks.length > 0) return hunks.map(numbered);
  } catch {
    // Not a unified one; read by its signs below.
  }
  return loose(text);
}

/** Patches of agents have "@@" without numbers, or none. */
function loose(text: string): Hunk[] {
  const hunks: Hunk[] = [[]];
  for (const line of text.replace(/\n$/, '').split('\n')) {
    if (line.startsWith('@@')) hunks.push([]);
    else if (!/^(\*\*\* |--- |\+\+\+ |diff |index )/.test(line)) {
      const sign = line[0] === '+' || line[0] === '-' ? line[0] : ' ';
      hunks.at(-1)!.push({ sign, text: sign === ' ' ? line.replace(/^ /, '') : line.slice(1), old: undefined, now: undefined });
    }
  }
  return hunks.filter((h) => h.length > 0).map(marked);
}

function numbered(hunk: StructuredPatchHunk): Hunk {
  let old = hunk.oldStart;
  let now = hunk.newStart;
  const lines: Hunk = [];
  for (const line of hunk.lines) {
    const sign = line[0];
    if (sign === '\\') continue;
    lines.push({ sign: sign === '+' || sign === '-' ? sign : ' ', text: line.slice(1), old: sign === '+' ? undefined : old++, now: sign === '-' ? undefined : now++ });
  }
  return marked(lines);
}

/** Marks the words that changed, where as many lines went as came. */
function marked(lines: Hunk): Hunk {
  for (let i = 0; i < lines.length; ) {
    const gone = run(lines, i, '-');
    const came = run(lines, i + gone, '+');
    if (gone > 0 && gone === came) for (let n = 0; n < gone; n++) markPair(lines[i + n]!, lines[i + gone + n]!);
    i += gone + came || 1;
  }
  return lines;
}

function run(lines: Hunk, from: number, sign: string): number {
  let n = 0;
  while (lines[from + n]?.sign === sign) n++;
  return n;
}

function markPair(a: DiffLine, b: DiffLine): void {
  if (a.text.length > wordsMax || b.text.length > wordsMax) return;
  const parts = diffWordsWithSpace(a.text, b.text);
  const same = parts.reduce((n, p) => (p.added || p.removed ? n : n + p.value.trim().length), 0);
  // Lines with little in common are two lines, not one that was edited.
  if (same * 3 < Math.max(a.text.trim().length, b.text.trim().length)) return;
  a.marks = [];
  b.marks = [];
  let [x, y] = [0, 0];
  for (const part of parts) {
    const length = part.value.length;
    if (part.removed) a.marks.push([x, (x += length)]);
    else if (part.added) b.marks.push([y, (y += length)]);
    else [x, y] = [x + length, y + length];
  }
}

function Hunks({ hunks, path, copy }: { hunks: readonly Hunk[]; path: string; copy: string }) {
  const [all, setAll] = useState(false);
  const total = hunks.reduce((n, h) => n + h.length, 0);
  const added = hunks.reduce((n, h) => n + h.filter((l) => l.sign === '+').length, 0);
  const removed = hunks.reduce((n, h) => n + h.filter((l) => l.sign === '-').length, 0);
  const rows = (all ? hunks : firstLines(hunks, diffLinesShown)).filter((h) => h.length > 0);
  return (
    <figure class="diff">
      <figcaption>
        <span class="diff-path">{path || 'edit'}</span>
        <span class="diff-count" aria-label={`${plural(added, 'line')} added, ${removed} removed`}>
          <b class="added">+{added}</b> <b class="removed">−{removed}</b>
        </span>
        <CopyButton text={copy} label="Copy the result" />
      </figcaption>
      {total === 0 ? (
        <p class="diff-none">Nothing changed.</p>
      ) : (
        <div class="diff-scroll" tabIndex={0} role="region" aria-label={`Changes of ${path || 'a text'}`}>
          <table>
            {rows.map((hunk, i) => (
              <tbody key={i}>{hunk.map((line, n) => <Line key={n} line={line} />)}</tbody>
            ))}
          </table>
        </div>
      )}
      {!all && total > diffLinesShown && (
        <button type="button" class="show-all" onClick={() => setAll(true)}>
          Show all {plural(total, 'line')}
        </button>
      )}
    </figure>
  );
}

function firstLines(hunks: readonly Hunk[], most: number): Hunk[] {
  let left = most;
  return hunks.map((hunk) => {
    const part = hunk.slice(0, Math.max(0, left));
    left -= hunk.length;
    return part;
  });
}

function Line({ line }: { line: DiffLine }) {
  return (
    <tr class={line.sign === '+' ? 'added' : line.sign === '-' ? 'removed' : ''}>
      <td class="diff-number">{line.old}</td>
      <td class="diff-number">{line.now}</td>
      <td class="diff-sign">{line.sign}</td>
      <td class="diff-text">{line.marks ? withMarks(line.text, line.marks) : line.text}</td>
    </tr>
  );
}

function withMarks(text: string, marks: [number, number][]) {
  const parts = [];
  let at = 0;
  for (const [from, to] of marks) {
    parts.push(text.slice(at, from), <mark key={from}>{text.slice(from, to)}</mark>);
    at = to;
  }
  parts.push(text.slice(at));
  return parts;
}
