import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { Code } from './Code';
import { highlightNested } from './highlight';
import { MarkdownStream, type MarkdownBlock } from './blocks';
import { memo } from './memo';
import './content.css';

/** The least time between two parses of a text that grows. */
const throttleMs = 60;
/** Of the time of the page, a text that grows takes at most one part in so many. */
const share = 12;
const throttleMaxMs = 1_000;

/** Markdown, made safe. While `streaming` only its end is parsed again, and not at every token. */
export function Markdown({ text, streaming = false }: { text: string; streaming?: boolean }) {
  const stream = useMemo(() => new MarkdownStream(), []);
  const shown = useThrottled(text, streaming, stream);
  return (
    <div class="markdown">
      {shown.map((block, i) =>
        block.kind === 'code' ? <Code key={i} text={block.text} language={block.language} streaming={streaming && i === shown.length - 1} /> : <Html key={i} html={block.html} settled={!streaming || i < shown.length - 1} />,
      )}
    </div>
  );
}

const Html = memo(({ html, settled }: { html: string; settled: boolean }) => {
  const ref = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (settled && html.includes('<pre>')) return highlightNested(ref.current!);
  }, [html, settled]);
  return <div ref={ref} class="markdown-block" dangerouslySetInnerHTML={{ __html: html }} />;
});

/** The blocks of the text: at once when it is complete, else of a moment ago. */
function useThrottled(text: string, streaming: boolean, stream: MarkdownStream): readonly MarkdownBlock[] {
  const state = useRef({ text: '', streaming: false, blocks: [] as readonly MarkdownBlock[], due: 0, timer: 0 as unknown as ReturnType<typeof setTimeout> | 0 });
  const [, redraw] = useState(0);
  const now = state.current;
  const latest = useRef(text);
  latest.current = text;
  const parse = (whole: boolean) => {
    const began = performance.now();
    now.blocks = stream.update(latest.current, whole);
    now.text = latest.current;
    now.streaming = !whole;
    now.due = performance.now() + Math.min(throttleMaxMs, Math.max(throttleMs, (performance.now() - began) * share));
  };
  const changed = now.text !== text || now.streaming !== streaming;
  if (changed && (!streaming || performance.now() >= now.due)) parse(!streaming);
  useLayoutEffect(() => {
    if (now.text === text || now.timer) return;
    now.timer = setTimeout(() => {
      now.timer = 0;
      redraw((n) => n + 1);
    }, Math.max(0, now.due - performance.now()));
  });
  useEffect(() => () => clearTimeout(now.timer || undefined), []);
  return now.blocks;
}
