// Random logs that a server would have taken: turns that open and end once,
// blocks, tools, subagents, questions, kontasks, tasks and what comes late.
import type { LogEvent } from '../../src/types.js';
import { random } from '../rig.js';

const blocks: (string | number | undefined)[] = [undefined, undefined, undefined, 'a', 'b', 1, '1'];
const tools: (string | number)[] = ['t1', 't2', 't3', 't4', 7];
const words = ['I’ll ', 'read ', 'the ', 'file', '.\n', '東京 ', '👩‍💻 ', '"quoted" ', '\\ ', ''];

interface Options {
  /** Only what the server's own turns count: nothing late, no parents that come later. */
  plain?: boolean;
}

/** A log of n events or a few more. The same seed gives the same log. */
export function generate(seed: number, n: number, options: Options = {}): LogEvent[] {
  return new Generator(seed, options).run(n);
}

class Generator {
  private readonly next: () => number;
  private readonly events: LogEvent[] = [];
  private clock = Date.UTC(2026, 0, 1);
  private open = '';
  private readonly queued: string[] = [];
  private readonly ended: string[] = [];
  private readonly questions = new Map<string, string>();
  private readonly kontasks = new Map<string, boolean>();
  private count = 0;

  constructor(seed: number, private readonly options: Options) {
    this.next = random(seed);
  }

  run(n: number): LogEvent[] {
    while (this.events.length < n) this.step();
    return this.events;
  }

  private pick<T>(all: readonly T[]): T {
    return all[Math.floor(this.next() * all.length)]!;
  }

  private chance(p: number): boolean {
    return this.next() < p;
  }

  private text(): string {
    return Array.from({ length: 1 + Math.floor(this.next() * 3) }, () => this.pick(words)).join('');
  }

  private emit(type: string, data: unknown, at: { turn?: string; parent?: string } = {}): void {
    this.clock += this.chance(0.3) ? 0 : Math.floor(this.next() * 900);
    const event: LogEvent = { id: this.events.length + 1, session: 's', type, time: new Date(this.clock).toISOString(), data };
    const turn = at.turn ?? this.open;
    // The order of the keys is that of the wire.
    this.events.push({ id: event.id, session: 's', type, ...(turn && { turn }), ...(at.parent && { parent: at.parent }), time: event.time, data } as LogEvent);
  }

  private step(): void {
    const p = this.next();
    if (this.options.plain && !this.open && p < 0.56) return this.turn();
    if (p < 0.34) this.say();
    else if (p < 0.56) this.tool();
    else if (p < 0.72) this.turn();
    else if (p < 0.80) this.question();
    else if (p < 0.86) this.kontask();
    else if (p < 0.92) this.task();
    else this.odd();
  }

  private place(): { turn?: string; parent?: string } {
    const parent = this.chance(0.25) ? String(this.pick(tools)) : '';
    if (this.options.plain) return { parent };
    if (this.chance(0.06)) return { turn: '', parent };
    if (this.chance(0.06) && this.ended.length > 0) return { turn: this.pick(this.ended), parent };
    return { parent };
  }

  private say(): void {
    const at = this.place();
    const kind = this.chance(0.7) ? 'text' : 'thinking';
    const block = this.pick(blocks);
    const name = block === undefined ? {} : { block };
    for (let i = Math.floor(this.next() * 6); i > 0; i--) {
      if (this.chance(0.1)) this.pick([() => this.tool(), () => this.odd(), () => this.say()])();
      this.emit(`${kind}_delta`, { text: this.text(), ...name, ...(this.chance(0.06) && { extra: 1 }) }, at);
    }
    if (this.chance(0.4)) this.emit(kind, { text: this.text(), ...name }, at);
    else if (this.chance(0.05)) this.emit(kind, { text: 'odd', block: null }, at);
  }

  private tool(): void {
    const at = this.place();
    const id = this.pick(tools);
    const p = this.next();
    if (p < 0.3) this.emit('tool_start', { id, name: 'Bash', ...(this.chance(0.5) && { input: { command: this.text() } }) }, at);
    else if (p < 0.34) this.emit('tool_start', { name: 'nameless', input: null }, at);
    else if (p < 0.37) this.emit('tool_result', { output: 'of a nameless one' }, at);
    else if (p < 0.6) for (let i = 3; i > 0; i--) this.emit('tool_delta', { id, text: this.text() }, at);
    else if (p < 0.75) this.emit('tool_start', { id, name: 'Bash', input: { command: this.text() } }, at);
    else this.emit('tool_result', { id, output: this.text(), ...(this.chance(0.3) && { isError: true }) }, at);
  }

