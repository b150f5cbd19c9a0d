// What an agent's own line says to a person. Each format that `konlog ingest`
// brings is read for what it has in common with the neutral events; a line
// that nobody knows becomes a row.
import { acp, gemini, opencode, openai } from './agentformats.js';
import type { PlanItem } from './types.js';
import { bag, errorText, idOf, isBag, list, num, str, textOf, type Bag } from './values.js';

export type Piece =
  /** block undefined: the open block of its place. */
  | { is: 'block'; kind: 'text' | 'thinking'; text: string; whole: boolean; block?: string; parent?: string }
  /** once: the same prompt is told again under this name. */
  | { is: 'prompt'; text: string; once?: string; images?: unknown; parent?: string }
  /** text: more of the input as it streams. */
  | { is: 'tool'; id: string; name: string; input?: unknown; text?: string; parent?: string }
  | { is: 'result'; id: string; name?: string; output: unknown; failed: boolean; parent?: string }
  | { is: 'plan'; items: PlanItem['items'] }
  | { is: 'init'; id: string; model: string }
  | { is: 'bill'; usage: unknown; costUsd?: number }
  | { is: 'notice'; tone: 'error' | 'warning' | 'info'; text: string; detail?: string }
  | { is: 'row'; label: string; failed?: boolean; minor?: boolean };

/** Names of one format that are said first and needed later; older ones are forgotten. */
const namesMax = 500;

/** A map of bounded size that forgets what was put first. */
export class Few<V> extends Map<string, V> {
  override set(key: string, value: V): this {
    if (this.size >= namesMax && !this.has(key)) this.delete(this.keys().next().value!);
    return super.set(key, value);
  }
}

/** What the lines so far said that later ones refer to. One per log: lines are given in its order. */
export class Interpreter {
  /** Of Anthropic's stream, by parent: the message that streams. */
  private readonly current = new Few<string>();
  /** Its blocks: a tool's id, or the kind of text. */
  private readonly blocks = new Few<{ tool?: string; kind?: 'text' | 'thinking' }>();
  /** Blocks that were streamed and whose whole is still to come, by message and kind. */
  private readonly streamed = new Few<string[]>();
  /** Of opencode: what a part or a message is. Of completions: the id of a call by its place. */
  readonly kinds = new Few<string>();
  /** Codex counts its items anew in every thread. */
  private thread = 0;
  private wholes = 0;

  /** Never throws, whatever the line holds. */
  read(data: unknown): Piece[] {
    if (!isBag(data)) return [{ is: 'row', label: brief(typeof data === 'string' ? data : 'line') }];
    const line = isBag(data.msg) ? data.msg : data;
    try {
      const found = this.line(line);
      if (found && found.length > 0) return found;
    } catch { /* a member of a form that nobody expected: it is a row */ }
    const failed = line.is_error === true || !!line.error || /error|failed/.test(`${str(line.type)} ${str(line.subtype)} ${str(line.status)}`);
    return [{ is: 'row', label: label(line), failed, minor: !failed && (!!line.jsonrpc || bookkeeping.test(str(line.type))) }];
  }

  private line(m: Bag): Piece[] | undefined {
    const type = str(m.type);
    const parent = str(m.parent_tool_use_id);
    if (isBag(m.event)) return this.anthropic(m.event, parent);
    if (/^(?:content_block_|message_start$)/.test(type)) return this.anthropic(m, '');
    if (/^response\./.test(type) || Array.isArray(m.choices)) return openai(m, this.kinds);
    if (type.startsWith('thread.') || type.startsWith('turn.') || (isBag(m.item) && type.startsWith('item.'))) return this.codex(m, type);
    if (type === 'control_request' && str(bag(m.request).tool_name)) return [{ is: 'row', label: `permission asked: ${str(bag(m.request).tool_name)}` }];
    if (m.method || m.jsonrpc) return acp(m);
    if (isBag(m.properties) || isBag(m.part)) return opencode(m, this.kinds);
    if ((type === 'user' || type === 'assistant') && bag(m.message).content !== undefined) return this.message(m, type, parent);
    if (type === 'result' && m.stats === undefined) return claudeResult(m);
    if (type === 'system' && m.subtype === 'init') return [{ is: 'init', id: str(m.session_id), model: str(m.model) }, { is: 'row', label: 'init · system', minor: true }];
    return gemini(m, type);
  }

  /** An event of a streamed message. */
  private anthropic(e: Bag, parent: string): Piece[] | undefined {
    const block = bag(e.content_block);
    const delta = bag(e.delta);
    const name = `${parent} ${this.current.get(parent) ?? ''} ${idOf(e.index)}`;
    switch (e.type) {
      case 'message_start':
        this.current.set(parent, str(bag(e.message).id));
        return undefined;
      case 'content_block_start':
        return this.blockStart(name, block, parent);
      case 'content_block_delta': {
        const { tool } = this.blocks.get(name) ?? {};
        if (typeof delta.text === 'string') return [{ is: 'block', kind: 'text', text: delta.text, whole: false, block: name, parent }];
        if (typeof delta.thinking === 'string') return [{ is: 'block', kind: 'thinking', text: delta.thinking, whole: false, block: name, parent }];
        if (typeof delta.partial_json === 'string' && tool) return [{ is: 'tool', id: tool, name: '', text: delta.partial_json, parent }];
        return [{ is: 'row', label: `content_block_delta ${str(delta.type)}`, minor: true }];
      }
      case 'content_block_stop': return [{ is: 'row', label: 'content_block_stop', minor: true }];
    }
    return undefined;
  }

