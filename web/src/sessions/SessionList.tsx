import { useSignal } from '@preact/signals';
import type { RefObject } from 'preact';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { useShortcuts } from '../app/shortcuts';
import { route } from '../app/route';
import { SessionRow } from './SessionRow';
import { filter, hasMore, listState, loadingMore, loadMore, visible } from './store';
import { span } from './window';

const narrow = matchMedia('(pointer: coarse), (max-width: 720px)');
/** Height of a row, pixels; the CSS takes it from here. */
const rowHeight = () => (narrow.matches ? 68 : 56);
/** Rows before the end at which the next page is asked for. */
const AHEAD = 30;

/** The rows in view, of however many there are. */
export function SessionList() {
  const box = useRef<HTMLDivElement>(null);
  const top = useSignal(0);
  const height = useSignal(800);
  const row = rowHeight();
  const rows = visible.value;
  const { from, to } = span(rows.length, row, top.value, height.value);
  useLayoutEffect(() => watchSize(box.current, (h) => (height.value = h)), []);
  useEffect(() => {
    if (listState.value.phase === 'ready' && to + AHEAD >= rows.length && hasMore(filter.value)) void loadMore(filter.value);
  }, [to, rows.length, filter.value, listState.value.phase, loadingMore.value]);
  useListKeys(box, row);
  const more = hasMore(filter.value);
  return (
    <div class="srow-scroll" ref={box} onScroll={(e) => (top.value = e.currentTarget.scrollTop)} style={{ '--row': `${row}px` }}>
      <ul class="srow-list" data-testid="sessions" aria-label="Sessions" aria-busy={listState.value.phase === 'loading'} style={{ height: `${rows.length * row}px` }}>
        {rows.slice(from, to).map((r, i) => (
          <SessionRow key={r.id} id={r.id} top={(from + i) * row} place={from + i + 1} of={more ? -1 : rows.length} />
        ))}
      </ul>
      {loadingMore.value > 0 && (
        <p class="srow-more dim">
          <span class="spinner" /> Loading more
        </p>
      )}
    </div>
  );
}

function watchSize(box: HTMLElement | null, tell: (height: number) => void): (() => void) | undefined {
  if (!box) return undefined;
  tell(box.clientHeight || 800);
  const observer = new ResizeObserver(() => tell(box.clientHeight));
  observer.observe(box);
  return () => observer.disconnect();
}

/** j and k, and arrows while a row has the focus, go from row to row. */
function useListKeys(box: RefObject<HTMLDivElement | null>, row: number): void {
  useShortcuts(
    [
      ['j', 'Next session', () => step(box.current, row, 1)],
      ['k', 'Previous session', () => step(box.current, row, -1)],
    ],
    [row],
  );
  useEffect(() => {
    const onKey = (e: KeyboardEvent) => {
      const by = { ArrowDown: 1, ArrowUp: -1 }[e.key];
      if (!by || !(e.target as HTMLElement).matches('[data-row]')) return;
      e.preventDefault();
      step(box.current, row, by);
    };
    const list = box.current;
    list?.addEventListener('keydown', onKey);
    return () => list?.removeEventListener('keydown', onKey);
  }, [row]);
}

/** Moves the focus by so many rows: from the row that has it, else from the session that is open. */
function step(box: HTMLElement | null, row: number, by: number): void {
  if (!box) return;
  const rows = visible.peek();
  const focused = document.activeElement?.closest<HTMLElement>('[data-session]')?.dataset.session;
  const at = route.peek();
  const from = rows.findIndex((r) => r.id === (focused ?? ('session' in at ? at.session : '')));
  const to = Math.min(rows.length - 1, Math.max(0, from < 0 ? 0 : from + by));
  const target = rows[to];
  if (!target) return;
  if (to * row < box.scrollTop) box.scrollTop = to * row;
  else if ((to + 1) * row > box.scrollTop + box.clientHeight) box.scrollTop = (to + 1) * row - box.clientHeight;
  // The row may have to be drawn first.
  requestAnimationFrame(() => requestAnimationFrame(() => box.querySelector<HTMLElement>(`[data-session="${CSS.escape(target.id)}"] [data-row]`)?.focus({ preventScroll: true })));
}
