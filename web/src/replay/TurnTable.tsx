import type { Turn } from '@konlog/client';
import { Fragment } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Badge } from '../parts/Badge';
import { Icon } from '../parts/Icon';
import { clip, cost, count, duration, moment, short } from '../parts/format';
import { timesOf, timingLine, tokensOf, type Column, type Order } from './timing';
import { TurnBar } from './TurnBar';
import { TurnDetails } from './TurnDetails';
import type { TurnStore } from './turnstore';

const HEADS: { by: Column; label: string; title: string }[] = [
  { by: 'total', label: 'Total', title: 'From the start of the turn to its end' },
  { by: 'queue', label: 'Queue', title: 'From the prompt to the start' },
  { by: 'ttfe', label: 'First', title: 'Until the first event of the agent' },
  { by: 'thinking', label: 'Thinking', title: 'Thinking and text' },
  { by: 'tools', label: 'Tools', title: 'While a tool ran' },
  { by: 'waiting', label: 'Waiting', title: 'While a question was open' },
  { by: 'calls', label: 'Calls', title: 'Tool calls' },
  { by: 'cost', label: 'Cost', title: 'US dollars' },
  { by: 'tokens', label: 'Tokens', title: 'Input / output' },
];

interface Props {
  session: string;
  /** The turn that is asked for: open, and in view. */
  at?: string;
  store: TurnStore;
  turns: readonly Turn[];
  order: Order;
  onOrder: (order: Order) => void;
  scale: number | undefined;
}

/** The turns as a table that sorts, each with its bar; a press shows what a turn did. */
export function TurnTable({ session, at = '', store, turns, order, onOrder, scale }: Props) {
  const [open, setOpen] = useState(at);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (at) box.current?.querySelector(`[data-turn="${CSS.escape(at)}"]`)?.scrollIntoView({ block: 'center' });
  }, [at]);
  return (
    <div ref={box} class="card timing-scroll" tabIndex={0} role="region" aria-label="Turns">
      <label class="timing-sort">
        Sorted by
        <select class="field" value={`${order.by} ${order.down}`} onChange={(e) => onOrder(orderOf(e.currentTarget.value))}>
          <option value="first true">newest first</option>
          <option value="first false">oldest first</option>
          {HEADS.map((h) => (
            <option key={h.by} value={`${h.by} true`}>{h.label}</option>
          ))}
        </select>
      </label>
      <table class="timing-table">
        <thead>
          <tr>
            <Sort by="first" label="Turn" title="In the order of the log" order={order} onOrder={onOrder} />
            {HEADS.map((h) => (
              <Sort key={h.by} {...h} order={order} onOrder={onOrder} />
            ))}
          </tr>
        </thead>
        <tbody>
          {turns.map((turn) => (
            <Fragment key={turn.turn}>
              <Row turn={turn} scale={scale} open={open === turn.turn} onToggle={() => setOpen(open === turn.turn ? '' : turn.turn)} />
              {open === turn.turn && (
                <tr class="timing-details">
                  <td colSpan={HEADS.length + 1}>
                    <TurnDetails session={session} store={store} turn={turn} />
                  </td>
                </tr>
              )}
            </Fragment>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function orderOf(value: string): Order {
  const [by, down] = value.split(' ');
  return { by: by as Column, down: down === 'true' };
}

function Sort({ by, label, title, order, onOrder }: { by: Column; label: string; title: string; order: Order; onOrder: (order: Order) => void }) {
  const on = order.by === by;
  return (
    <th scope="col" class={by === 'first' ? 'timing-what' : 'timing-num'} aria-sort={on ? (order.down ? 'descending' : 'ascending') : 'none'}>
      <button type="button" title={title} onClick={() => onOrder({ by, down: on ? !order.down : true })}>
        {label}
        <Icon name={on && !order.down ? 'up' : 'down'} class={on ? '' : 'timing-off'} />
      </button>
    </th>
  );
}

function Row({ turn, scale, open, onToggle }: { turn: Turn; scale: number | undefined; open: boolean; onToggle: () => void }) {
  const times = timesOf(turn);
  const { parts } = times;
  const tokens = tokensOf(turn.usage);
  const time = turn.startedAt || turn.queuedAt;
  const some = (ms: number) => (ms > 0 ? duration(ms) : '–');
  return (
    <tr class={open ? 'open' : ''} data-turn={turn.turn} data-state={turn.state}>
      <th scope="row" class="timing-what">
        <button type="button" class="timing-name" aria-expanded={open} onClick={onToggle}>
          <Icon name={open ? 'down' : 'next'} />
          <span class="timing-prompt">{clip(turn.prompt ?? '', 160) || turn.turn}</span>
          <State turn={turn} />
        </button>
        <TurnBar times={times} scale={scale} />
        <span class="timing-line num" data-volatile={turn.state === 'ended' ? undefined : true}>
          {turn.state === 'queued' ? 'waits for its start' : timingLine(times)}
          {time && <time class="dim" dateTime={time} title={moment(time)}> · {moment(time)}</time>}
        </span>
      </th>
      <td class="timing-num num">{some(times.totalMs)}</td>
      <td class="timing-num num">{some(parts.queue)}</td>
      <td class="timing-num num">{some(parts.ttfe)}</td>
      <td class="timing-num num">{some(parts.thinking)}</td>
      <td class="timing-num num">{some(parts.tools)}</td>
      <td class="timing-num num">{some(parts.waiting)}</td>
      <td class="timing-num num">{count(times.toolCalls)}</td>
      <td class="timing-num num">{turn.costUsd === undefined ? '–' : cost(turn.costUsd)}</td>
      <td class="timing-num num" title={tokens.cacheRead === undefined ? undefined : `${count(tokens.cacheRead)} input tokens came from a cache`}>
        {tokens.input === undefined && tokens.output === undefined ? '–' : `${short(tokens.input ?? 0)} / ${short(tokens.output ?? 0)}`}
      </td>
    </tr>
  );
}

function State({ turn }: { turn: Turn }) {
  if (turn.state === 'open') return <Badge tone="accent">working</Badge>;
  if (turn.state === 'queued') return <Badge>queued</Badge>;
  if (turn.success === false) return <Badge tone="bad">{turn.reason || 'failed'}</Badge>;
  return null;
}
