import { useEffect, useRef, useState } from 'preact/hooks';
import { connection } from '../app/connection';
import { Icon } from '../parts/Icon';
import { count } from '../parts/format';
import { COUNT_MAX, countTypes, type Counts } from './counts';
import { hide, isOpen, NO_FILTER, only, type Filter } from './filter';
import { failureText, pagesOf } from './wire';

/** What is shown: types to see or to leave out, a text, a turn. */
export function EventFilters({ session, filter, onFilter }: { session: string; filter: Filter; onFilter: (filter: Filter) => void }) {
  const [open, setOpen] = useState(false);
  const set = filter.types.length + filter.not.length;
  return (
    <div class="event-filters">
      <div class="event-filters-row">
        <label class="event-search">
          <Icon name="search" />
          <input class="field" type="search" placeholder="Text in the data" aria-label="Only events with this text" value={filter.q} onInput={(e) => onFilter({ ...filter, q: e.currentTarget.value })} />
        </label>
        <button type="button" class="button" aria-expanded={open} data-testid="types" onClick={() => setOpen(!open)}>
          <Icon name="filter" />
          Types{set > 0 && ` (${set})`}
        </button>
        {!open && filter.types.map((t) => <Chosen key={t} label={`only ${t}`} onDrop={() => onFilter(only(filter, t))} />)}
        {!open && filter.not.map((t) => <Chosen key={t} label={`not ${t}`} onDrop={() => onFilter(hide(filter, t))} />)}
        {filter.turn && <Chosen label={`turn ${filter.turn}`} onDrop={() => onFilter({ ...filter, turn: '' })} />}
        {!isOpen(filter) && (
          <button type="button" class="button quiet" onClick={() => onFilter(NO_FILTER)}>
            Show all
          </button>
        )}
      </div>
      {open && <Types session={session} filter={filter} onFilter={onFilter} />}
    </div>
  );
}

function Chosen({ label, onDrop }: { label: string; onDrop: () => void }) {
  return (
    <button type="button" class="chip" aria-pressed="true" aria-label={`Remove the filter: ${label}`} onClick={onDrop}>
      <span class="event-chosen">{label}</span>
      <Icon name="close" />
    </button>
  );
}

function Types({ session, filter, onFilter }: { session: string; filter: Filter; onFilter: (filter: Filter) => void }) {
  const [counts, setCounts] = useState<Counts>();
  const [trouble, setTrouble] = useState('');
  const stop = useRef<AbortController | undefined>(undefined);
  useEffect(() => {
    const { signal } = (stop.current = new AbortController());
    countTypes(pagesOf(connection.url), session, setCounts, signal).catch((error: unknown) => signal.aborted || setTrouble(failureText(error)));
    return () => stop.current?.abort();
  }, [session]);
  const known = new Set(counts?.types.map(([t]) => t));
  const types = [...(counts?.types ?? []), ...[...filter.types, ...filter.not].filter((t) => !known.has(t)).map((t) => [t, 0] as const)];
  return (
    <fieldset class="event-types card">
      <legend class="visually-hidden">Types of events</legend>
      {types.map(([type, n]) => (
        <div key={type} class="event-kind">
          <button type="button" class="chip" aria-pressed={filter.types.includes(type)} title={`Only ${type}`} onClick={() => onFilter(only(filter, type))}>
            {type} <span class="num">{count(n)}</span>
          </button>
          <button type="button" class="chip event-not" aria-pressed={filter.not.includes(type)} aria-label={`Leave out ${type}`} title={`Leave out ${type}`} onClick={() => onFilter(hide(filter, type))}>
            <Icon name="close" />
          </button>
        </div>
      ))}
      <p class="event-counted num">
        {trouble || (!counts && 'Counting…')}
        {counts && !counts.complete && counts.done < COUNT_MAX && `${count(counts.done)} of ${count(counts.of)} counted…`}
        {counts && counts.done >= COUNT_MAX && `Of the newest ${count(counts.done)} of ${count(counts.of)} events.`}
      </p>
    </fieldset>
  );
}
