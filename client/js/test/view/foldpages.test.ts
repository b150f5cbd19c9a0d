// The fold against the real server: folded pages, turns, and what hello says.
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LogEvent, Page, Turn } from '../../src/types.js';
import { Fold } from '../../src/view/fold.js';
import { turnTiming } from '../../src/view/timing.js';
import { random, startServer, type Server } from '../rig.js';
import { generate } from './generate.js';
import { everyItem, shown, textOf } from './shown.js';

let server: Server;
beforeAll(async () => {
  server = await startServer();
}, 240_000);
afterAll(() => server?.close());

let made = 0;
async function restore(events: readonly LogEvent[], session = `s${++made}`): Promise<string> {
  const answer = await fetch(`${server.url}/v1/sessions/${session}/import`, {
    method: 'POST', headers: { 'content-type': 'application/x-ndjson' }, body: events.map((e) => JSON.stringify(e)).join('\n') + '\n',
  });
  if (!answer.ok) throw new Error(await answer.text());
  return session;
}

async function folded(session: string, through: number, limit: number): Promise<LogEvent[]> {
  const events: LogEvent[] = [];
  for (let after = 0; after < through; ) {
    const page = await server.call<Page>('GET', `/v1/sessions/${session}/events?fold=1&after=${after}&until=${through}&limit=${limit}`);
    events.push(...(page.events as LogEvent[]));
    after = page.next;
  }
  return events;
}

function foldOf(events: readonly LogEvent[]): Fold {
  const fold = new Fold();
  fold.apply(events);
  return fold;
}

async function everySplit(events: LogEvent[], seed: number, splits: number): Promise<void> {
  const session = await restore(events);
  const want = shown(foldOf(events.map((e) => ({ ...e, session }))).conversation);
  const next = random(seed);
  for (let i = 0; i < splits; i++) {
    const k = splits >= events.length ? i + 1 : 1 + Math.floor(next() * events.length);
    if (k > events.length) return;
    const page = await folded(session, k, i % 3 === 0 ? 7 : 10_000);
    const fold = foldOf(page);
    fold.apply(events.slice(k).map((e) => ({ ...e, session })));
    expect(shown(fold.conversation), `seed ${seed}, the first ${k} of ${events.length} folded`).toEqual(want);
  }
}

test('P12: folded up to any event and unfolded from there shows what the unfolded log shows', async () => {
  for (let seed = 1; seed <= 6; seed++) await everySplit(generate(seed, 120), seed, 200);
  for (let seed = 100; seed < 130; seed++) await everySplit(generate(seed, 300), seed, 8);
}, 120_000);

test('P12: real recordings show the same folded, as the agents’ own lines and as neutral events', async () => {
  const dir = fileURLToPath(new URL('../../../../testdata/recordings/', import.meta.url));
  for (const file of readdirSync(dir)) {
    const lines = readFileSync(dir + file, 'utf8').split('\n').filter(Boolean);
    const log = lines.map((line, i): LogEvent => ({ id: i + 1, session: 's', type: 'agent', time: at(i), data: parsed(line) }));
    await everySplit(log, 1, 8);
    await everySplit(neutral(log), 2, 25);
  }
}, 120_000);

const at = (i: number): string => new Date(Date.UTC(2026, 0, 1) + i * 37).toISOString();
function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return line;
  }
}

/** What the fold makes of the lines as neutral events: deltas are taken from the streams. */
function neutral(log: LogEvent[]): LogEvent[] {
  const out: LogEvent[] = [];
  const emit = (type: string, data: unknown): void => void out.push({ id: out.length + 1, session: 's', type, turn: 'r', time: at(out.length), data });
  for (const { data } of log) {
    const m = ((data as { msg?: unknown })?.msg ?? data) as Record<string, any>;
    const d = m?.event?.delta;
    if (typeof d?.text === 'string') emit('text_delta', { text: d.text, block: m.event.index });
    else if (typeof d?.thinking === 'string') emit('thinking_delta', { text: d.thinking });
    else if (typeof d?.partial_json === 'string') emit('tool_delta', { id: `call ${m.event.index}`, text: d.partial_json });
    else if (m?.type === 'message' && m.role === 'assistant') emit('text_delta', { text: m.content });
    else if (m?.params?.update?.content?.text) emit('text_delta', { text: m.params.update.content.text });
    else for (const c of Array.isArray(m?.message?.content) ? m.message.content : []) {
      if (c.type === 'text') emit('text', { text: c.text });
      if (c.type === 'thinking') emit('thinking', { text: c.thinking });
      if (c.type === 'tool_use') emit('tool_start', { id: c.id, name: c.name, input: c.input });
      if (c.type === 'tool_result') emit('tool_result', { id: c.tool_use_id, output: c.content });
    }
  }
  return out;
}

