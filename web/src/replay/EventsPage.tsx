// The log itself: every event with its bytes.
import { useEffect, useRef, useState } from 'preact/hooks';
import { announce } from '../app/announce';
import { link } from '../app/route';
import { useShortcuts } from '../app/shortcuts';
import { Icon } from '../parts/Icon';
import { count } from '../parts/format';
import { EventDetails } from './EventDetails';
import { EventFilters } from './EventFilters';
import { EventTable } from './EventTable';
import { filterOf, isOpen, queryOf, type Filter } from './filter';
import { Head, Trouble } from './Head';
import { useEventList, type Inspector } from './useEventList';
import { useWake } from './wake';
import './events.css';

/** New events are read at most so often. */
const WAKE_MS = 250;

export function EventsPage({ session, id, query }: { session: string; id?: number; query: URLSearchParams }) {
  const [filter, setFilter] = useState<Filter>(() => filterOf(query));
  const [selected, select] = useState<number | undefined>(id);
  const [newest, setNewest] = useState(query.get('order') === 'newest');
  const inspector = useEventList(session, filter, id);
  const { list, follow } = inspector;
  const place = useRef('');

  // A link to another place of this page comes as new properties.
  useEffect(() => {
    if (location.hash === place.current) return;
    setFilter(filterOf(query));
    select(id);
    if (id !== undefined && !list.rows.some((r) => r.id === id)) inspector.open(id);
  }, [id, query]);
  useEffect(() => {
    place.current = link(session, 'events', { ...queryOf(filter), ...(newest ? { order: 'newest' } : {}), ...(selected === undefined ? {} : { id: selected }) });
    history.replaceState(history.state, '', place.current);
  }, [session, filter, newest, selected]);
  useWake(session, inspector.wake, WAKE_MS);

  const step = (by: 1 | -1) => void inspector.neighbour(selected, by).then((to) => (to === undefined ? announce('No further event') : select(to)));
  useShortcuts(
    [
      ['j', 'Next event', () => step(1)],
      ['k', 'Event before', () => step(-1)],
      ['Escape', 'Close the details', () => select(undefined)],
    ],
    [selected, inspector],
  );
  return (
    <div class={`events ${selected === undefined ? '' : 'with-details'}`} data-testid="events">
      <Head session={session} view="events">
        <Tools inspector={inspector} newest={newest} onNewest={setNewest} onJump={(to) => { select(to); inspector.open(to); }} />
      </Head>
      <EventFilters session={session} filter={filter} onFilter={setFilter} />
      {inspector.trouble && <Trouble text={inspector.trouble} onRetry={inspector.retry} />}
      <div class="events-body">
        <EventTable inspector={inspector} newest={newest} selected={selected} onSelect={select} filtered={!isOpen(filter)} />
        {selected !== undefined && (
          <EventDetails key={selected} session={session} id={selected} onStep={step} onClose={() => select(undefined)} onTurn={(turn) => setFilter({ ...filter, turn })} />
        )}
      </div>
      <footer class="events-foot num">
        <span>{rangeText(inspector)}</span>
        <span class="events-state">{follow ? 'follows the end' : list.head > list.looked('newer') ? `${count(list.head - list.looked('newer'))} after these` : ''}</span>
      </footer>
    </div>
  );
}

function rangeText({ list }: Inspector): string {
  const first = list.rows[0];
  const last = list.rows.at(-1);
  if (!first || !last) return `head ${count(list.head)}`;
  return `${count(list.rows.length)} rows, ${first.id} to ${last.kind === 'hole' ? last.to : last.id} of ${list.floor} to ${list.head}`;
}

function Tools({ inspector, newest, onNewest, onJump }: { inspector: Inspector; newest: boolean; onNewest: (v: boolean) => void; onJump: (id: number) => void }) {
  const [to, setTo] = useState('');
  const jump = (e: Event) => {
    e.preventDefault();
    const id = Number(to);
    if (Number.isSafeInteger(id) && id > 0) onJump(id);
  };
  return (
    <>
      <form class="events-jump" onSubmit={jump}>
        <input class="field" type="text" inputMode="numeric" pattern="[0-9]*" placeholder="Go to id" aria-label="Go to the event with this id" value={to} onInput={(e) => setTo(e.currentTarget.value)} />
      </form>
      <button type="button" class="icon-button" aria-pressed={newest} aria-label="Newest first" title="Newest first" onClick={() => onNewest(!newest)}>
        <Icon name={newest ? 'arrowUp' : 'arrowDown'} />
      </button>
      <button type="button" class="button events-follow" aria-pressed={inspector.follow} data-testid="follow" title="Stay at the end as events come" onClick={() => inspector.setFollow(!inspector.follow)}>
        <Icon name={inspector.follow ? 'pause' : 'play'} />
        <span>{inspector.follow ? 'Following' : 'Follow'}</span>
      </button>
    </>
  );
}
