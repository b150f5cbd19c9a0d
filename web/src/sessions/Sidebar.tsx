import { useEffect, useRef } from 'preact/hooks';
import { createTrouble } from '../account/account';
import { Icon } from '../parts/Icon';
import { count } from '../parts/format';
import { asking } from './actions';
import { filters } from './filter';
import { FirstRun } from './FirstRun';
import { SessionList } from './SessionList';
import { filter, hasMore, labels, listState, loadingMore, loadMore, refresh, tally, total, visible } from './store';
import './sessions.css';

/** After the last letter the server is asked too; what is here is filtered at once. */
const ASK_MS = 250;

/** The list of sessions with its filters. */
export function Sidebar() {
  const { phase, trouble } = listState.value;
  const bare = phase === 'ready' && total.value === 0;
  return (
    <nav class="sidebar" aria-label="Sessions">
      <div class="sidebar-head">
        <Find />
        <button type="button" class="icon-button" aria-label="New session" title={createTrouble.value || 'New session'} disabled={createTrouble.value !== ''} onClick={() => (asking.value = { kind: 'new' })}>
          <Icon name="plus" />
        </button>
      </div>
      {!bare && <Filters />}
      {!bare && <Labels />}
      {phase === 'failed' && (
        <div class="empty">
          <p>{trouble} It is tried again.</p>
          <button type="button" class="button" onClick={() => void refresh(false)}>
            Try now
          </button>
        </div>
      )}
      {phase === 'loading' && <Skeleton />}
      {phase === 'ready' && visible.value.length === 0 && !bare && <NoMatch />}
      {bare && (
        <div class="phone-only">
          <FirstRun />
        </div>
      )}
      <SessionList />
    </nav>
  );
}

function Find() {
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const set = (text: string) => {
    filter.value = { ...filter.value, text };
    clearTimeout(timer.current);
    timer.current = setTimeout(() => text.trim() && void loadMore(filter.value), ASK_MS);
  };
  return (
    <input
      class="field"
      type="search"
      placeholder="Filter by title or id"
      aria-label="Filter sessions by title or id"
      value={filter.value.text}
      onInput={(e) => set(e.currentTarget.value)}
      onKeyDown={(e) => {
        if (e.key !== 'Escape') return;
        if (filter.value.text) set('');
        else e.currentTarget.blur();
      }}
    />
  );
}

function Filters() {
  const now = filter.value.name;
  const n = tally.value;
  return (
    <div class="chips sidebar-chips" role="group" aria-label="Show">
      {filters.map(({ name, label }) => (
        <button key={name} type="button" class="chip" aria-pressed={now === name} onClick={() => (filter.value = { ...filter.value, name })}>
          {label}
          {name in n && n[name as keyof typeof n] > 0 && <span class="num">{count(n[name as keyof typeof n])}</span>}
        </button>
      ))}
    </div>
  );
}

/** Scopes and tags, where there are any. */
function Labels() {
  const { scopes, tags } = labels.value;
  const { scope, tag } = filter.value;
  if (!scopes.length && !tags.length) return null;
  return (
    <div class="sidebar-labels">
      {scopes.length > 0 && (
        <select class="field" aria-label="Scope" value={scope} onChange={(e) => (filter.value = { ...filter.value, scope: e.currentTarget.value })}>
          <option value="">Any scope</option>
          {scopes.map((s) => (
            <option key={s}>{s}</option>
          ))}
        </select>
      )}
      {tags.length > 0 && (
        <select class="field" aria-label="Tag" value={tag} onChange={(e) => (filter.value = { ...filter.value, tag: e.currentTarget.value })}>
          <option value="">Any tag</option>
          {tags.map((t) => (
            <option key={t}>{t}</option>
          ))}
        </select>
      )}
    </div>
  );
}

const nothing = { all: 'No session matches.', 'needs-you': 'Nobody waits for you.', working: 'Nothing is running.', unread: 'All is read.', closed: 'No session is closed.' };

function NoMatch() {
  const { name, text, scope, tag } = filter.value;
  void loadingMore.value; // hasMore is no signal, and may be another when a page is in
  if (hasMore(filter.value)) return <Skeleton />;
  const narrowed = text || scope || tag;
  return (
    <div class="empty sidebar-none">
      <p>{narrowed ? 'No session matches.' : nothing[name]}</p>
      {(narrowed || name !== 'all') && (
        <button type="button" class="button" onClick={() => (filter.value = { name: 'all', text: '', scope: '', tag: '' })}>
          Show all
        </button>
      )}
    </div>
  );
}

function Skeleton() {
  return (
    <div class="srow-skeleton" aria-hidden="true">
      {[72, 54, 63, 48, 70, 58].map((w) => (
        <i key={w} style={{ width: `${w}%` }} />
      ))}
    </div>
  );
}
