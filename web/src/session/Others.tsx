import type { NoticeItem, OtherItem, PlanItem, TaskItem } from '@konlog/client/view';
import { link } from '../app/route';
import { Badge } from '../parts/Badge';
import { duration, plural } from '../parts/format';
import { Icon } from '../parts/Icon';
import { useFold, useView } from './hooks';
import { Permalink } from './Permalink';

/** Events that a folded run lists at most; the page of events has them all. */
export const othersMax = 100;

/** Events that nobody reads as part of the conversation: one line for a run of them. */
export function Others({ items, focus }: { items: readonly OtherItem[]; focus?: number }) {
  const { session } = useView();
  const first = items[0]!;
  const [open, toggle] = useFold(`o${first.id}`, focus !== undefined);
  // Bookkeeping is for the page of events; here it has a place only for a link to it.
  if (focus === undefined && items.every((i) => i.minor)) return <div data-item="other" data-id={first.id} hidden />;
  const failed = items.filter((i) => i.failed).length;
  const single = items.length === 1 && !first.minor;
  const count = items.reduce((n, i) => n + i.count, 0);
  return (
    <div class="others" data-item="other" data-id={first.id}>
      <button type="button" class="fold" data-fold aria-expanded={open} onClick={toggle}>
        <span class="fold-name">{single ? first.label || first.type : plural(count, 'other event')}</span>
        {!open && !single && <span class="fold-short">{kinds(items)}</span>}
        {failed > 0 && <Badge tone="bad">{failed === 1 && items.length === 1 ? 'failed' : `${failed} failed`}</Badge>}
      </button>
      {open && (
        <ul class="others-list">
          {items.slice(0, othersMax).map((item) => (
            <li key={item.id} class={focus !== undefined && item.id <= focus && focus <= item.last ? 'marked' : ''}>
              <a href={link(session, 'events', { id: item.id })} title="Show it among the events">
                {item.id}
              </a>
              <code>{item.type}</code>
              {item.label !== item.type && <span>{item.label}</span>}
            </li>
          ))}
          {items.length > othersMax && (
            <li>
              <a href={link(session, 'events', { id: items[othersMax]!.id })}>{plural(items.length - othersMax, 'further event')}</a>
            </li>
          )}
        </ul>
      )}
    </div>
  );
}

/** The kinds of a run of events, the most frequent first. */
function kinds(items: readonly OtherItem[]): string {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(item.label || item.type, (counts.get(item.label || item.type) ?? 0) + 1);
  const sorted = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 4);
  return sorted.map(([name, n]) => (n > 1 ? `${name} ×${n}` : name)).join(', ');
}

/** Work that goes on beside the turns. */
export function Task({ item }: { item: TaskItem }) {
  return (
    <article class={`task state-${item.state}`} data-item="task" data-id={item.id} data-task={item.taskId}>
      <span class={`dot ${item.state}`} aria-hidden="true" />
      <span class="fold-name">Background task</span>
      <span class="task-title">{item.title || item.taskId}</span>
      {item.status && <span class="dim">{item.status}</span>}
      <span class="fold-end">
        {item.state === 'running' ? 'running' : item.state === 'failed' ? 'failed' : 'done'}
        {item.durationMs !== undefined && ` after ${duration(item.durationMs)}`}
      </span>
    </article>
  );
}

const planMarks = { pending: '○', active: '◐', done: '●' } as const;

/** What the agent means to do, and how far it is. */
export function Plan({ item }: { item: PlanItem }) {
  const done = item.items.filter((i) => i.state === 'done').length;
  return (
    <article class="plan" data-item="plan" data-id={item.id}>
      <header>
        <Icon name="list" />
        <span class="fold-name">Plan</span>
        <span class="fold-end">
          {done} of {item.items.length} done
        </span>
      </header>
      <ol>
        {item.items.map((step, i) => (
          <li key={i} class={`plan-${step.state}`}>
            <span aria-hidden="true">{planMarks[step.state]}</span>
            <span>
              {step.text}
              <span class="visually-hidden"> ({step.state})</span>
            </span>
          </li>
        ))}
      </ol>
    </article>
  );
}

/** A word of the log about itself. */
export function Notice({ item }: { item: NoticeItem }) {
  return (
    <article class={`notice ${item.tone}`} data-item="notice" data-id={item.id}>
      <Icon name={item.tone === 'info' ? 'info' : 'warning'} />
      <div>
        <p>{item.text}</p>
        {item.detail && item.detail !== item.text && <p class="notice-detail">{item.detail}</p>}
      </div>
      <span class="item-actions">
        <Permalink id={item.id} />
      </span>
    </article>
  );
}