  private turn(): void {
    const p = this.next();
    if (p < 0.3) {
      const turn = `r-${++this.count}`;
      this.queued.push(turn);
      this.emit('prompt', { text: this.text(), source: this.pick(['user', 'inject', 'api']) }, { turn });
    } else if (p < 0.4 && this.open) {
      this.emit('prompt', { text: 'steer' });
    } else if (!this.open) {
      this.open = this.queued.shift() ?? `r-${++this.count}`;
      this.emit('turn_start', { agent: 'a', ...(this.chance(0.5) && { prompt: 'begin' }) });
    } else if (p < 0.75) {
      this.end(this.open);
      this.open = '';
    } else if (p < 0.8 && this.queued.length > 0) {
      this.end(this.queued.pop()!);
    } else if (p < 0.85) {
      this.emit('stop_turn', { reason: 'enough' });
    }
  }

  private end(turn: string): void {
    const success = this.chance(0.6);
    this.emit('turn_end', {
      success, ...(this.chance(0.5) && { reason: success ? 'done' : this.pick(['error', 'stopped', 'exit']) }), ...(!success && { error: 'it broke' }),
      ...(this.chance(0.3) && { fullText: 'all of it' }), ...(this.chance(0.3) && { costUsd: 0.25, usage: { output: 5 } }),
    }, { turn });
    this.ended.push(turn);
    for (const [id, of] of this.questions) if (of === turn) this.questions.delete(id);
  }

  private question(): void {
    const [id] = this.questions.keys();
    if (id !== undefined && this.chance(0.6)) {
      this.emit('permission_response', { requestId: id, allow: this.chance(0.5), by: 'me' }, { turn: this.questions.get(id)! });
      this.questions.delete(id);
    } else if (this.open) {
      const requestId = `q${++this.count}`;
      this.questions.set(requestId, this.open);
      this.emit('permission_request', { requestId, tool: 'Bash', input: { command: 'ls' }, options: ['once', { optionId: 'always', name: 'Always' }] }, { parent: this.chance(0.3) ? 't1' : '' });
    }
  }

  private kontask(): void {
    const at = { turn: this.ended.length > 0 && this.chance(0.5) ? this.pick(this.ended) : this.open };
    const p = this.next();
    const known = [...this.kontasks.keys()];
    const kontaskId = known.length > 0 && p < 0.6 ? this.pick(known) : `k${++this.count}`;
    if (this.kontasks.get(kontaskId) === true) return;
    if (!this.kontasks.has(kontaskId) && p < 0.8) {
      this.emit('kontask_created', { id: kontaskId, status: 'working', title: this.text() }, at);
      this.kontasks.set(kontaskId, false);
    } else if (p < 0.15 && this.kontasks.has(kontaskId)) {
      this.emit('kontask_chosen', { kontaskId, choice: 0, label: 'Go', value: 'go on' }, at);
      this.kontasks.set(kontaskId, true);
    } else {
      this.emit(p < 0.4 ? 'kontask_updated' : 'kontask_ready', { kontaskId, status: 'done', title: this.text(), context: { choices: [{ label: 'Go', value: 'go on' }] } }, at);
      this.kontasks.set(kontaskId, false);
    }
  }

  private task(): void {
    const taskId = `b${1 + Math.floor(this.next() * 4)}`;
    const type = this.pick(['task_start', 'task_update', 'task_end']);
    this.emit(type, { taskId, title: this.text(), ...(type === 'task_end' && { success: this.chance(0.7) }) });
  }

  private odd(): void {
    const at = this.place();
    this.pick([
      () => this.emit('usage', { output: 3, costUsd: 0.5 }, at),
      () => this.emit('plan', { items: [{ text: 'first', state: 'done' }, 'second'] }, at),
      () => this.emit('error', { error: { message: 'overloaded' } }, at),
      () => this.emit('process_exit', { exitCode: 1 }, at),
      () => this.emit('app.custom', { x: [1, 2] }, at),
      () => this.emit('session_init', { sessionId: 'agent-1', model: 'm-1' }, at),
      () => !this.options.plain && this.emit('agent', { type: 'assistant', message: { id: 'm', content: [{ type: 'text', text: this.text() }] } }, at),
      () => this.emit('agent', { type: 'system', subtype: 'status' }, at),
      () => this.emit('agent', 'a line of text', at),
    ])();
  }
}
