import type { TextItem } from '@konlog/client/view';
import { CopyButton } from '../parts/CopyButton';
import { clip, plural } from '../parts/format';
import { Icon } from '../parts/Icon';
import { Markdown } from '../parts/Markdown';
import { useFold, useView } from './hooks';
import { Permalink } from './Permalink';

/** What the agent says. */
export function Text({ item }: { item: TextItem }) {
  const { live } = useView();
  const streaming = live && item.streaming;
  return (
    <article class={`said ${streaming ? 'streaming' : ''}`} data-item="text" data-id={item.id}>
      <Markdown text={item.text} streaming={streaming} />
      {!streaming && (
        <div class="item-actions">
          <CopyButton text={item.text} label="Copy as Markdown" />
          <Permalink id={item.id} />
        </div>
      )}
    </article>
  );
}

/** What the agent thinks, folded to a line. */
export function Thinking({ item, focus }: { item: TextItem; focus?: number }) {
  const { live } = useView();
  const streaming = live && item.streaming;
  const [open, toggle] = useFold(`i${item.id}`, focus !== undefined);
  // Of one that is at work the last words are of interest, else the first.
  const glimpse = streaming ? clip(item.text.slice(-160).replace(/^\S*\s/, ''), 90) : clip(item.text, 90);
  return (
    <article class={`thinking ${streaming ? 'streaming' : ''}`} data-item="thinking" data-id={item.id}>
      <button type="button" class="fold" data-fold aria-expanded={open} onClick={toggle}>
        <Icon name="thinking" />
        <span class="fold-name">{streaming ? 'Thinking' : 'Thought'}</span>
        {!open && <span class="fold-short">{glimpse}</span>}
        {/* Not how long it took: a replay that was folded has the time of the last delta, not of the first. */}
        <span class="fold-end">{plural(words(item.text), 'word')}</span>
      </button>
      {open && (
        <div class="fold-body">
          <Markdown text={item.text} streaming={streaming} />
        </div>
      )}
    </article>
  );
}

/** Words of a text. Counted by hand: one that streams is counted at every frame, and may be long. */
function words(text: string): number {
  let n = 0;
  let within = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const space = code <= 32 || code === 160 || code === 0x3000;
    if (!space && !within) n++;
    within = !space;
  }
  return n;
}
