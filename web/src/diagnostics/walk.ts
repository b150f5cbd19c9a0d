// Walks the server's diagnosis script over each transport, from this page.
import type { TransportName } from '@konlog/client';
import type { Arrival, Walk } from './verdict';

/** How long a walk may take beyond the silence that was asked for. */
const PATIENCE_MS = 15_000;
/** Frames of a script at most. */
const FRAMES_MAX = 16;

type Read = (idle: number, signal: AbortSignal, add: (text: string) => boolean) => Promise<void>;
const readers: Record<TransportName, Read> = { ws: readWebSocket, sse: readStream, poll: readPolls };

/** One walk. It never rejects: what went wrong is in it. */
export async function walk(transport: TransportName, idle: number, outer: AbortSignal): Promise<Walk> {
  const arrivals: Arrival[] = [];
  const began = performance.now();
  const stop = new AbortController();
  const end = () => stop.abort(new Error('ended'));
  outer.addEventListener('abort', end);
  const timer = setTimeout(() => stop.abort(new Error('no answer in time')), PATIENCE_MS + idle * 1000);
  const add = (text: string) => {
    const { n, of, atMs } = JSON.parse(text) as Arrival;
    if (n !== arrivals.length + 1 || of < n || of > FRAMES_MAX) throw new Error('what came is not what the server sends');
    arrivals.push({ n, of, atMs, at: performance.now() - began });
    return n < of;
  };
  let error = '';
  let off = false;
  try {
    await readers[transport](idle, stop.signal, add);
  } catch (e) {
    off = e instanceof Off;
    const why: unknown = stop.signal.aborted ? stop.signal.reason : e;
    error = why instanceof Error ? why.message : 'it broke off';
  } finally {
    clearTimeout(timer);
    outer.removeEventListener('abort', end);
    stop.abort();
  }
  return { transport, arrivals, off, error, idle };
}

class Off extends Error {}

const path = (transport: TransportName, idle: number, n?: number) => `/v1/diag/${transport}?${new URLSearchParams({ ...(n && { n: String(n) }), ...(idle && { idle: String(idle) }) })}`;

async function refuse(answer: Response): Promise<never> {
  const problem = (await answer.json().catch(() => ({}))) as { code?: string };
  if (problem.code === 'transport_disabled') throw new Off('switched off');
  throw new Error(`HTTP ${answer.status} with ${answer.headers.get('Content-Type') ?? 'no type'}`);
}

function readWebSocket(idle: number, signal: AbortSignal, add: (text: string) => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(location.origin.replace(/^http/, 'ws') + path('ws', idle));
    let open = false;
    signal.addEventListener('abort', () => (reject(signal.reason), socket.close()));
    socket.onopen = () => (open = true);
    socket.onmessage = (e) => {
      try {
        if (!add(String(e.data))) resolve();
      } catch (error) {
        reject(error);
      }
    };
    // A browser does not say why: the same address without an upgrade tells whether it is switched off.
    socket.onclose = (e) => {
      const why = new Error(open ? `closed with ${e.code}` : 'the upgrade was refused');
      if (open) return reject(why);
      fetch(path('ws', idle), { signal }).then(refuse).catch((cause: unknown) => reject(cause instanceof Off ? cause : why));
    };
  });
}

async function readStream(idle: number, signal: AbortSignal, add: (text: string) => boolean): Promise<void> {
  const answer = await fetch(path('sse', idle), { signal, cache: 'no-store' });
  if (!answer.ok || !answer.body || !answer.headers.get('Content-Type')?.startsWith('text/event-stream')) return refuse(answer);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error('the stream ended');
    const lines = (rest + value).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line.startsWith('data:') && !add(line.slice(5))) return;
  }
}

async function readPolls(idle: number, signal: AbortSignal, add: (text: string) => boolean): Promise<void> {
  for (let n = 1, more = true; more; n++) {
    const answer = await fetch(path('poll', idle, n), { signal, cache: 'no-store' });
    if (!answer.ok) return refuse(answer);
    more = add(await answer.text());
  }
}
