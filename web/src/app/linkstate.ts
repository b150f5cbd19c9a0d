// The connection in words.
import { computed, effect, signal } from '@preact/signals';
import type { Downgrade, TransportName } from '@konlog/client';
import { connection, connectionState } from './connection';
import { announce } from './announce';

export const transportNames: Record<TransportName, string> = { ws: 'WebSocket', sse: 'server-sent events', poll: 'long-polling' };
export const transportShort: Record<TransportName, string> = { ws: 'WS', sse: 'SSE', poll: 'Poll' };

/** Shorter absences are nobody's business. */
export const GRACE_MS = 1_000;

/** False once the connection has been away for longer than the grace. One state however often it is tried: nothing flickers. */
export const calm = signal(true);

let timer: ReturnType<typeof setTimeout> | undefined;
let was = true;
effect(() => {
  const { phase } = connectionState.value;
  // That somebody has to sign in is said elsewhere, and is no trouble of the network's.
  const up = phase === 'live' || phase === 'unauthorized';
  if (up) {
    clearTimeout(timer);
    timer = undefined;
    calm.value = true;
  } else {
    timer ??= setTimeout(() => (calm.value = false), GRACE_MS);
  }
});
effect(() => {
  const now = calm.value;
  if (now !== was) announce(now ? 'Connected again' : 'The connection is lost. Reconnecting.');
  was = now;
});

/** Why the transport is not the best one, and which it is. */
export function downgradeWords({ from, to, reason }: Downgrade): string {
  const name = transportNames[from];
  const why = {
    refused: `This network lets no ${name} through`,
    silent: `Nothing comes through by ${name} here`,
    failing: `${name[0]?.toUpperCase()}${name.slice(1)} keeps breaking on this network`,
    unsupported: `This browser has no ${name}`,
  }[reason];
  return `${why}: using ${transportNames[to]}.`;
}

/** One line on the state of the connection. */
export const stateWords = computed(() => {
  const { phase, shared } = connectionState.value;
  switch (phase) {
    case 'live':
      return shared ? 'Connected, through another tab' : 'Connected';
    case 'connecting':
      return 'Connecting';
    case 'waiting':
      return 'Not connected';
    case 'offline':
      return 'This device is offline';
    case 'unauthorized':
      return 'Signed out';
    case 'closed':
      return 'Closed';
  }
});

/** How far each session that this page reads is: the id it has, and the last there is. */
export const positions = new Map<string, { last: number; head: number }>();

connection.onMessage((message) => {
  const at = positions.get(message.session) ?? { last: 0, head: 0 };
  positions.set(message.session, at);
  if (message.kind === 'events') at.last = Math.max(at.last, message.events.at(-1)?.id ?? 0);
  else if (message.frame.type === 'reset') at.last = at.head = 0;
  else if ('head' in message.frame) at.head = message.frame.head;
  else if (message.frame.type === 'caught_up') at.last = Math.max(at.last, message.frame.id);
  at.head = Math.max(at.head, at.last);
});
