import { useState } from 'preact/hooks';
import { bytes, count, inOrder, plural } from './format';
import './content.css';

/** Members of one value that are shown before somebody asks for more. */
export const jsonMembers = 100;
/** Characters of one string that are shown before somebody asks for all. */
export const jsonString = 600;
/** How deep it goes without being asked, whatever `open` says. */
const depthMax = 40;

interface Props {
  value: unknown;
  /** How many levels are open at first [2]; Infinity for all. */
  open?: number;
}

/** A JSON value as a tree that can be opened and closed. */
export function Json({ value, open = 2 }: Props) {
  return (
    <div class="json">
      <Value value={value} open={open} depth={0} />
    </div>
  );
}

function Value({ value, name, open, depth }: { value: unknown; name?: string; open: number; depth: number }) {
  const label = name === undefined ? null : <span class="json-name">{name}</span>;
  if (typeof value === 'object' && value !== null) return <Tree value={value} label={label} open={open} depth={depth} />;
  return (
    <div class="json-leaf">
      {label}
      {typeof value === 'string' ? <Text text={value} /> : <span class={`json-${value === null ? 'null' : typeof value}`}>{String(value)}</span>}
    </div>
  );
}

function Tree({ value, label, open, depth }: { value: object; label: preact.JSX.Element | null; open: number; depth: number }) {
  const [shown, show] = useState(depth < Math.min(open, depthMax));
  const [most, more] = useState(jsonMembers);
  const names = Object.keys(value);
  const list = Array.isArray(value);
  const about = list ? `[${count(names.length)}]` : `{${names.length > 4 ? plural(names.length, 'member') : names.join(', ').slice(0, 60)}}`;
  if (names.length === 0) {
    return (
      <div class="json-leaf">
        {label}
        <span class="json-empty">{list ? '[]' : '{}'}</span>
      </div>
    );
  }
  return (
    <details class="json-tree" open={shown} onToggle={(e) => show((e.currentTarget as HTMLDetailsElement).open)}>
      <summary>
        {label}
        <span class="json-about">{about}</span>
      </summary>
      {shown && (
        <div class="json-members">
          {names.slice(0, most).map((name) => (
            <Value key={name} name={name} value={(value as Record<string, unknown>)[name]} open={open} depth={depth + 1} />
          ))}
          {names.length > most && (
            <button type="button" class="show-all" onClick={() => more(most * 4)}>
              {count(names.length - most)} more
            </button>
          )}
        </div>
      )}
    </details>
  );
}

function Text({ text }: { text: string }) {
  const [all, setAll] = useState(text.length <= jsonString);
  return (
    <>
      <span class="json-string">{JSON.stringify(inOrder(all ? text : text.slice(0, jsonString)))}</span>
      {!all && (
        <button type="button" class="show-all" onClick={() => setAll(true)}>
          all of {bytes(text.length)}
        </button>
      )}
    </>
  );
}