interface Hello { questions: { requestId: string }[]; tasks: { taskId: string }[]; kontasks: { kontaskId: string }[]; status: { turn?: string; queued: number } }
async function hello(session: string, after: number): Promise<Hello> {
  const abort = new AbortController();
  const answer = await fetch(`${server.url}/v1/sessions/${session}/sse?after=${after}`, { signal: abort.signal });
  let text = '';
  for await (const part of answer.body!.pipeThrough(new TextDecoderStream() as never) as AsyncIterable<string>) {
    text += part;
    const found = /event: hello\ndata: (.*)\n/.exec(text);
    if (!found) continue;
    abort.abort();
    return JSON.parse(found[1]!) as Hello;
  }
  throw new Error('no hello');
}

test('what is open and what turns came to is what the server says, after any part of a log', async () => {
  for (let seed = 1; seed <= 8; seed++) {
    const events = generate(seed + 1000, 160, { plain: true });
    const session = `b${seed}`;
    const next = random(seed);
    const fold = new Fold();
    for (let k = 0; k < events.length; ) {
      const to = Math.min(events.length, k + 1 + Math.floor(next() * 25));
      const part = events.slice(k, (k = to)).map((e) => ({ ...e, session }));
      await restore(part, session);
      fold.apply(part);
      await sameAsServer(fold, events.slice(0, to), session, `seed ${seed} at ${to}`);
    }
  }
}, 120_000);

async function sameAsServer(fold: Fold, log: readonly LogEvent[], session: string, what: string): Promise<void> {
  const c = fold.conversation;
  const says = await hello(session, c.last);
  expect(c.questions.map((q) => q.requestId), what).toEqual(says.questions.map((q) => q.requestId));
  expect(c.tasks.map((t) => t.taskId).sort(), what).toEqual(says.tasks.map((t) => t.taskId).sort());
  expect(c.kontasks.map((k) => k.kontaskId).sort(), what).toEqual(says.kontasks.map((k) => k.kontaskId).sort());
  expect([c.openTurn?.turn, c.queued.length], what).toEqual([says.status.turn, says.status.queued]);
  for (const s of c.sections) {
    if (s.turn === '' || s.state === 'loose') continue;
    const turn = await server.call<Turn>('GET', `/v1/sessions/${session}/turns/${s.turn}`);
    const mine = { state: s.state, text: textOf(s), success: !!s.success, reason: s.reason, error: s.error, prompt: s.prompt, usage: s.usage, cost: s.costUsd, startedAt: s.startedAt };
    const theirs = {
      state: turn.state, text: turn.text ?? '', success: !!turn.success, reason: turn.reason ?? '', error: turn.error ?? '', prompt: turn.prompt ?? '',
      usage: turn.usage ?? undefined, cost: turn.costUsd ?? undefined, startedAt: s.startedAt && turn.startedAt,
    };
    expect(mine, `${what}, ${s.turn}`).toEqual(theirs);
    if (s.state === 'ended') {
      const { turn: _turn, segments, tools: _tools, ...mineTiming } = turnTiming(log, s.turn);
      expect(mineTiming, `${what}, timing of ${s.turn}`).toEqual(turn.timing);
      expect(segments.reduce((n, g) => n + g.end - g.start, 0), what).toBe(mineTiming.totalMs + mineTiming.queueMs);
    }
    expect(toolsOf(s), `${what}, tools of ${s.turn}`).toEqual(serverTools(turn));
  }
}

/** Tools that were started or ended; by their deltas alone the server does not count one. */
function toolsOf(s: { items: readonly any[]; turn: string }): string[] {
  return [...everyItem(s.items)].flatMap((i) => (i.kind === 'tool' && i.turn === s.turn && (i.name !== '' || i.output !== undefined) ? [`${i.toolId} ${i.state} ${i.durationMs ?? '-'}`] : [])).sort();
}

function serverTools(turn: Turn): string[] {
  const ofTurn = (turn as { endId?: number }).endId;
  return ((turn.tools ?? []) as Record<string, any>[]).map((t) => {
    const state = !t.end ? 'running' : t.end === ofTurn ? 'ended' : t.isError ? 'failed' : 'done';
    const took = t.start && t.end ? Date.parse(t.endedAt) - Date.parse(t.startedAt) : '-';
    return `${t.id ?? ''} ${state} ${took}`;
  }).sort();
}
