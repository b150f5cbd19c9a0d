import type { Hit, Turn } from '@konlog/client';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { connection } from '../app/connection';
import { link } from '../app/route';
import { Ago } from '../parts/Ago';
import { Badge, type Tone } from '../parts/Badge';
import { clip, cost, duration, plural } from '../parts/format';
import { Icon } from '../parts/Icon';
import { rowOf } from '../sessions/store';
import { addressOf, bySession, kindNames, kinds, parseQuery, ranges, requestOf, type Query } from './query';
import { Results } from './results';
import './search.css';

/** After the last letter it is asked. */
const ASK_MS = 220;

/** Search over the texts of all sessions, and over their turns. */
export function SearchPage({ query: from }: { query: URLSearchParams }) {
  const query = parseQuery(from);
  const address = addressOf(query);
  const set = (change: Partial<Query>) => {
    // Typing is one step of the history, not one for each letter.
    history.replaceState(null, '', addressOf({ ...query, ...change }));
    dispatchEvent(new HashChangeEvent('hashchange'));
  };
  return (
    <div class="sheet search">
      <header class="sheet-head">
        <h1>Search</h1>
        <div class="chips" role="tablist" aria-label="What is searched">
          {(['texts', 'turns'] as const).map((tab) => (
            <button key={tab} type="button" role="tab" class="chip" aria-selected={query.tab === tab} onClick={() => set({ tab })}>
              {tab === 'texts' ? 'Texts' : 'Turns'}
            </button>
          ))}
        </div>
      </header>
      <Controls query={query} set={set} />
      {query.tab === 'texts' ? <Texts key="texts" query={query} address={address} /> : <Turns key="turns" query={query} address={address} />}
    </div>
  );
}

function Controls({ query, set }: { query: Query; set: (change: Partial<Query>) => void }) {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  const pick = (name: 'kind' | 'range' | 'state', label: string, options: Readonly<Record<string, string>>) => (
    <select class="field" aria-label={label} value={query[name]} onChange={(e) => set({ [name]: e.currentTarget.value })}>
      {Object.entries(options).map(([value, word]) => (
        <option key={value} value={value}>
          {word}
        </option>
      ))}
    </select>
  );
  const input = (name: 'session' | 'tool', label: string) => <input class="field" aria-label={label} placeholder={label} value={query[name]} autocomplete="off" spellcheck={false} onInput={(e) => set({ [name]: e.currentTarget.value })} />;
  return (
    <search class="search-controls">
      <label class="search-box">
        <Icon name="search" />
        <input ref={field} type="search" class="field" aria-label="Words to find" placeholder='Words, "a phrase", -without, begin*' value={query.q} autocomplete="off" onInput={(e) => set({ q: e.currentTarget.value })} onKeyDown={(e) => e.key === 'Escape' && !query.q && e.currentTarget.blur()} />
      </label>
      <div class="search-filters">
        {query.tab === 'texts' ? pick('kind', 'Kind of text', { '': 'All kinds', ...Object.fromEntries(kinds.map((k) => [k, kindNames[k] ?? k])) }) : pick('state', 'State of turns', { '': 'Any state', queued: 'Queued', open: 'Open', ended: 'Ended' })}
        {pick('range', 'Time', ranges)}
        {query.tab === 'turns' && input('tool', 'Tool that it called')}
        {input('session', 'Id of a session')}
      </div>
    </search>
  );
}

/** Asks when the address is another, after a pause in typing. */
function useResults<T>(address: string, query: Query, read: (path: string) => Promise<{ items: T[]; next?: string | undefined; partial?: boolean | undefined }>): Results<T> {
  const now = useRef(query);
  now.current = query;
  const results = useMemo(() => new Results<T>((cursor) => read(requestOf(now.current, cursor, Date.now()) ?? '')), []);
  const first = useRef(true);
  useEffect(() => {
    if (requestOf(query, '', 0) === undefined) {
      results.clear();
      return;
    }
    const timer = setTimeout(() => void results.start(), first.current ? 0 : ASK_MS);
    first.current = false;
    return () => clearTimeout(timer);
  }, [address]);
  return results;
}

