import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { Icon } from '../parts/Icon';
import { bytes, count, moment } from '../parts/format';
import { memo } from '../parts/memo';
import type { Row } from './eventlist';
import type { Inspector } from './useEventList';

/** Nearer to an edge than this the next page is asked for. */
const NEAR_PX = 500;

interface Props {
  inspector: Inspector;
  newest: boolean;
  selected: number | undefined;
  onSelect: (id: number) => void;
  filtered: boolean;
}

/** The rows, as a grid that keys move in. It keeps its place when rows come in above. */
export function EventTable({ inspector, newest, selected, onSelect, filtered }: Props) {
  const { list, busy, follow, trouble } = inspector;
  const box = useRef<HTMLDivElement>(null);
  const rows = newest ? [...list.rows].reverse() : list.rows;
  const up = newest ? 'newer' : 'older';
  const down = newest ? 'older' : 'newer';
  usePlace(box, inspector, newest, selected);
  const load = (way: 'older' | 'newer') => !list.end[way] && !list.paused[way] && busy === '' && trouble === '' && inspector[way]();
  const onScroll = () => {
    const { scrollTop, scrollHeight, clientHeight } = box.current!;
    const below = scrollHeight - scrollTop - clientHeight;
    if (scrollTop < NEAR_PX) load(up);
    if (below < NEAR_PX) load(down);
    if (follow && (newest ? scrollTop : below) > clientHeight) inspector.setFollow(false);
  };
  const onKeyDown = (e: KeyboardEvent) => {
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -Infinity, End: Infinity }[e.key];
    if (by === undefined || e.ctrlKey || e.metaKey || e.altKey) return;
    e.preventDefault();
    const at = rows.findIndex((r) => r.id === selected);
    const to = rows[Math.min(rows.length - 1, Math.max(0, at < 0 ? 0 : at + by))];
    if (to) onSelect(to.id);
    if (to && (to === rows[0] || to === rows.at(-1))) load(to === rows[0] ? up : down);
  };
  const some = rows.length > 0; // a grid without rows is none
  return (
    <div ref={box} class="event-rows" role={some ? 'grid' : 'region'} aria-label="Events" aria-rowcount={some ? -1 : undefined} tabIndex={0} onScroll={onScroll} onKeyDown={onKeyDown} data-testid="event-rows">
      <div class="event-head" role={some ? 'row' : undefined}>
        {['Id', 'Time (UTC)', 'Type', 'Turn', 'Size', 'Data'].map((h) => (
          <span key={h} role={some ? 'columnheader' : undefined}>{h}</span>
        ))}
      </div>
      <Edge inspector={inspector} way={up} />
      {rows.map((row) => (
        <Line key={row.id} row={row} selected={row.id === selected} onSelect={onSelect} />
      ))}
      {rows.length === 0 && busy === '' && !trouble && (
        <p class="empty">{filtered ? `No event passes the filter${list.end.older ? '.' : ' so far.'}` : 'This session has no events yet.'}</p>
      )}
      <Edge inspector={inspector} way={down} />
    </div>
  );
}

function Edge({ inspector, way }: { inspector: Inspector; way: 'older' | 'newer' }) {
  const { list, busy } = inspector;
  if (list.paused[way] && busy === '') {
    return (
      <p class="event-edge">
        Looked as far as event {count(list.looked(way))}.{' '}
        <button type="button" class="button" onClick={() => inspector[way]()}>
          Look on
        </button>
      </p>
    );
  }
  if (busy === way || (busy === 'open' && way === 'older')) {
    return <p class="event-edge"><span class="spinner" /> Loading…</p>;
  }
  if (way === 'older' && list.end.older && list.rows.length > 0 && list.floor > 1) return <p class="event-edge">Events before {count(list.floor)} are no longer kept.</p>;
  return null;
}

const Line = memo(({ row, selected, onSelect }: { row: Row; selected: boolean; onSelect: (id: number) => void }) => {
  if (row.kind === 'hole') {
    return (
      <div class="event-line hole" role="row" aria-selected={selected} data-id={row.id} onClick={() => onSelect(row.id)}>
        <span role="gridcell">{row.from === row.to ? row.from : `${row.from} – ${row.to}`}</span>
        <span role="gridcell" class="event-hole">
          <Icon name="lock" />
          {row.reason === 'redacted' ? 'The content was removed for good (redacted).' : 'No longer kept (retention).'}
        </span>
      </div>
    );
  }
  const tone = /error/.test(row.type) ? ' bad' : '';
  return (
    <div class={`event-line${tone}`} role="row" aria-selected={selected} data-id={row.id} onClick={() => onSelect(row.id)}>
      <span role="gridcell" class="num">{row.id}</span>
      <time role="gridcell" class="num" dateTime={row.time} title={moment(row.time)}>{row.time.slice(11, 23)}</time>
      <span role="gridcell" class="event-type">{row.type}</span>
      <span role="gridcell" class="event-turn" title={row.turn}>{row.turn}</span>
      <span role="gridcell" class="num event-size">{bytes(row.bytes)}</span>
      <code role="gridcell" class="event-preview">{row.preview}</code>
    </div>
  );
});

// Keeps what the reader looks at where it is while rows come and go around it;
// at the end, when that is followed.
function usePlace(box: { current: HTMLDivElement | null }, { list, follow, version }: Inspector, newest: boolean, selected: number | undefined) {
  const anchor = useRef<{ id: string; top: number } | undefined>(undefined);
  const shown = useRef<{ list: unknown; newest: boolean } | undefined>(undefined);
  const line = (id: string | number) => box.current!.querySelector<HTMLElement>(`.event-line[data-id="${id}"]`);
  const remember = () => {
    const { top } = box.current!.getBoundingClientRect();
    const first = [...box.current!.querySelectorAll<HTMLElement>('.event-line')].find((l) => l.getBoundingClientRect().bottom > top + 40);
    anchor.current = first && { id: first.dataset.id!, top: first.getBoundingClientRect().top };
  };
  useLayoutEffect(() => {
    const b = box.current!;
    const other = shown.current?.list !== list || shown.current.newest !== newest;
    shown.current = { list: list.rows.length ? list : undefined, newest };
    const kept = anchor.current && line(anchor.current.id);
    if (follow) b.scrollTop = newest ? 0 : b.scrollHeight;
    else if (other || !kept) (selected === undefined ? null : line(selected))?.scrollIntoView({ block: 'center' });
    else b.scrollTop += kept.getBoundingClientRect().top - anchor.current!.top;
    remember();
  }, [list, version, newest, follow]);
  useLayoutEffect(() => {
    if (selected !== undefined) line(selected)?.scrollIntoView({ block: 'nearest' });
    remember();
  }, [selected]);
  useEffect(() => {
    const b = box.current!;
    b.addEventListener('scroll', remember, { passive: true });
    return () => b.removeEventListener('scroll', remember);
  }, []);
}
