// The checks in their order, as signals.
import type { Realtime, TransportName } from '@konlog/client';
import { signal } from '@preact/signals';
import { judge, judgeClocks, skew, type Finding, type Walk } from './verdict';
import { walk } from './walk';

const TRANSPORTS: readonly TransportName[] = ['ws', 'sse', 'poll'];
/** Requests from which the latency is taken. */
const SAMPLES = 5;
/** An answer of the health page may take this long. */
const HEALTH_MS = 8_000;

export const running = signal(false);
export const findings = signal<readonly Finding[]>([]);
export const walks = signal<readonly Walk[]>([]);
export const realtime = signal<Realtime | undefined>(undefined);

let stop: AbortController | undefined;

/** Ends what runs. */
export function cancel(): void {
  stop?.abort();
}

/** Runs all checks; the transports one after the other, so that none is the reason of another's delay. */
export async function examine(idle: number): Promise<void> {
  cancel();
  const mine = (stop = new AbortController());
  running.value = true;
  findings.value = walks.value = [];
  const add = (finding: Finding) => (findings.value = [...findings.value, finding]);
  try {
    for (const finding of await health(mine.signal)) add(finding);
    for (const transport of TRANSPORTS) {
      if (mine.signal.aborted) return;
      const result = await walk(transport, idle, mine.signal);
      if (mine.signal.aborted) return;
      walks.value = [...walks.value, result];
      add(judge(result));
    }
  } finally {
    if (stop === mine) running.value = false;
  }
}

async function health(signal: AbortSignal): Promise<Finding[]> {
  const samples = [];
  let last: Realtime | undefined;
  for (let n = 0; n < SAMPLES; n++) {
    // Date for the clock, since performance.now knows no time of day.
    const began = Date.now();
    const answer = await ask<Realtime>('/health/realtime', signal);
    if (!answer || typeof answer.serverTime !== 'string') break;
    samples.push({ began, ended: Date.now(), serverTime: Date.parse(answer.serverTime) });
    last = answer;
  }
  realtime.value = last;
  return [judgeServer(last), judgeClocks(skew(samples))];
}

/** What the server says of itself. */
export function judgeServer(of: Realtime | undefined): Finding {
  const check = 'server';
  if (!of) return { check, status: 'fail', detail: 'The answer is not that of a konlog server.', hint: 'Does the proxy pass all paths on, /health too?' };
  if (of.draining) return { check, status: 'warn', detail: 'It is stopping.', hint: 'Try again in a moment.' };
  if (!of.writable) return { check, status: 'fail', detail: 'Its disk takes no writes: new events are refused, reading goes on.', hint: 'Look at the free space of its data directory (df) and at its log. It goes on by itself when there is space.' };
  return { check, status: 'ok', detail: `konlog ${of.version} takes events.`, hint: '' };
}

async function ask<T>(path: string, outer: AbortSignal): Promise<T | undefined> {
  try {
    const answer = await fetch(path, { cache: 'no-store', signal: AbortSignal.any([outer, AbortSignal.timeout(HEALTH_MS)]) });
    return answer.ok ? ((await answer.json()) as T) : undefined;
  } catch {
    return undefined;
  }
}