function Texts({ query, address }: { query: Query; address: string }) {
  const results = useResults<Hit>(address, query, async (path) => {
    const { hits, next, partial } = await connection.get<{ hits: Hit[]; next?: string; partial?: boolean }>(path);
    return { items: hits, next, partial };
  });
  if (results.phase.value === 'idle') return <Hint />;
  return (
    <Found results={results} none="No text has all of these words.">
      {bySession(results.items.value).map(({ session, hits }) => (
        <section key={`${session} ${hits[0]?.id}`} class="search-group" aria-label={session}>
          <h2>
            <a href={link(session)}>{rowOf(session).value?.title || session}</a>
          </h2>
          <ul class="card search-list">
            {hits.map((hit) => (
              <li key={`${hit.id} ${hit.kind}`}>
                <a href={link(session, '', { id: hit.id })}>
                  <span class="search-meta">
                    <Badge tone={hit.kind === 'error' ? 'bad' : 'neutral'}>{hit.kind}</Badge>
                    <span class="num dim">#{hit.id}</span>
                    <Ago time={hit.time} />
                  </span>
                  <span class="search-snippet">{hit.snippet.map((part) => (part.hit ? <mark>{part.text}</mark> : part.text))}</span>
                </a>
              </li>
            ))}
          </ul>
        </section>
      ))}
    </Found>
  );
}

function Turns({ query, address }: { query: Query; address: string }) {
  const results = useResults<Turn>(address, query, async (path) => {
    const { turns, next } = await connection.get<{ turns: Turn[]; next?: string }>(path);
    return { items: turns, next };
  });
  return (
    <Found results={results} none="No turn matches.">
      <ul class="card search-list">
        {results.items.value.map((turn) => (
          <TurnRow key={`${turn.session} ${turn.turn}`} turn={turn} />
        ))}
      </ul>
    </Found>
  );
}

function TurnRow({ turn }: { turn: Turn }) {
  const [tone, word]: [Tone, string] =
    turn.state !== 'ended' ? ['accent', turn.state] : turn.success ? ['ok', turn.reason || 'done'] : turn.reason === 'stopped' ? ['neutral', 'stopped'] : ['bad', turn.reason || 'failed'];
  const time = turn.startedAt ?? turn.queuedAt;
  return (
    <li>
      <a href={link(turn.session, '', { id: turn.first })}>
        <span class="search-meta">
          <Badge tone={tone}>{word}</Badge>
          <span class="dim">{rowOf(turn.session).value?.title || turn.session}</span>
          {time && <Ago time={time} />}
        </span>
        <span class="search-snippet">{clip(turn.prompt || turn.error || 'No prompt', 240)}</span>
        <span class="search-facts dim num">
          {turn.state === 'ended' && <span>{duration(turn.timing.totalMs ?? 0)}</span>}
          {turn.toolCalls > 0 && <span>{plural(turn.toolCalls, 'tool call')}</span>}
          {turn.costUsd !== undefined && turn.costUsd > 0 && <span>{cost(turn.costUsd)}</span>}
          {turn.agent && <span>{turn.agent}</span>}
        </span>
      </a>
    </li>
  );
}

function Found<T>({ results, none, children }: { results: Results<T>; none: string; children: preact.ComponentChildren }) {
  const phase = results.phase.value;
  const empty = results.items.value.length === 0;
  return (
    <div class="search-found" aria-busy={phase === 'busy'}>
      <p class="visually-hidden" role="status">
        {phase === 'done' && (empty ? none : `${results.items.value.length} found${results.next.value ? ', there are more' : ''}`)}
      </p>
      {results.partial.value && phase !== 'failed' && (
        <p class="search-partial">
          <Icon name="info" /> The server is still indexing: there may be more than this.
        </p>
      )}
      {phase === 'failed' && (
        <p class="problem" role="alert">
          <Icon name="warning" /> {results.trouble.value}
          <button type="button" class="button" onClick={() => void results.start()}>
            Try again
          </button>
        </p>
      )}
      {empty && phase === 'done' ? (
        <div class="empty">
          <Icon name="search" />
          <p>{none}</p>
        </div>
      ) : (
        !empty && children
      )}
      {results.next.value !== undefined && phase !== 'failed' && (
        <button type="button" class="button search-more" disabled={phase === 'busy'} onClick={() => void results.more()}>
          {phase === 'busy' ? <span class="spinner" /> : null} Load more
        </button>
      )}
    </div>
  );
}

function Hint() {
  return (
    <div class="empty">
      <Icon name="search" />
      <h2>Find what was said and done</h2>
      <p>Prompts, answers, tool calls and their outputs, kontasks, errors, over all sessions.</p>
      <p class="search-hints">
        <code>"exact phrase"</code> <code>-without</code> <code>begin*</code>
      </p>
    </div>
  );
}
