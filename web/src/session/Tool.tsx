import type { ToolItem } from '@konlog/client/view';
import { useMemo } from 'preact/hooks';
import { Code } from '../parts/Code';
import { Diff, Patch } from '../parts/Diff';
import { clip, duration, plural } from '../parts/format';
import { languageOf } from '../parts/highlight';
import { Image } from '../parts/Image';
import { Json } from '../parts/Json';
import { Output } from '../parts/Output';
import { editsOf, type FileEdit, record } from './edits';
import { useFold, useView } from './hooks';
import { ItemView } from './ItemView';
import { Permalink } from './Permalink';
import { commandOf, inputShort, readOutput } from './tooltext';

/** Items of a subagent that are shown before somebody asks for more. */
export const childrenShown = 50;

const states = { running: 'running', done: 'done', failed: 'failed', ended: 'no result' } as const;

/** What a tool was asked and what it gave: a line, and all of it when it is opened. Failures and small edits are open by themselves. */
export function Tool({ item, focus }: { item: ToolItem; focus?: number }) {
  const edits = useMemo(() => editsOf(item.name, item.input, item.output), [item.name, item.input, item.output]);
  const [open, toggle] = useFold(`i${item.id}`, item.state === 'failed' || focus !== undefined || isSmall(edits));
  const { live } = useView();
  const running = item.state === 'running' && live;
  return (
    <article class={`tool state-${item.state}`} data-item="tool" data-id={item.id} data-tool={item.name} data-state={item.state}>
      <button type="button" class="fold" data-fold aria-expanded={open} onClick={toggle}>
        <span class={`dot ${running ? 'running' : item.state}`} aria-hidden="true" />
        <span class="fold-name">{item.name || 'tool'}</span>
        <span class="fold-short">{clip(inputShort(item.input, item.inputText), 200)}</span>
        <span class="fold-end">
          {edits.length > 0 && <Count edits={edits} />}
          {item.children.length > 0 && <span>{plural(item.children.length, 'step')}</span>}
          {!!item.durationMs && <span>{duration(item.durationMs)}</span>}
          <span class={item.state === 'done' ? 'visually-hidden' : 'tool-state'}>{states[item.state]}</span>
        </span>
      </button>
      {open ? (
        <div class="fold-body">
          <ToolBody item={item} edits={edits} focus={focus} />
        </div>
      ) : (
        item.images.length > 0 && <ToolImages item={item} />
      )}
    </article>
  );
}

/** Characters of an edit that is small enough to be shown unasked. */
const smallEdit = 1_600;

function isSmall(edits: readonly FileEdit[]): boolean {
  const size = edits.reduce((n, e) => n + ('patch' in e ? e.patch.length : e.before.length + e.after.length), 0);
  return size > 0 && size <= smallEdit;
}

function Count({ edits }: { edits: readonly FileEdit[] }) {
  return <span>{edits.length === 1 ? 'edit' : plural(edits.length, 'edit')}</span>;
}

function ToolBody({ item, edits, focus }: { item: ToolItem; edits: readonly FileEdit[]; focus?: number }) {
  return (
    <>
      {item.redacted && <p class="tool-note">What it was asked and gave was redacted.</p>}
      {edits.length > 0 ? edits.map((edit, i) => <Edit key={i} edit={edit} />) : <ToolInput item={item} />}
      {item.children.length > 0 && <Children item={item} focus={focus} />}
      <ToolOutput item={item} edited={edits.length > 0} />
      <ToolImages item={item} />
      <p class="tool-foot">
        <Permalink id={item.id} />
        <span>
          {item.toolId && <code>{item.toolId}</code>} event {item.id}
        </span>
      </p>
    </>
  );
}

function Edit({ edit }: { edit: FileEdit }) {
  if ('patch' in edit) return edit.patch ? <Patch patch={edit.patch} path={edit.path} /> : <p class="tool-note">Changed {edit.path}; how is not in the log.</p>;
  return <Diff before={edit.before} after={edit.after} path={edit.path} />;
}

function ToolInput({ item }: { item: ToolItem }) {
  const fields = record(item.input);
  const command = commandOf(item.input);
  const todos = todosOf(item.input);
  if (todos) return <Todos list={todos} />;
  if (command !== undefined) {
    const said = typeof fields?.description === 'string' ? fields.description : '';
    const rest = others(fields!, ['command', 'cmd', 'script', 'description']);
    return (
      <>
        {said && <p class="tool-note">{said}</p>}
        <Code text={command} language="bash" />
        {rest && <Json value={rest} open={1} />}
      </>
    );
  }
  if (item.input === undefined || item.input === null) return item.inputText ? <Code text={item.inputText} language="json" streaming={item.state === 'running'} /> : null;
  if (typeof item.input === 'string') return item.input ? <Output text={item.input} label="Input" /> : null;
  return fields && Object.keys(fields).length === 0 ? null : <Json value={item.input} />;
}

