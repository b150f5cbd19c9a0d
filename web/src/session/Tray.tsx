import type { KontaskItem, QuestionItem } from '@konlog/client/view';
import { useEffect, useRef, useState } from 'preact/hooks';
import { clip, count, plural } from '../parts/format';
import { Icon } from '../parts/Icon';
import { inputShort } from './tooltext';

/** Rows that are listed at most: what is answered makes room for the next. */
const rowsMax = 100;

interface Props {
  questions: readonly QuestionItem[];
  kontasks: readonly KontaskItem[];
  /** Goes to an event. */
  onGo: (id: number) => void;
}

/** What waits for somebody, with a way to it. */
export function Tray({ questions, kontasks, onGo }: Props) {
  const [open, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const all = questions.length + kontasks.length;
  useEffect(() => {
    if (all === 0) setOpen(false);
  }, [all]);
  if (all === 0) return null;
  const go = (id: number) => {
    setOpen(false);
    onGo(id);
  };
  return (
    <div
      class="tray"
      onKeyDown={(e) => {
        if (e.key !== 'Escape' || !open) return;
        e.stopPropagation();
        setOpen(false);
        button.current?.focus();
      }}
    >
      <button ref={button} type="button" class="button tray-button" data-testid="tray" aria-expanded={open} aria-label={`${count(all)} waiting`} onClick={() => setOpen(!open)}>
        <Icon name={questions.length > 0 ? 'question' : 'kontask'} />
        {count(all)} waiting
      </button>
      {open && (
        <ul class="tray-list" aria-label={`${plural(all, 'thing')} waiting for you`}>
          {questions.slice(0, rowsMax).map((q) => (
            <li key={`q${q.id}`}>
              <button type="button" onClick={() => go(q.id)}>
                <Icon name="question" />
                <span>
                  <b>{q.tool || 'Question'}</b> {clip(inputShort(q.input), 120)}
                </span>
              </button>
            </li>
          ))}
          {kontasks.slice(0, Math.max(0, rowsMax - questions.length)).map((k) => (
            <li key={`k${k.id}`}>
              <button type="button" onClick={() => go(k.id)}>
                <Icon name="kontask" />
                <span>{clip(k.record.title || k.kontaskId, 140)}</span>
              </button>
            </li>
          ))}
          {all > rowsMax && <li class="tray-more dim">{plural(all - rowsMax, 'further one', 'further ones')}</li>}
        </ul>
      )}
    </div>
  );
}
