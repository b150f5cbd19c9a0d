// Where the time of a turn went, by the log's own times. The rules are those
// of store/timing.go, so that the sums are the server's `timing`.
import type { LogEvent } from '../types.js';
import { bag, idOf, ms, str } from './values.js';

/** queue: asked for and not begun. first: begun, and nothing heard of the agent yet. Each moment counts once, waiting before tools before thinking. */
export type Phase = 'queue' | 'first' | 'thinking' | 'tools' | 'waiting';

/** A stretch of one kind, in milliseconds since the epoch. */
export interface Segment {
  kind: Phase;
  start: number;
  end: number;
}

export interface ToolTime {
  toolId: string;
  name: string;
  parent: string;
  /** Ids of its start and of what ended it; 0 when that is not in the events. */
  from: number;
  to: number;
  start: number;
  end: number;
  ms: number;
  failed: boolean;
  running: boolean;
}

/** The members of the server's turn object, and what they are made of. */
export interface TurnTiming {
  turn: string;
  totalMs: number;
  queueMs: number;
  ttfeMs: number;
  thinkingMs: number;
  toolExecutionMs: number;
  waitingMs: number;
  toolCallCount: number;
  thinkingPct: number;
  toolsPct: number;
  ttfePct: number;
  /** Without holes from the first to the last, the queue before them; those of no length are left out. */
  segments: Segment[];
  /** All calls, the slowest first. */
  tools: ToolTime[];
}

/** Calls that are told apart in one turn; the server keeps as many. */
const callsMax = 10_000;

const notOfAgent = new Set(['prompt', 'turn_start', 'turn_end', 'stop_turn', 'permission_response', 'kontask_chosen', 'redacted', 'session_closed']);

/**
 * The timing of a turn from its events, of which those of other turns are passed over; of an open one up to `now` (default: its last
 * event). Unfolded events give the server's numbers. Of folded ones the time of a run is that of its end, so a turn that begins with text
 * seems to be heard of later than it was.
 */
export function turnTiming(events: readonly LogEvent[], turn: string, now?: number): TurnTiming {
  const clock = new Clock();
  for (const e of events) if (e.turn === turn) clock.apply(e);
  return clock.done(turn, now);
}

class Clock {
  private now = 0;
  private seen = false;
  private began = false;
  private start = 0;
  private heard = false;
  private ended = false;
  private queuedAt: number | undefined;
  private asked: string[] = [];
  private running = 0;
  private count = 0;
  private readonly calls: ToolTime[] = [];
  private readonly byId = new Map<string, ToolTime>();
  private segments: Segment[] = [];
  private prompted = false;
  private opened = false;

  apply(e: LogEvent): void {
    // A turn begins with a prompt or turn_start: what only names it before that is not part of it.
    if (!this.seen && e.type !== 'prompt' && e.type !== 'turn_start') return;
    if (this.ended) return;
    this.tick(ms(e.time), !this.seen);
    this.seen = true;
    if (!notOfAgent.has(e.type) && !this.heard) {
      if (!this.began) this.begin();
      this.heard = true;
    }
    switch (e.type) {
      case 'tool_start': return this.startTool(e);
      case 'tool_result': return this.endTool(e);
      case 'permission_request': case 'permission_response': return this.ask(e);
      case 'prompt':
        if (!this.prompted && !this.began) this.queuedAt = this.now;
        this.prompted = true;
        return;
      case 'turn_start':
        if (this.opened) return;
        this.opened = true;
        this.prompted ||= str(bag(e.data).prompt) !== '';
        return this.begin();
      case 'turn_end': return this.end(e);
    }
  }

  /** Gives the time that has passed to what was going on. It never runs backwards. */
  private tick(t: number, first: boolean): void {
    const now = Number.isNaN(t) || (t < this.now && !first) ? this.now : t;
    if (this.began && !first && now > this.now) {
      const kind = !this.heard ? 'first' : this.asked.length > 0 ? 'waiting' : this.running > 0 ? 'tools' : 'thinking';
      const last = this.segments.at(-1);
      if (last?.kind === kind && last.end === this.now) last.end = now;
      else this.segments.push({ kind, start: this.now, end: now });
    }
    this.now = now;
  }

