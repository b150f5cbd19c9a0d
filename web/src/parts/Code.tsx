import { useEffect, useState } from 'preact/hooks';
import { CopyButton } from './CopyButton';
import { bytes, count, inOrder } from './format';
import { highlight } from './highlight';
import { memo } from './memo';
import './content.css';

/** What is shown of a long piece of code before somebody asks for all of it. */
export const codeLines = 60;
export const codeChars = 16_000;

interface Props {
  text: string;
  language?: string;
  /** More may come: no colours yet, and the end is shown. */
  streaming?: boolean;
}

/** A piece of code, with colours once it is complete, and a button to copy it. */
export const Code = memo(({ text, language = '', streaming = false }: Props) => {
  const [all, setAll] = useState(false);
  const name = /^[\w+#.-]{1,30}/.exec(language)?.[0] ?? '';
  const plain = inOrder(text);
  const cut = all || streaming ? plain : start(plain, codeLines, codeChars);
  return (
    <figure class="code">
      <figcaption>
        <span>{name || 'text'}</span>
        <CopyButton text={text} label="Copy the code" />
      </figcaption>
      <Coloured text={cut} language={streaming ? '' : name} />
      {cut.length < plain.length && (
        <button type="button" class="show-all" onClick={() => setAll(true)}>
          Show all {count(lineCount(text))} lines ({bytes(text.length)})
        </button>
      )}
    </figure>
  );
});

/** Code with its colours as soon as they are there. */
export function Coloured({ text, language }: { text: string; language: string }) {
  const [made, setMade] = useState<{ of: string; html: string }>();
  useEffect(() => {
    let gone = false;
    if (language) void highlight(text, language).then((html) => html !== undefined && !gone && setMade({ of: text, html }));
    return () => {
      gone = true;
    };
  }, [text, language]);
  // A pre that scrolls must be reachable by keyboard.
  return made?.of === text ? (
    <pre key="coloured" tabIndex={0} aria-label="Code">
      <code dangerouslySetInnerHTML={{ __html: made.html }} />
    </pre>
  ) : (
    <pre key="plain" tabIndex={0} aria-label="Code">
      <code>{text}</code>
    </pre>
  );
}

/** The first lines of a text, at most so many and so long. */
export function start(text: string, lines: number, chars: number): string {
  let end = -1;
  for (let i = 0; i < lines; i++) {
    end = text.indexOf('\n', end + 1);
    if (end < 0 || end > chars) break;
  }
  // A cut that hides a few lines is not worth its button.
  if (end < 0) return text.length <= chars * 1.2 ? text : text.slice(0, chars);
  if (end > chars) return text.slice(0, chars);
  const rest = text.length - end;
  return rest < chars / 8 && lineCount(text.slice(end + 1)) <= lines / 8 ? text : text.slice(0, end);
}

/** Lines of a text; a line break at its end begins none. */
export function lineCount(text: string): number {
  let n = text === '' || text.endsWith('\n') ? 0 : 1;
  for (let i = text.indexOf('\n'); i >= 0; i = text.indexOf('\n', i + 1)) n++;
  return n;
}
