import type { Turn } from '@konlog/client';
import { useEffect, useState } from 'preact/hooks';
import { link } from '../app/route';
import { count, duration, plural } from '../parts/format';
import { Trouble } from './Head';
import { byTool, callsOf, slowest, type ToolCall } from './timing';
import type { TurnStore } from './turnstore';
import { failureText } from './wire';

/** Turns whose calls are read without being asked for, and at each press of the button. */
const TURNS = 40;
const CALLS = 15;

/** Which tools and which single calls took longest. Lists of turns have no tools in them, so the turns are read one by one, the newest first. */
export function SlowTools({ session, store, turns }: { session: string; store: TurnStore; turns: readonly Turn[] }) {
  const [calls, setCalls] = useState<readonly ToolCall[]>([]);
  const [most, setMost] = useState(TURNS);
  const [reading, setReading] = useState(0);
  const [trouble, setTrouble] = useState('');
  const withTools = turns.filter((t) => t.toolCalls > 0);
  const read = withTools.slice(0, most);
  // Ended turns do not change, so a refresh of the list reads only what is new.
  const key = read.map((t) => `${t.turn} ${t.last} ${t.state}`).join('\n');
  useEffect(() => {
    if (read.length === 0) return;
    const stop = new AbortController();
    setTrouble('');
    store
      .getAll(read.map((t) => t.turn), setReading, stop.signal)
      .then((whole) => setCalls(whole.flatMap(callsOf)))
      .catch((error: unknown) => stop.signal.aborted || setTrouble(failureText(error)));
    return () => stop.abort();
  }, [key, store]);
  if (withTools.length === 0) return null;
  return (
    <section class="slow">
      <h2>Slowest tools</h2>
      {trouble && <Trouble text={trouble} />}
      {calls.length === 0 && !trouble && <p class="timing-wait"><span class="spinner" /> Reading turn {Math.min(reading + 1, read.length)} of {read.length}…</p>}
      {calls.length > 0 && (
        <div class="slow-tables">
          <ByTool calls={calls} />
          <Calls session={session} calls={calls} />
        </div>
      )}
      <p class="timing-note">
        {read.length < withTools.length ? `Of the newest ${read.length} of ${plural(withTools.length, 'turn')} with tools. ` : ''}
        {read.length < withTools.length && (
          <button type="button" class="button" onClick={() => setMost(most + TURNS)}>
            Read {Math.min(TURNS, withTools.length - read.length)} more
          </button>
        )}
      </p>
    </section>
  );
}

function ByTool({ calls }: { calls: readonly ToolCall[] }) {
  return (
    <table class="card timing-table">
      <caption>By tool</caption>
      <thead>
        <tr>
          <th scope="col">Tool</th>
          <th scope="col" class="timing-num">Calls</th>
          <th scope="col" class="timing-num">Together</th>
          <th scope="col" class="timing-num">Longest</th>
        </tr>
      </thead>
      <tbody>
        {byTool(calls).slice(0, CALLS).map((t) => (
          <tr key={t.name}>
            <th scope="row">{t.name}</th>
            <td class="timing-num num">
              {count(t.calls)}
              {t.failed > 0 && <span class="timing-failed"> {count(t.failed)} failed</span>}
            </td>
            <td class="timing-num num">{duration(t.ms)}</td>
            <td class="timing-num num">{duration(t.longestMs)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Calls({ session, calls }: { session: string; calls: readonly ToolCall[] }) {
  return (
    <table class="card timing-table">
      <caption>Single calls</caption>
      <thead>
        <tr>
          <th scope="col">Tool</th>
          <th scope="col">Event</th>
          <th scope="col" class="timing-num">Took</th>
        </tr>
      </thead>
      <tbody>
        {slowest(calls, CALLS).map((c) => (
          <tr key={c.start}>
            <th scope="row">{c.name}</th>
            <td>
              <a href={link(session, '', { id: c.start })}>{c.start}</a>
              {c.failed && <span class="timing-failed"> failed</span>}
            </td>
            <td class="timing-num num">{duration(c.ms!)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
