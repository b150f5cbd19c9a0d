import { useMemo, useState } from 'preact/hooks';
import { hasAnsi, pieces, withoutAnsi } from './ansi';
import { lineCount, start } from './Code';
import { CopyButton } from './CopyButton';
import { bytes, count } from './format';
import { memo } from './memo';
import './content.css';

/** What is shown of a long output before somebody asks for all of it. */
export const outputLines = 24;
export const outputChars = 6_000;

/** What a program printed, with its colours, the first lines of it unless all are asked for. */
export const Output = memo(({ text, label = 'Output', failed = false }: { text: string; label?: string; failed?: boolean }) => {
  const [all, setAll] = useState(false);
  const shown = all ? text : start(text, outputLines, outputChars);
  return (
    <div class={`output ${failed ? 'failed' : ''}`}>
      <pre tabIndex={0} aria-label={label}>
        <Pieces text={shown} />
      </pre>
      <CopyButton text={() => withoutAnsi(text)} label={`Copy: ${label}`} />
      {shown.length < text.length && (
        <button type="button" class="show-all" onClick={() => setAll(true)}>
          Show all {count(lineCount(text))} lines ({bytes(text.length)})
        </button>
      )}
    </div>
  );
});

function Pieces({ text }: { text: string }) {
  const parts = useMemo(() => (hasAnsi(text) ? pieces(text) : undefined), [text]);
  if (!parts) return <>{text}</>;
  return <>{parts.map((p, i) => (p.style ? <span key={i} class={p.style}>{p.text}</span> : p.text))}</>;
}
