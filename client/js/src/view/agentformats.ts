// The formats of agents that say each thing once or twice, so that little has
// to be kept from one line to the next: ACP, Gemini, opencode, OpenAI.
import { planItems } from './cards.js';
import type { Few, Piece } from './agentline.js';
import { bag, errorText, list, str, type Bag } from './values.js';

const join = (content: unknown): string => list(content).map(bag).map((c) => str(c.text) || str(bag(c.content).text)).filter(Boolean).join('\n');

/** A message of the Agent Client Protocol, of either direction. */
export function acp(m: Bag): Piece[] | undefined {
  const p = bag(m.params);
  const u = bag(p.update);
  const text = str(bag(u.content).text);
  if (m.error) return [{ is: 'notice', tone: 'error', text: errorText(m.error) || 'The agent refused a request' }];
  if (bag(m.result).sessionId) return [{ is: 'init', id: str(bag(m.result).sessionId), model: str(bag(bag(m.result).models).currentModelId) }, { is: 'row', label: 'answer', minor: true }];
  if (m.method === 'session/prompt') return [{ is: 'prompt', text: join(p.prompt), images: list(p.prompt).filter((c) => bag(c).type === 'image') }];
  if (m.method === 'session/request_permission') return [acpCall(bag(p.toolCall)), { is: 'row', label: `permission asked: ${str(bag(p.toolCall).title)}` }];
  switch (u.sessionUpdate) {
    case 'agent_message_chunk': return [{ is: 'block', kind: 'text', text, whole: false }];
    case 'agent_thought_chunk': return [{ is: 'block', kind: 'thinking', text, whole: false }];
    case 'user_message_chunk': return [{ is: 'prompt', text }];
    case 'plan': return [{ is: 'plan', items: planItems(u.entries) }];
    case 'tool_call': return [acpCall(u), ...acpResult(u)];
    case 'tool_call_update': return acpResult(u);
  }
  return undefined;
}

function acpCall(u: Bag): Piece {
  return { is: 'tool', id: str(u.toolCallId), name: str(u.kind) || 'tool', input: u.rawInput ?? { title: u.title, ...(list(u.locations).length > 0 ? { locations: u.locations } : {}) } };
}

function acpResult(u: Bag): Piece[] {
  if (u.status !== 'completed' && u.status !== 'failed') return [];
  const diffs = list(u.content).some((c) => bag(c).type === 'diff');
  const output = diffs ? u.content : join(u.content) || str(u.title) || u.status;
  return [{ is: 'result', id: str(u.toolCallId), name: str(u.kind), output, failed: u.status === 'failed' }];
}

/** A line of Gemini's stream-json. */
export function gemini(m: Bag, type: string): Piece[] | undefined {
  switch (type) {
    case 'message':
      if (m.role === 'assistant') return [{ is: 'block', kind: 'text', text: str(m.content), whole: m.delta !== true }];
      return m.role === 'user' ? [{ is: 'prompt', text: str(m.content) }] : undefined;
    case 'tool_use': return [{ is: 'tool', id: str(m.tool_id), name: str(m.tool_name), input: m.parameters }];
    case 'tool_result':
      return [{ is: 'result', id: str(m.tool_id), output: m.output || errorText(m.error) || m.status, failed: m.status === 'error' }];
    case 'init': return [{ is: 'init', id: str(m.session_id), model: str(m.model) }, { is: 'row', label: 'init', minor: true }];
    case 'error': return [{ is: 'notice', tone: m.severity === 'warning' ? 'warning' : 'error', text: str(m.message) || errorText(m.error) || 'The agent failed' }];
    case 'result':
      if (m.status === 'error') return [{ is: 'bill', usage: m.stats }, { is: 'notice', tone: 'error', text: errorText(m.error) || 'The turn failed' }];
      return [{ is: 'bill', usage: m.stats }, { is: 'row', label: 'result', minor: true }];
  }
  return undefined;
}

/** An event of opencode. It names the kind of a part, and the role of a message, once. */
export function opencode(m: Bag, kinds: Few<string>): Piece[] | undefined {
  const p = bag(m.properties);
  const info = bag(p.info);
  const part = bag(p.part ?? m.part);
  const state = bag(part.state);
  const id = str(part.id);
  if (m.type === 'message.updated' && info.id) kinds.set(str(info.id), str(info.role));
  if (m.type === 'message.part.delta' && p.field === 'text') {
    const kind = kinds.get(str(p.partID)) === 'reasoning' ? 'thinking' : 'text';
    return [{ is: 'block', kind, text: str(p.delta), whole: false, block: str(p.partID) }];
  }
  if (id) kinds.set(id, str(part.type));
  switch (part.type) {
    case 'text':
      if (!part.text) return undefined;
      if (kinds.get(str(part.messageID)) === 'user') return [{ is: 'prompt', text: str(part.text), once: id }];
      return [{ is: 'block', kind: 'text', text: str(part.text), whole: true, block: id }];
    case 'reasoning': return part.text ? [{ is: 'block', kind: 'thinking', text: str(part.text), whole: true, block: id }] : undefined;
    case 'tool': {
      const call: Piece = { is: 'tool', id: str(part.callID), name: str(part.tool), input: state.input };
      const over = state.status === 'completed' || state.status === 'error';
      return over ? [call, { is: 'result', id: str(part.callID), output: state.output ?? state.error, failed: state.status === 'error' }] : [call];
    }
  }
  return undefined;
}

/** An event of OpenAI's responses, or a chunk of its completions. */
export function openai(m: Bag, ids: Few<string>): Piece[] | undefined {
  if (Array.isArray(m.choices)) return completion(m, ids);
  const item = bag(m.item);
  const id = str(m.item_id) || str(item.id);
  const text = str(m.delta);
  switch (m.type) {
    case 'response.output_text.delta': return [{ is: 'block', kind: 'text', text, whole: false, block: id }];
    case 'response.output_text.done': return [{ is: 'block', kind: 'text', text: str(m.text), whole: true, block: id }];
    case 'response.reasoning_summary_text.delta': case 'response.reasoning_text.delta':
      return [{ is: 'block', kind: 'thinking', text, whole: false, block: id }];
    case 'response.function_call_arguments.delta': return [{ is: 'tool', id, name: '', text }];
    case 'response.output_item.added': return item.name ? [{ is: 'tool', id, name: str(item.name) }] : undefined;
    case 'response.output_item.done': return item.name ? [{ is: 'tool', id, name: str(item.name), input: parsed(item.arguments) }] : undefined;
    case 'response.failed': return [{ is: 'notice', tone: 'error', text: errorText(bag(m.response).error) || 'The response failed' }];
  }
  return undefined;
}

function completion(m: Bag, ids: Few<string>): Piece[] {
  const delta = bag(bag(list(m.choices)[0]).delta);
  const said: Piece[] = delta.content ? [{ is: 'block', kind: 'text', text: str(delta.content), whole: false, block: str(m.id) }] : [];
  for (const call of list(delta.tool_calls).map(bag)) {
    const key = `${str(m.id)} ${String(call.index ?? 0)}`;
    const f = bag(call.function);
    if (call.id) {
      ids.set(key, str(call.id));
      said.push({ is: 'tool', id: str(call.id), name: str(f.name) });
    }
    const id = ids.get(key);
    if (id && f.arguments) said.push({ is: 'tool', id, name: '', text: str(f.arguments) });
  }
  return said;
}

/** Arguments come as JSON in a string. */
function parsed(text: unknown): unknown {
  try {
    return JSON.parse(str(text));
  } catch {
    return text;
  }
}
