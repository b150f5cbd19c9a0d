// What turns took, from the server's own derivation (docs/PROTOCOL.md 7.2):
// total = first event + thinking + tools + waiting; the queue stands before it.
import type { Turn } from '@konlog/client';

/** The parts of a turn's time, in the order in which they are drawn. */
export const PARTS = ['queue', 'ttfe', 'thinking', 'tools', 'waiting'] as const;
export type Part = (typeof PARTS)[number];

export const PART_NAMES: Record<Part, string> = {
  queue: 'Queue',
  ttfe: 'First event',
  thinking: 'Thinking and text',
  tools: 'Tools',
  waiting: 'Waiting for an answer',
};

export interface TurnTimes {
  parts: Record<Part, number>;
  /** From the start of the turn to its end. */
  totalMs: number;
  toolCalls: number;
}

/** The times of a turn; what is not there is 0. */
export function timesOf(turn: Turn): TurnTimes {
  const t = turn.timing ?? {};
  const ms = (v: number | undefined) => (typeof v === 'number' && v > 0 ? v : 0);
  const parts = { queue: ms(t.queueMs), ttfe: ms(t.ttfeMs), thinking: ms(t.thinkingMs), tools: ms(t.toolExecutionMs), waiting: ms(t.waitingMs) };
  return { parts, totalMs: ms(t.totalMs), toolCalls: t.toolCallCount ?? turn.toolCalls ?? 0 };
}

/** How long the bar of a turn is: its queue and its total. */
export function spanOf(times: TurnTimes): number {
  return times.parts.queue + Math.max(times.totalMs, times.parts.ttfe + times.parts.thinking + times.parts.tools + times.parts.waiting);
}

/** The line that says it all: "66.7 s, 0 tools, TTFE 0 %, thinking 100 %, tools 0 %". */
export function timingLine({ parts, totalMs, toolCalls }: TurnTimes): string {
  const share = (ms: number) => `${totalMs > 0 ? Math.round((100 * ms) / totalMs) : 0} %`;
  const waiting = parts.waiting > 0 ? `, waiting ${share(parts.waiting)}` : '';
  return `${(totalMs / 1000).toFixed(1)} s, ${toolCalls} ${toolCalls === 1 ? 'tool' : 'tools'}, TTFE ${share(parts.ttfe)}, thinking ${share(parts.thinking)}, tools ${share(parts.tools)}${waiting}`;
}

/** Tokens of a turn. Agents name them differently; what none of these names has is undefined. */
export interface Tokens {
  input: number | undefined;
  output: number | undefined;
  cacheRead: number | undefined;
  cacheWrite: number | undefined;
}

const NAMES: Record<keyof Tokens, readonly string[]> = {
  input: ['input_tokens', 'inputTokens', 'prompt_tokens', 'promptTokens', 'input'],
  output: ['output_tokens', 'outputTokens', 'completion_tokens', 'completionTokens', 'output'],
  cacheRead: ['cache_read_input_tokens', 'cacheReadInputTokens', 'cached_input_tokens', 'cachedInputTokens', 'cacheRead', 'cached'],
  cacheWrite: ['cache_creation_input_tokens', 'cacheCreationInputTokens', 'cacheWrite'],
};

/** The tokens that a usage tells of. */
export function tokensOf(usage: unknown): Tokens {
  const record = (typeof usage === 'object' && usage !== null ? usage : {}) as Record<string, unknown>;
  const find = (names: readonly string[]) => names.map((n) => record[n]).find((v): v is number => typeof v === 'number' && Number.isFinite(v));
  return { input: find(NAMES.input), output: find(NAMES.output), cacheRead: find(NAMES.cacheRead), cacheWrite: find(NAMES.cacheWrite) };
}

export interface Totals {
  turns: number;
  failed: number;
  parts: Record<Part, number>;
  totalMs: number;
  toolCalls: number;
  /** undefined when no turn told one. */
  costUsd: number | undefined;
  tokens: Tokens;
}