  private begin(): void {
    this.began = true;
    this.start = this.now;
    this.heard = false;
    this.segments = [];
  }

  private ask(e: LogEvent): void {
    const id = str(bag(e.data).requestId);
    if (id === '') return;
    this.asked = this.asked.filter((a) => a !== id);
    if (e.type === 'permission_request') this.asked.push(id);
  }

  private startTool(e: LogEvent): void {
    if (e.from !== undefined) return; // more of an input
    const d = bag(e.data);
    const known = this.byId.get(idOf(d.id));
    if (known) {
      known.name ||= str(d.name);
      return;
    }
    if (this.call(e, { from: e.id, to: 0, start: this.now, end: this.now, running: true })) this.running++;
  }

  private endTool(e: LogEvent): void {
    const d = bag(e.data);
    const id = idOf(d.id);
    const call = id === '' ? this.calls.find((c) => c.toolId === '' && c.running) : this.byId.get(id);
    if (!call) {
      this.call(e, { from: 0, to: e.id, start: this.now, end: this.now, running: false });
      return;
    }
    call.name ||= str(d.name);
    if (!call.running) return;
    this.over(call, e);
    call.failed = d.isError === true;
    this.running--;
  }

  private call(e: LogEvent, at: Pick<ToolTime, 'from' | 'to' | 'start' | 'end' | 'running'>): boolean {
    if (at.from > 0 || this.calls.length < callsMax) this.count++;
    if (this.calls.length >= callsMax) return false;
    const d = bag(e.data);
    const call: ToolTime = { toolId: idOf(d.id), name: str(d.name), parent: e.parent ?? '', ms: 0, failed: at.running ? false : d.isError === true, ...at };
    this.calls.push(call);
    if (call.toolId !== '') this.byId.set(call.toolId, call);
    return true;
  }

  private over(call: ToolTime, e?: LogEvent): void {
    call.end = this.now;
    call.ms = call.end - call.start;
    if (!e) return;
    call.to = e.id;
    call.running = false;
  }

  private end(e: LogEvent): void {
    if (!this.began) this.begin();
    this.ended = true;
    for (const call of this.calls) if (call.running) this.over(call, e);
    this.running = 0;
    this.asked = [];
  }

  done(turn: string, now: number | undefined): TurnTiming {
    if (!this.ended && this.seen) this.tick(now ?? this.now, false);
    for (const call of this.calls) if (call.running) this.over(call);
    const sum = (kind: Phase): number => this.segments.reduce((n, s) => n + (s.kind === kind ? s.end - s.start : 0), 0);
    const totalMs = this.began ? this.now - this.start : 0;
    const [ttfeMs, thinkingMs, toolExecutionMs, waitingMs] = [sum('first'), sum('thinking'), sum('tools'), sum('waiting')];
    const begun = this.began ? this.start : this.now;
    const queueMs = this.queuedAt === undefined ? 0 : Math.max(0, begun - this.queuedAt);
    const segments = queueMs > 0 ? [{ kind: 'queue' as const, start: this.queuedAt!, end: begun }, ...this.segments] : this.segments;
    return {
      turn, totalMs, queueMs, ttfeMs, thinkingMs, toolExecutionMs, waitingMs, toolCallCount: this.count,
      thinkingPct: percent(thinkingMs, totalMs), toolsPct: percent(toolExecutionMs, totalMs), ttfePct: percent(ttfeMs, totalMs),
      segments, tools: [...this.calls].sort((a, b) => b.ms - a.ms || a.start - b.start),
    };
  }
}

function percent(part: number, total: number): number {
  return total <= 0 ? 0 : Math.floor((200 * part + total) / (2 * total));
}
