// A server of one session for tests: pages as docs/PROTOCOL.md describes them,
// out of texts that stay as they are.
import type { Pages } from '../src/replay/wire';

export interface Recorded {
  /** Event objects as they are sent, ascending and dense but for redacted ones. */
  texts: string[];
  redacted?: [from: number, to: number];
  epoch?: string;
  session?: string;
  info?: string;
  turns?: Record<string, string>;
  /** Paths that were asked for. */
  asked: string[];
}

interface Event {
  id: number;
  from?: number;
  type: string;
  turn?: string;
  data: { text?: string };
}

const idOf = (text: string) => Number(/^\{"id":(\d+)/.exec(text)![1]);

export function recorded(texts: string[], more: Partial<Recorded> = {}): Recorded & Pages {
  const log: Recorded = { texts, asked: [], ...more };
  return Object.assign(log, { text: async (path: string) => answer(log, path) });
}

function answer(log: Recorded, path: string): string {
  log.asked.push(path);
  const url = new URL(path, 'http://server');
  if (url.pathname.endsWith('/events')) return page(log, url.searchParams);
  if (/\/turns\/[^/]+$/.test(url.pathname)) return log.turns![decodeURIComponent(url.pathname.split('/').pop()!)]!;
  if (url.pathname.endsWith('/turns')) return `{"turns":[${Object.keys(log.turns!).reverse().map((t) => JSON.stringify({ turn: t })).join(',')}]}`;
  return log.info!;
}

function page(log: Recorded, query: URLSearchParams): string {
  const [from, to] = log.redacted ?? [0, 0];
  const head = Math.max(0, log.texts.length > 0 ? idOf(log.texts.at(-1)!) : 0, to);
  const limit = Number(query.get('limit') ?? 1000);
  const gone = (id: number) => from > 0 && id >= from && id <= to;
  const until = Number(query.get('until') ?? head);
  const before = query.get('before');
  const ids: number[] = [];
  let next: number;
  let gap = '';
  if (before !== null) {
    next = Math.min(Number(before), head + 1);
    if (gone(next - 1)) [gap, next] = [hole(from, to), from];
    while (ids.length < limit && next > 1 && !gone(next - 1)) ids.unshift(--next);
  } else {
    next = query.has('tail') ? Math.max(0, head - Number(query.get('tail'))) : Number(query.get('after') ?? 0);
    if (gone(next + 1)) [gap, next] = [hole(next + 1, to), to];
    while (ids.length < limit && next < Math.min(head, until) && !gone(next + 1)) ids.push(++next);
  }
  const types = query.get('types')?.split(',');
  const turn = query.get('turn');
  // Dense but for what is redacted, so an id says where its text is.
  let texts = ids.map((id) => log.texts[id - 1 - (from > 0 && id > to ? to - from + 1 : 0)]!);
  if (query.get('raw') !== '1') texts = texts.map((t) => t.replace(/,"raw":.*\}$/s, '}'));
  if (query.get('fold') === '1') texts = folded(texts);
  texts = texts.filter((t) => {
    const e = JSON.parse(t) as Event;
    return (!types || types.includes(e.type)) && (!turn || e.turn === turn);
  });
  const done = before !== null ? next <= 1 : next >= head;
  return `{"session":"s","epoch":"${log.epoch ?? 'e1'}","floor":1,"head":${head},"status":{},${gap}"events":[${texts.join(',')}],"next":${next},"caughtUp":${done}}`;
}

const hole = (from: number, to: number) => `"gap":{"type":"gap","session":"s","from":${from},"to":${to},"reason":"redacted"},`;

// Runs of text deltas as one event: enough of P12 for a reader to be wrong in.
function folded(texts: string[]): string[] {
  const out: Event[] = [];
  for (const e of texts.map((t) => JSON.parse(t) as Event)) {
    const last = out.at(-1);
    const run = last && last.id === e.id - 1 && e.type === 'text_delta' && last.turn === e.turn && (last.type === 'text_delta' || (last.type === 'text' && last.from !== undefined));
    if (run) out[out.length - 1] = { ...e, from: last.from ?? last.id, type: 'text', data: { text: `${last.data.text}${e.data.text}` } };
    else out.push(e);
  }
  return out.map((e) => JSON.stringify(e));
}

/** A conversation of turns with text, tools, a question, an error and a kontask. */
export function aLog(turns: number): string[] {
  const out: string[] = [];
  let at = Date.parse('2026-11-20T17:00:00Z');
  const add = (ms: number, type: string, turn: string | undefined, data: unknown) => {
    at += ms;
    out.push(JSON.stringify({ id: out.length + 1, session: 's', type, turn, time: new Date(at).toISOString(), data }));
  };
  for (let n = 1; n <= turns; n++) {
    const t = `t${n}`;
    add(10_000, 'prompt', t, { text: `Prompt ${n}` });
    add(100, 'turn_start', t, { requestId: t });
    for (const word of ['One ', 'two ', 'three ', 'four.']) add(50, 'text_delta', t, { text: word });
    add(10, 'text', t, { text: 'One two three four.' });
    add(10, 'tool_start', t, { id: `x${n}`, name: 'Bash', input: { command: `ls ${n}` } });
    add(400, 'tool_result', t, { id: `x${n}`, output: 'ok', isError: n === 2 });
    if (n === 1) {
      add(10, 'permission_request', t, { requestId: 'q', tool: 'Write' });
      add(60_000, 'permission_response', t, { requestId: 'q', allow: true });
    }
    for (const word of ['And ', 'so ', 'on ']) add(50, 'text_delta', t, { text: word });
    add(20, 'turn_end', t, { requestId: t, success: n !== 3, reason: n === 3 ? 'error' : 'done' });
  }
  add(1000, 'kontask_ready', undefined, { kontaskId: 'k', status: 'ready', title: 'A card' });
  return out;
}
