import type { Turn } from '@konlog/client';
import { useEffect, useState } from 'preact/hooks';
import { connection } from '../app/connection';
import { link } from '../app/route';
import { CopyButton } from '../parts/CopyButton';
import { Icon } from '../parts/Icon';
import { duration } from '../parts/format';
import { turnOf } from '../export/commands';
import { Trouble } from './Head';
import { callsOf, tokensOf, type ToolCall } from './timing';
import type { TurnStore } from './turnstore';
import { failureText } from './wire';

/** Bars of the waterfall; of a turn with more calls the longest are shown. */
const CALLS_MAX = 60;

/** What one turn did and when: its tools on the time of the turn. */
export function TurnDetails({ session, store, turn }: { session: string; store: TurnStore; turn: Turn }) {
  const [whole, setWhole] = useState<Turn>();
  const [trouble, setTrouble] = useState('');
  const [tries, setTries] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    setTrouble('');
    store.get(turn.turn, stop.signal).then(setWhole, (error: unknown) => stop.signal.aborted || setTrouble(failureText(error)));
    return () => stop.abort();
  }, [turn, store, tries]);
  return (
    <div class="turn-details">
      <div class="turn-links">
        <a class="button" href={link(session, '', { id: turn.first })}><Icon name="question" />Conversation</a>
        <a class="button" href={link(session, 'replay', { id: turn.first })}><Icon name="history" />Replay</a>
        <a class="button" href={link(session, 'events', { turn: turn.turn })}><Icon name="list" />Events</a>
        <CopyButton label="Copy the command that shows this turn" text={turnOf(connection.url, session, turn.turn)} />
      </div>
      {trouble && <Trouble text={trouble} onRetry={() => setTries(tries + 1)} />}
      {!whole && !trouble && <p class="timing-wait"><span class="spinner" /> Loading…</p>}
      {whole && <Facts turn={whole} />}
      {whole && <Waterfall session={session} turn={whole} />}
    </div>
  );
}

function Facts({ turn }: { turn: Turn }) {
  const tokens = tokensOf(turn.usage);
  const told = Object.entries({ 'tokens in': tokens.input, 'tokens out': tokens.output, 'read from cache': tokens.cacheRead, 'written to cache': tokens.cacheWrite }).filter(([, v]) => v !== undefined);
  const facts: [string, string][] = [
    ['id', turn.turn],
    ...(turn.agent ? ([['agent', turn.agent]] as [string, string][]) : []),
    ...(turn.error ? ([['error', turn.error]] as [string, string][]) : []),
    ...told.map(([k, v]): [string, string] => [k, v!.toLocaleString('en-US')]),
  ];
  return (
    <dl class="turn-facts">
      {facts.map(([k, v]) => (
        <div key={k}>
          <dt>{k}</dt>
          <dd>{v}</dd>
        </div>
      ))}
    </dl>
  );
}

function Waterfall({ session, turn }: { session: string; turn: Turn }) {
  const all = callsOf(turn);
  if (all.length === 0) return <p class="timing-note">No tool was called.</p>;
  const began = Date.parse(turn.startedAt ?? '') || all[0]!.startedAt;
  const ended = Math.max(Date.parse(turn.endedAt ?? '') || 0, ...all.map((c) => c.startedAt + (c.ms ?? 0)));
  const span = Math.max(1, ended - began);
  const kept = all.length <= CALLS_MAX ? all : [...all].sort((a, b) => (b.ms ?? Infinity) - (a.ms ?? Infinity)).slice(0, CALLS_MAX).sort((a, b) => a.start - b.start);
  return (
    <>
      <ol class="waterfall" aria-label="Tool calls">
        {kept.map((call) => (
          <Bar key={call.start} session={session} call={call} from={(call.startedAt - began) / span} share={(call.ms ?? ended - call.startedAt) / span} />
        ))}
      </ol>
      {all.length > kept.length && <p class="timing-note">The {CALLS_MAX} longest of {all.length} calls.</p>}
    </>
  );
}

function Bar({ session, call, from, share }: { session: string; call: ToolCall; from: number; share: number }) {
  const took = call.ms === undefined ? 'no result' : duration(call.ms);
  return (
    <li>
      <a href={link(session, 'events', { id: call.start })} title={`Event ${call.start}`}>{call.name}</a>
      <svg viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true">
        <rect class="turn-bar-ground" width="1000" height="10" />
        <rect class={call.failed ? 'part-failed' : 'part-tools'} x={1000 * Math.max(0, from)} width={Math.max(3, 1000 * share)} height="10" />
      </svg>
      <span class="num">
        {took}
        {call.failed && <span class="timing-failed"> failed</span>}
      </span>
    </li>
  );
}
