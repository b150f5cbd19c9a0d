// What a tool did to files, out of the shapes in which the agents say it.

/** One file as it was edited: both sides, or a printed difference. */
export type FileEdit = { path: string; before: string; after: string } | { path: string; patch: string };

/** Files of one tool call that are shown as differences. */
export const editsMax = 100;

type Fields = Record<string, unknown>;

/** The edits of a tool's input or, where only that says it, its output. Empty when it edited nothing that can be shown. */
export function editsOf(name: string, input: unknown, output: unknown): FileEdit[] {
  const found = [...ofInput(name, input)];
  if (found.length === 0) found.push(...ofChanges(input), ...ofContent(output), ...ofChanges(output));
  if (found.length === 0) found.push(...ofOutput(output));
  return found.slice(0, editsMax);
}

function* ofInput(name: string, input: unknown): Generator<FileEdit> {
  if (typeof input === 'string') return yield* ofPatch(input);
  const fields = record(input);
  if (!fields) return;
  const path = pathOf(fields);
  const list = fields.edits;
  if (Array.isArray(list)) {
    for (const one of list) yield* pair(record(one), path);
    return;
  }
  const before = yield* pair(fields, path);
  if (before) return;
  const text = text1(fields, ['patch', 'patchText', 'diff', 'unified_diff']) ?? (/patch/i.test(name) ? text1(fields, ['input']) : undefined);
  if (text !== undefined) return yield* ofPatch(text, path);
  // A file that was written whole; only of tools that write, since others have contents too.
  const whole = text1(fields, ['content', 'file_text', 'new_source', 'contents']);
  if (whole !== undefined && path && /write|create|notebook|str_replace|save/i.test(name)) yield { path, before: '', after: whole };
  yield* ofContent(fields.content);
}

/** Old and new text under any of their names; true when there were some. */
function* pair(fields: Fields | undefined, path: string): Generator<FileEdit, boolean> {
  if (!fields) return false;
  const before = text1(fields, ['old_string', 'oldString', 'old_str', 'oldText', 'old_text', 'before']);
  const after = text1(fields, ['new_string', 'newString', 'new_str', 'newText', 'new_text', 'after', 'insert_text']);
  if (after === undefined && before === undefined) return false;
  yield { path: pathOf(fields) || path, before: before ?? '', after: after ?? '' };
  return true;
}

/** Lists of changes per file: an array, or an object by path. */
function* ofChanges(value: unknown): Generator<FileEdit> {
  const changes = record(value)?.changes;
  if (Array.isArray(changes)) {
    for (const change of changes) yield* ofChange(record(change), pathOf(record(change) ?? {}));
  } else if (record(changes)) {
    for (const [path, change] of Object.entries(changes as Fields)) yield* ofChange(record(change), path);
  }
}

function* ofChange(change: Fields | undefined, path: string): Generator<FileEdit> {
  if (!change) return;
  const kind = record(change.kind);
  const type = String(kind?.type ?? change.kind ?? change.type ?? '');
  const patch = text1(change, ['diff', 'unified_diff', 'patch']);
  if (patch !== undefined) return yield whole(type, path, patch);
  if (yield* pair(change, path)) return;
  for (const [word, inner] of Object.entries(change)) {
    const fields = record(inner);
    const text = fields && text1(fields, ['unified_diff', 'diff', 'content']);
    if (text !== undefined) return yield whole(word, path, text);
  }
  const content = text1(change, ['content']);
  if (content !== undefined) return yield whole(type || 'add', path, content);
  // Only that it was changed is known.
  if (path) yield { path, patch: '' };
}

/** Of a file that is new or gone some agents give the text alone, not a difference. */
function whole(type: string, path: string, text: string): FileEdit {
  if (text.includes('@@')) return { path, patch: text };
  if (/^add|create/.test(type)) return { path, before: '', after: text };
  if (/^del|remove/.test(type)) return { path, before: text, after: '' };
  return { path, patch: text };
}

/** Blocks of content that are differences. */
function* ofContent(value: unknown): Generator<FileEdit> {
  const list = Array.isArray(value) ? value : Array.isArray(record(value)?.content) ? (record(value)!.content as unknown[]) : [];
  for (const one of list) {
    const block = record(one);
    if (block?.type === 'diff') yield* pair(block, pathOf(block));
  }
}

/** What tools report of what they did. */
function* ofOutput(output: unknown): Generator<FileEdit> {
  const fields = record(output);
  const meta = record(fields?.metadata) ?? fields;
  if (!meta) return;
  const path = pathOf(meta);
  const text = text1(meta, ['diff', 'fileDiff', 'patch', 'unified_diff']);
  if (text !== undefined && /^(@@|[-+]{3} |\*\*\* )/m.test(text)) yield* ofPatch(text, path);
}

const fileLine = /^\*\*\* (Add|Update|Delete) File: (.*)$/;

/** A patch of one or several files: the envelope of agents ("*** Update File: …"), or a unified one. */
function* ofPatch(text: string, path = ''): Generator<FileEdit> {
  if (/^\*\*\* (Begin Patch|(Add|Update|Delete) File: )/m.test(text)) return yield* ofEnvelope(text);
  const files = text.split(/^(?=diff --git |--- [^\n]*\n\+\+\+ )/m).filter((part) => /^@@|^[-+]/m.test(part));
  for (const part of files) {
    const named = /^\+\+\+ (?:b\/)?([^\t\n]+)/m.exec(part)?.[1];
    const old = /^--- (?:a\/)?([^\t\n]+)/m.exec(part)?.[1];
    if (/^@@/m.test(part)) yield { path: (named === '/dev/null' ? old : named) ?? path, patch: part };
  }
}

function* ofEnvelope(text: string): Generator<FileEdit> {
  let open: { kind: string; path: string; lines: string[] } | undefined;
  const done = function* (): Generator<FileEdit> {
    if (!open) return;
    const body = open.lines.join('\n');
    if (open.kind === 'Add') yield { path: open.path, before: '', after: open.lines.map((l) => l.replace(/^\+/, '')).join('\n') };
    else yield { path: open.path, patch: open.kind === 'Delete' && body === '' ? '' : body };
  };
  for (const line of text.split('\n')) {
    const file = fileLine.exec(line.trimEnd());
    if (file) {
      yield* done();
      open = { kind: file[1]!, path: file[2]!, lines: [] };
    } else if (line.startsWith('*** Move to: ') && open) open.path += ` → ${line.slice(13).trim()}`;
    else if (open && !line.startsWith('*** ')) open.lines.push(line);
  }
  yield* done();
}

export function record(value: unknown): Fields | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
}

/** The first of the members that is a text. */
export function text1(fields: Fields, names: readonly string[]): string | undefined {
  for (const name of names) if (typeof fields[name] === 'string') return fields[name];
  return undefined;
}

export function pathOf(fields: Fields): string {
  return text1(fields, ['file_path', 'filePath', 'path', 'notebook_path', 'abs_path', 'file', 'filename']) ?? '';
}