  private blockStart(name: string, block: Bag, parent: string): Piece[] {
    if (/tool_use$/.test(str(block.type))) {
      this.blocks.set(name, { tool: str(block.id) });
      return [{ is: 'tool', id: str(block.id), name: str(block.name), parent }];
    }
    if (block.type === 'text' || block.type === 'thinking') {
      const key = `${parent} ${this.current.get(parent) ?? ''} ${block.type}`;
      const waiting = this.streamed.get(key);
      if (waiting) waiting.push(name);
      else this.streamed.set(key, [name]);
      const text = str(block.type === 'text' ? block.text : block.thinking);
      return text === '' ? [{ is: 'row', label: 'content_block_start', minor: true }] : [{ is: 'block', kind: block.type, text, whole: false, block: name, parent }];
    }
    return [{ is: 'row', label: `content_block_start ${str(block.type)}`, minor: true }];
  }

  /** A message as a whole, or one block of it, which then supersedes what was streamed. */
  private message(m: Bag, role: 'user' | 'assistant', parent: string): Piece[] {
    const message = bag(m.message);
    const content = typeof message.content === 'string' ? [{ type: 'text', text: message.content }] : list(message.content).map(bag);
    return content.flatMap((c, i): Piece[] => {
      const type = str(c.type);
      if (type === 'text' && role === 'user') return [{ is: 'prompt', text: str(c.text), once: m.uuid ? `${str(m.uuid)} ${i}` : '', images: i === 0 ? content.filter((o) => o.type === 'image') : [], parent }];
      if (type === 'text' || type === 'thinking') {
        return [{ is: 'block', kind: type, text: str(type === 'text' ? c.text : c.thinking), whole: true, block: this.wholeOf(parent, str(message.id), type), parent }];
      }
      if (/tool_use$/.test(type)) return [{ is: 'tool', id: str(c.id), name: str(c.name), input: c.input, parent }];
      if (/tool_result$/.test(type)) return [{ is: 'result', id: str(c.tool_use_id), output: c.content ?? c.output, failed: c.is_error === true, parent }];
      return [];
    });
  }

  private wholeOf(parent: string, message: string, kind: string): string {
    return this.streamed.get(`${parent} ${message} ${kind}`)?.shift() ?? `whole ${++this.wholes}`;
  }

  /** An item is started, updated and completed. */
  private codex(m: Bag, type: string): Piece[] | undefined {
    if (type === 'thread.started') {
      this.thread++;
      return [{ is: 'init', id: str(m.thread_id), model: '' }, { is: 'row', label: type, minor: true }];
    }
    if (type === 'turn.completed') return [{ is: 'bill', usage: m.usage }, { is: 'row', label: type, minor: true }];
    if (type === 'turn.failed') return [{ is: 'notice', tone: 'error', text: errorText(m.error) || 'The turn failed' }];
    const i = bag(m.item);
    const id = (this.thread > 1 ? `${this.thread}:` : '') + str(i.id);
    switch (i.type) {
      case undefined: return undefined;
      case 'agent_message': return [{ is: 'block', kind: 'text', text: str(i.text), whole: true, block: `codex ${id}` }];
      case 'reasoning': return [{ is: 'block', kind: 'thinking', text: str(i.text), whole: true, block: `codex ${id}` }];
      case 'todo_list': return [{ is: 'plan', items: list(i.items).map(bag).map((t) => ({ text: str(t.text), state: t.completed === true ? 'done' : 'pending' })) }];
      case 'error': return [{ is: 'notice', tone: 'warning', text: str(i.message) }];
    }
    const name = i.type === 'command_execution' ? 'command' : i.type === 'mcp_tool_call' ? `${str(i.server)}.${str(i.tool)}` : str(i.type);
    const call: Piece = { is: 'tool', id, name, input: codexInput(i) };
    if (type !== 'item.completed') return [call];
    return [call, { is: 'result', id, output: i.aggregated_output ?? i.result ?? i.error ?? i.status, failed: !!i.exit_code || i.status === 'failed' }];
  }
}

function codexInput(i: Bag): unknown {
  if (i.command !== undefined) return { command: i.command };
  if (i.arguments !== undefined) return i.arguments;
  if (i.query !== undefined) return { query: i.query };
  return i.changes === undefined ? undefined : { changes: i.changes };
}

function claudeResult(m: Bag): Piece[] {
  const failed = m.is_error === true || str(m.subtype).startsWith('error');
  const bill: Piece = { is: 'bill', usage: m.usage, costUsd: num(m.total_cost_usd) };
  if (!failed) return [bill, { is: 'row', label: label(m), minor: true }];
  return [bill, { is: 'notice', tone: 'error', text: str(m.result) || errorText(list(m.errors)[0]) || 'The turn failed', detail: str(m.subtype) }];
}

const bookkeeping = /^(system|stream_event|command_lifecycle|control_|ping$|init$|progress$|result$|rate_limit|keep_alive|file-history|message_|(response|thread|turn|item|session|message|server)\.)/;
/** A line of text that has no form at all is its own label. */
const briefMax = 200;
const brief = (s: string): string => (s.length > briefMax ? s.slice(0, briefMax) + '…' : s);

/** What the agent calls its line, the most telling word first. */
export function label(m: Bag): string {
  const words = [m.subtype || bag(m.event).type || bag(bag(m.params).update).sessionUpdate || bag(m.item).type || bag(m.request).subtype, m.method, m.type, m.payload_type];
  const said = words.filter((w): w is string => typeof w === 'string' && w !== '');
  if (said.length === 0 && m.jsonrpc) return m.error ? 'error' : 'answer';
  return said.join(' · ') || brief(textOf(m)) || 'line';
}
