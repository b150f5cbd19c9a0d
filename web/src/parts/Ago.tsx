import { useComputed } from '@preact/signals';
import { quarters, seconds } from './clock';
import { ago, counter, moment } from './format';

/** How long ago a time was, kept up to date; the exact time is in the tooltip. */
export function Ago({ time }: { time: string | number }) {
  const at = typeof time === 'number' ? time : Date.parse(time);
  if (!Number.isFinite(at)) return null;
  return (
    <time class="ago" dateTime={new Date(at).toISOString()} title={moment(at)} data-volatile>
      {ago(at, quarters.value)}
    </time>
  );
}

/** Time that runs since a moment (Date.now), counted every second. */
export function Elapsed({ since }: { since: number }) {
  // The signal goes into the text node alone: a second costs no render.
  const text = useComputed(() => counter(seconds.value - since));
  return (
    <span class="elapsed" data-volatile>
      {text}
    </span>
  );
}
