// Where the time and the money of a session went, turn by turn.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { connection } from '../app/connection';
import { count, plural } from '../parts/format';
import { Head, Trouble } from './Head';
import { SlowTools } from './SlowTools';
import { sorted, spanOf, timesOf, totalsOf, type Order } from './timing';
import { Legend, Totals } from './TimingTotals';
import { TURNS_AT_ONCE, TurnStore } from './turnstore';
import { TurnTable } from './TurnTable';
import { useWake } from './wake';
import { failureText, pagesOf } from './wire';
import './timing.css';

const REFRESH_MS = 1_000;
/** Rows that are drawn; more at the press of a button. */
const ROWS = 200;

export function TimingPage({ session, turn }: { session: string; turn?: string }) {
  const { store, state, more, refresh } = useTurns(session);
  const [order, setOrder] = useState<Order>({ by: 'first', down: true });
  const [rows, setRows] = useState(ROWS);
  const [alike, setAlike] = useState(false);
  useWake(session, refresh, REFRESH_MS, state.phase !== 'missing');
  const turns = store.turns;
  const list = useMemo(() => sorted(turns, order), [turns, order]);
  const scale = useMemo(() => Math.max(1, ...turns.map((t) => spanOf(timesOf(t)))), [turns]);
  return (
    <div class="timing">
      <Head session={session} view="timing" />
      <div class="timing-body">
        {state.trouble && <Trouble text={state.trouble} onRetry={more} />}
        {state.phase === 'loading' && turns.length === 0 && !state.trouble && <p class="timing-wait"><span class="spinner" /> Loading turns…</p>}
        {state.phase === 'ready' && turns.length === 0 && <p class="empty">This session has no turns yet. A turn begins with a prompt or a turn_start event.</p>}
        {turns.length > 0 && (
          <>
            <Totals totals={totalsOf(turns)} whole={!store.more} />
            <div class="timing-bar">
              <Legend />
              <label class="timing-alike">
                <input type="checkbox" checked={alike} onChange={(e) => setAlike(e.currentTarget.checked)} /> Each bar in full width
              </label>
            </div>
            <TurnTable key={turn} at={turn} session={session} store={store} turns={list.slice(0, rows)} order={order} onOrder={setOrder} scale={alike ? undefined : scale} />
            <div class="timing-more">
              {list.length > rows && (
                <button type="button" class="button" onClick={() => setRows(rows + ROWS)}>
                  Show {count(Math.min(ROWS, list.length - rows))} more
                </button>
              )}
              {store.more && (
                <button type="button" class="button" disabled={state.phase === 'loading'} onClick={more}>
                  {state.phase === 'loading' ? `${plural(turns.length, 'turn')} read…` : 'Read older turns'}
                </button>
              )}
            </div>
            <SlowTools session={session} store={store} turns={turns} />
          </>
        )}
      </div>
    </div>
  );
}

interface State {
  phase: 'loading' | 'ready' | 'missing';
  trouble: string;
}

/** Reads the turns and keeps them up to date. */
function useTurns(session: string) {
  const store = useMemo(() => new TurnStore(pagesOf(connection.url), session), [session]);
  const [state, setState] = useState<State>({ phase: 'loading', trouble: '' });
  const stop = useRef(new AbortController());
  const busy = useRef(false);
  /** News came while something was read: that may be without it. */
  const again = useRef(false);

  // One request after the other: pages belong behind one another.
  const run = async (work: (signal: AbortSignal) => Promise<void>, quiet = false) => {
    if (busy.current) return;
    busy.current = true;
    const { signal } = stop.current;
    try {
      if (!quiet) setState({ phase: 'loading', trouble: '' });
      await work(signal);
      if (!signal.aborted) setState({ phase: 'ready', trouble: '' });
    } catch (error) {
      if (!signal.aborted) setState({ phase: store.turns.length ? 'ready' : 'missing', trouble: failureText(error) });
    } finally {
      // What was aborted has given way to the reading of another session.
      if (!signal.aborted) {
        busy.current = false;
        if (again.current) refresh();
      }
    }
  };
  const more = () =>
    run(async (signal) => {
      const until = store.turns.length + TURNS_AT_ONCE;
      while (store.more && store.turns.length < until) {
        await store.loadMore(signal);
        if (!signal.aborted) setState({ phase: 'loading', trouble: '' });
      }
    });
  const refresh = () => {
    again.current = busy.current;
    void run((signal) => store.refresh(signal), true);
  };
  useEffect(() => {
    stop.current = new AbortController();
    busy.current = again.current = false;
    void more();
    return () => stop.current.abort();
  }, [store]);
  return { store, state, more: () => void more(), refresh };
}