function others(fields: Record<string, unknown>, without: readonly string[]): Record<string, unknown> | undefined {
  const rest = Object.entries(fields).filter(([name, value]) => !without.includes(name) && value !== null && value !== '');
  return rest.length > 0 ? Object.fromEntries(rest) : undefined;
}

interface Todo {
  text: string;
  state: 'pending' | 'active' | 'done';
}

/** A list of things to do, as several agents have it. */
export function todosOf(input: unknown): Todo[] | undefined {
  const fields = record(input);
  const list = fields?.todos ?? fields?.plan ?? fields?.items;
  if (!Array.isArray(list) || list.length === 0) return undefined;
  const made: Todo[] = [];
  for (const one of list) {
    const entry = record(one);
    const text = entry?.content ?? entry?.text ?? entry?.step ?? entry?.title ?? entry?.description;
    if (typeof text !== 'string' || !entry || !('status' in entry || 'completed' in entry || 'state' in entry)) return undefined;
    const state = String(entry.status ?? entry.state ?? '');
    made.push({ text, state: entry.completed === true || /^(completed|done)$/.test(state) ? 'done' : /progress|active/.test(state) ? 'active' : 'pending' });
  }
  return made;
}

function Todos({ list }: { list: readonly Todo[] }) {
  return (
    <ol class="plan todos">
      {list.map((todo, i) => (
        <li key={i} class={`plan-${todo.state}`}>
          <span aria-hidden="true">{{ pending: '○', active: '◐', done: '●' }[todo.state]}</span>
          <span>
            {todo.text}
            <span class="visually-hidden"> ({todo.state})</span>
          </span>
        </li>
      ))}
    </ol>
  );
}

function ToolOutput({ item, edited }: { item: ToolItem; edited: boolean }) {
  const read = useMemo(() => readOutput(item.output), [item.output]);
  const failed = item.state === 'failed';
  // Of an edit that went well its tool only says so.
  if (edited && !failed && read.rest !== undefined) return null;
  const path = record(item.input) ? languageOf(inputShort(item.input)) : '';
  const source = path && /^(read|view|cat)/i.test(item.name) && !failed && !/^\s*\d+[\t→]/.test(read.text);
  return (
    <>
      {read.text !== '' && (source ? <Code text={read.text} language={path} /> : <Output text={read.text} failed={failed} />)}
      {read.rest !== undefined && <Json value={read.rest} />}
      {read.exit !== undefined && read.exit !== 0 && <p class="tool-note bad">Exit code {read.exit}</p>}
      {item.state === 'ended' && <p class="tool-note">The turn ended without a result of this tool.</p>}
      {item.state === 'done' && read.text === '' && read.rest === undefined && read.images.length + item.images.length === 0 && !edited && !item.redacted && <p class="tool-note">No output.</p>}
    </>
  );
}

/** Images of the result: those that the log refers to, else those that stand in it. */
function ToolImages({ item }: { item: ToolItem }) {
  const read = useMemo(() => readOutput(item.output), [item.output]);
  const list = item.images.some((i) => i.url) || read.images.length === 0 ? item.images : read.images.map((i) => ({ ...i, bytes: 0 }));
  if (list.length === 0) return null;
  return (
    <div class="images">
      {list.map((image, i) => (
        <Image key={i} url={image.url} contentType={image.contentType} bytes={image.bytes} alt={`Image ${i + 1} of ${item.name}`} />
      ))}
    </div>
  );
}

/** What a subagent did, folded behind its tool. */
function Children({ item, focus }: { item: ToolItem; focus?: number }) {
  const [all, toggle] = useFold(`c${item.id}`, focus !== undefined);
  const list = all ? item.children : item.children.slice(-childrenShown);
  return (
    <div class="children" role="group" aria-label={`Steps of ${item.name}`}>
      {list.length < item.children.length && (
        <button type="button" class="show-all" onClick={toggle}>
          Show the {plural(item.children.length - list.length, 'step')} before
        </button>
      )}
      {list.map((child) => (
        <ItemView key={`${child.kind}${child.id}`} item={child} focus={focus} />
      ))}
    </div>
  );
}