/** The sums over turns. What no turn tells of stays undefined, so that nothing is shown as free. */
export function totalsOf(turns: readonly Turn[]): Totals {
  const sum: Totals = {
    turns: turns.length,
    failed: 0,
    parts: { queue: 0, ttfe: 0, thinking: 0, tools: 0, waiting: 0 },
    totalMs: 0,
    toolCalls: 0,
    costUsd: undefined,
    tokens: { input: undefined, output: undefined, cacheRead: undefined, cacheWrite: undefined },
  };
  for (const turn of turns) {
    const times = timesOf(turn);
    const tokens = tokensOf(turn.usage);
    for (const part of PARTS) sum.parts[part] += times.parts[part];
    sum.totalMs += times.totalMs;
    sum.toolCalls += times.toolCalls;
    if (turn.success === false) sum.failed++;
    sum.costUsd = plus(sum.costUsd, turn.costUsd);
    for (const key of Object.keys(NAMES) as (keyof Tokens)[]) sum.tokens[key] = plus(sum.tokens[key], tokens[key]);
  }
  return sum;
}

function plus(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : b === undefined ? a : a + b;
}

/** A call of a tool, as a turn tells of it. */
export interface ToolCall {
  turn: string;
  id: string;
  name: string;
  /** Ids of the events. end is 0 while it runs. */
  start: number;
  end: number;
  startedAt: number;
  /** undefined while it runs, or when its result never came. */
  ms: number | undefined;
  failed: boolean;
}

/** The tool calls of a whole turn (not of one from a list, which has none). */
export function callsOf(turn: Turn): ToolCall[] {
  return turn.tools.map((t) => {
    const text = (v: unknown) => (typeof v === 'string' ? v : '');
    const startedAt = Date.parse(text(t.startedAt));
    const endedAt = Date.parse(text(t.endedAt));
    const ms = Number.isFinite(endedAt - startedAt) ? Math.max(0, endedAt - startedAt) : undefined;
    return { turn: turn.turn, id: text(t.id), name: text(t.name) || 'tool', start: Number(t.start) || 0, end: Number(t.end) || 0, startedAt, ms, failed: t.isError === true };
  });
}

/** The calls that took longest, at most `most` of them. */
export function slowest(calls: readonly ToolCall[], most: number): ToolCall[] {
  return calls.filter((c) => c.ms !== undefined).sort((a, b) => b.ms! - a.ms! || a.start - b.start).slice(0, most);
}

export interface ToolSum {
  name: string;
  calls: number;
  failed: number;
  ms: number;
  longestMs: number;
}

/** What each tool took, the most expensive first. */
export function byTool(calls: readonly ToolCall[]): ToolSum[] {
  const sums = new Map<string, ToolSum>();
  for (const call of calls) {
    const sum = sums.get(call.name) ?? { name: call.name, calls: 0, failed: 0, ms: 0, longestMs: 0 };
    sum.calls++;
    if (call.failed) sum.failed++;
    sum.ms += call.ms ?? 0;
    sum.longestMs = Math.max(sum.longestMs, call.ms ?? 0);
    sums.set(call.name, sum);
  }
  return [...sums.values()].sort((a, b) => b.ms - a.ms || a.name.localeCompare(b.name));
}

/** What turns can be sorted by. */
export const COLUMNS = ['first', 'total', 'queue', 'ttfe', 'thinking', 'tools', 'waiting', 'calls', 'cost', 'tokens'] as const;
export type Column = (typeof COLUMNS)[number];
export interface Order {
  by: Column;
  down: boolean;
}

/** Turns in an order. Those without a value stand last, whichever way; equal ones newest first. */
export function sorted(turns: readonly Turn[], { by, down }: Order): Turn[] {
  const keyed = turns.map((turn) => ({ turn, key: keyOf(turn, by) }));
  keyed.sort((a, b) => {
    if (a.key === undefined || b.key === undefined) return Number(a.key === undefined) - Number(b.key === undefined) || b.turn.first - a.turn.first;
    return (down ? b.key - a.key : a.key - b.key) || b.turn.first - a.turn.first;
  });
  return keyed.map((k) => k.turn);
}

function keyOf(turn: Turn, by: Column): number | undefined {
  const times = timesOf(turn);
  switch (by) {
    case 'first': return turn.first;
    case 'total': return times.totalMs;
    case 'calls': return times.toolCalls;
    case 'cost': return turn.costUsd;
    case 'tokens': return allTokens(tokensOf(turn.usage));
    default: return times.parts[by];
  }
}

/** Input and output together; undefined when neither is told. */
export function allTokens(tokens: Tokens): number | undefined {
  return plus(tokens.input, tokens.output);
}
