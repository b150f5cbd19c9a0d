// What timings tell: the same judgement as `konlog doctor` gives, in words for
// people. Pure, so that it can be tried with any network.
import type { TransportName } from '@konlog/client';
import { duration } from '../parts/format';

/** A frame of the server's script, and when it came, milliseconds since the request. */
export interface Arrival {
  n: number;
  of: number;
  atMs: number;
  at: number;
}

/** One walk through the script over one transport. */
export interface Walk {
  transport: TransportName;
  arrivals: readonly Arrival[];
  /** The server does not offer it. */
  off: boolean;
  /** Why it ended early, '' when it did not. */
  error: string;
  /** Seconds of silence that were asked for before the last frame. */
  idle: number;
}

export interface Finding {
  check: string;
  status: 'ok' | 'warn' | 'fail' | 'off';
  detail: string;
  /** What to do, '' when there is nothing. */
  hint: string;
}

/** The delay of a frame from which streamed text looks broken. */
export const LAG_MAX = 400;
/** The difference of clocks that is worth a word. */
export const SKEW_MAX = 2_000;

const blocked: Record<TransportName, string> = {
  ws: 'A proxy on the way does not pass WebSocket upgrades on. Readers use server-sent events by themselves. In nginx: proxy_http_version 1.1, proxy_set_header Upgrade $http_upgrade, proxy_set_header Connection $connection_upgrade. Where it cannot be changed, WEBSOCKET_ENABLED=false saves the attempt.',
  sse: 'A proxy on the way does not pass event streams on. Readers use long-polling by themselves. Where it cannot be changed, SSE_ENABLED=false saves the attempt.',
  poll: 'Requests do not get through: look at the log of the proxy.',
};

export const buffers = 'Switch response buffering off for /v1/ (nginx: proxy_buffering off) and do not compress streams.';
const cuts = 'Something on the way ends streams early: raise its read or idle timeout above the heartbeat (nginx: proxy_read_timeout 1h).';

/** What a walk tells. */
export function judge(walk: Walk): Finding {
  const { arrivals, transport: check } = walk;
  const first = arrivals[0];
  const last = arrivals.at(-1);
  if (walk.off) return { check, status: 'off', detail: 'Switched off at the server.', hint: '' };
  if (!first || !last) return { check, status: 'fail', detail: `Nothing came: ${walk.error || 'the stream ended'}.`, hint: blocked[check] };
  if (arrivals.length < first.of) return cut(walk, first, last);
  const late = lag(arrivals);
  const sent = last.atMs - first.atMs;
  const paced = arrivals.slice(0, walk.idle > 0 ? -1 : undefined);
  const spread = (paced.at(-1)?.at ?? 0) - first.at;
  const due = (paced.at(-1)?.atMs ?? 0) - first.atMs;
  if (spread < due / 2) return { check, status: 'fail', detail: `All frames came at once, after ${duration(first.at)}: something on the way buffers.`, hint: buffers };
  const detail = `${arrivals.length} of ${first.of} frames over ${duration(sent)}, the first after ${duration(first.at)}, at most ${duration(late)} late.`;
  if (late > LAG_MAX) return { check, status: 'warn', detail, hint: 'The way is slow or gathers packets: text will come in lumps.' };
  return { check, status: 'ok', detail, hint: '' };
}

function cut(walk: Walk, first: Arrival, last: Arrival): Finding {
  const { arrivals, idle, transport: check, error } = walk;
  const why = error ? `: ${error}` : '';
  if (idle > 0 && arrivals.length === first.of - 1) return { check, status: 'fail', detail: `Cut during ${idle} s of silence${why}.`, hint: `${cuts} The server itself is never silent for longer than its heartbeat.` };
  return { check, status: 'fail', detail: `Cut after ${arrivals.length} of ${first.of} frames, ${duration(last.at)} after the start${why}.`, hint: cuts };
}

/** How much later than due the latest frame came, counted from the first. */
export function lag(arrivals: readonly Arrival[]): number {
  const first = arrivals[0];
  if (!first) return 0;
  return Math.max(...arrivals.map((a) => a.at - first.at - (a.atMs - first.atMs)), 0);
}

/** The server's clock less this one's, from one request: the best of several is that with the shortest way. */
export function skew(samples: readonly { began: number; ended: number; serverTime: number }[]): { skewMs: number; latencyMs: number } | undefined {
  const best = [...samples].sort((a, b) => a.ended - a.began - (b.ended - b.began))[0];
  if (!best) return undefined;
  return { skewMs: Math.round(best.serverTime - (best.began + best.ended) / 2), latencyMs: best.ended - best.began };
}

/** What the clocks tell. */
export function judgeClocks(of: { skewMs: number; latencyMs: number } | undefined): Finding {
  const check = 'clocks';
  if (!of) return { check, status: 'fail', detail: 'The server does not answer.', hint: 'Is it running, and does the proxy pass /health on?' };
  const detail = `Answers take ${duration(of.latencyMs)}; the clocks differ by ${duration(Math.abs(of.skewMs))}.`;
  if (Math.abs(of.skewMs) > SKEW_MAX) return { check, status: 'warn', detail, hint: 'Set the clocks by NTP. Ids are right all the same, times shown are not.' };
  return { check, status: 'ok', detail, hint: '' };
}

/** The worst of the findings, and what it means for the person. */
export function summary(findings: readonly Finding[]): { status: Finding['status']; text: string } {
  const of = (check: string) => findings.find((f) => f.check === check)?.status;
  const live = (['ws', 'sse', 'poll'] as const).filter((t) => of(t) === 'ok' || of(t) === 'warn');
  if (of('server') === 'fail' || (!live.length && of('clocks') === 'fail')) return { status: 'fail', text: 'The server cannot be reached, or takes no events.' };
  if (!live.length) return { status: 'fail', text: 'No transport works: nothing new will be shown without a reload.' };
  if (live.length === 1 && live[0] === 'poll') return { status: 'warn', text: 'Only long-polling works: nothing is lost, but text comes in lumps.' };
  if (of('ws') === 'fail') return { status: 'warn', text: 'WebSocket does not get through. Server-sent events do: all works, on a slightly longer way.' };
  if (findings.some((f) => f.status === 'fail' || f.status === 'warn')) return { status: 'warn', text: 'It works, with something worth a look.' };
  return { status: 'ok', text: 'All is well.' };
}

/** The findings as text, to be sent to who runs the server. */
export function report(facts: Record<string, string>, findings: readonly Finding[]): string {
  const lines = findings.map((f) => `${f.status.padEnd(4)}  ${f.check.padEnd(9)}  ${f.detail}${f.hint ? `\n      hint: ${f.hint}` : ''}`);
  return ['konlog diagnostics', ...Object.entries(facts).map(([k, v]) => `${k}: ${v}`), '', ...lines, ''].join('\n');
}
