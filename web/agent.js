'use strict';
// What an event is to a person. An ingested line is an agent's own, in the
// agent's own format, so this looks for what the known formats have in common:
//
//	{is: 'text'|'thinking', text, key, whole}   key: the block; whole: supersedes its deltas
//	{is: 'prompt', text, once}                  once: the same prompt is shown one time
//	{is: 'tool', id, name, args, more}          more: args goes on from what came before
//	{is: 'result', id, text, failed}            of the tool by that id
//	{is: 'end'}                                 the open block of text is over
//	{is: 'row', label, failed, minor}           anything else; minor: bookkeeping
//
// pieces never throws, whatever the JSON holds.
const pieces = (() => {
  const NAMES_MAX = 500; // of what one format says first and needs later
  const str = (v) => (typeof v === 'string' ? v : '');
  const obj = (v) => (v && typeof v === 'object' ? v : {});
  const arr = (v) => (Array.isArray(v) ? v.map(obj) : []);
  const brief = (v) => (v === undefined || v === null ? '' : typeof v === 'string' ? v : JSON.stringify(v));

  const text = (s, key, whole) => ({ is: 'text', text: str(s), key: str(key), whole });
  const thinking = (s, key, whole) => ({ is: 'thinking', text: str(s), key: str(key), whole });
  const prompt = (s, once) => ({ is: 'prompt', text: s, once: str(once) });
  const tool = (id, name, args, more) => ({ is: 'tool', id: str(id), name: str(name), args: brief(args), more });
  const result = (id, s, failed) => ({ is: 'result', id: str(id), text: brief(s), failed: !!failed });
  const row = (label, failed, minor) => ({ is: 'row', label, failed: !!failed, minor });
  const join = (list) => arr(list).map((c) => str(c.text) || str(obj(c.content).text)).filter(Boolean).join('\n');

  // content reads the blocks of a message as Anthropic has them.
  function content(m, role, key, once) {
    const list = typeof m === 'string' ? [{ type: 'text', text: m }] : arr(m);
    return list.flatMap((c) => {
      if (c.type === 'text') return role === 'user' ? prompt(str(c.text), once) : text(c.text, key, true);
      if (c.type === 'thinking') return thinking(c.thinking, key, true);
      if (/tool_use$/.test(c.type)) return tool(c.id, c.name, c.input);
      if (/tool_result$/.test(c.type)) return result(c.tool_use_id, join(c.content) || c.content, c.is_error);
      return [];
    });
  }

  // anthropic reads an event of a streamed message.
  function anthropic(e, parent) {
    const d = obj(e.delta), b = obj(e.content_block), key = `${parent} ${e.index}`;
    switch (e.type) {
      case 'content_block_delta':
        if (typeof d.text === 'string') return [text(d.text, key)];
        if (typeof d.thinking === 'string') return [thinking(d.thinking, key)];
        if (typeof d.partial_json === 'string') return [tool('', '', d.partial_json, true)];
        return [row(`${e.type} ${str(d.type)}`, false, true)];
      case 'content_block_start': return b.type === 'text' || b.type === 'thinking' ? [{ is: 'end' }] : /tool_use$/.test(b.type) ? [tool(b.id, b.name, '')] : content([b], 'assistant', key);
      case 'content_block_stop': return [{ is: 'end' }];
    }
    return null;
  }

  // openai reads an event of the responses or a chunk of the completions.
  function openai(m) {
    const item = obj(m.item), id = str(m.item_id) || str(item.id), delta = obj(obj(arr(m.choices)[0]).delta);
    if (m.choices) return [...(delta.content ? [text(delta.content, m.id)] : []),
      ...arr(delta.tool_calls).map((t) => tool(t.id, obj(t.function).name, obj(t.function).arguments, !t.id))];
    switch (m.type) {
      case 'response.output_text.delta': return [text(m.delta, id)];
      case 'response.output_text.done': return [text(m.text, id, true)];
      case 'response.reasoning_summary_text.delta': case 'response.reasoning_text.delta': return [thinking(m.delta, id)];
      case 'response.function_call_arguments.delta': return [tool(id, '', m.delta, true)];
      case 'response.output_item.added': case 'response.output_item.done': return item.name ? [tool(item.id, item.name, item.arguments)] : null;
    }
    return null;
  }

  // codex reads an item: it is started, updated and completed.
  function codex(i, done) {
    switch (i.type) {
      case 'agent_message': return [text(i.text, i.id, true)];
      case 'reasoning': return [thinking(i.text, i.id, true)];
      case 'todo_list': return [tool(i.id, 'todo', arr(i.items).map((t) => (t.completed ? '✓ ' : '○ ') + str(t.text)).join('\n'))];
      case 'error': return [row('error ' + str(i.message), true)];
    }
    const name = i.type === 'command_execution' ? 'command' : i.type === 'mcp_tool_call' ? `${str(i.server)}.${str(i.tool)}` : str(i.type);
    const args = i.command ?? i.arguments ?? i.query ?? (i.changes && arr(i.changes).map((c) => str(c.path)).join(', '));
    const call = tool(i.id, name, args);
    return done ? [call, result(i.id, i.aggregated_output ?? i.result ?? i.error ?? i.status, i.exit_code || i.status === 'failed')] : [call];
  }

  // acp reads a message of the Agent Client Protocol.
  function acp(m) {
    const p = obj(m.params), u = obj(p.update), c = obj(u.content);
    if (m.method === 'session/prompt') return [prompt(join(p.prompt))];
    if (m.method === 'session/request_permission') return [row('permission asked: ' + str(obj(p.toolCall).title))];
    switch (u.sessionUpdate) {
      case 'agent_message_chunk': return [text(c.text, 'message')];
      case 'agent_thought_chunk': return [thinking(c.text, 'thought')];
      case 'user_message_chunk': return [prompt(str(c.text))];
      case 'tool_call': return [tool(u.toolCallId, u.kind || 'tool', u.rawInput || u.title)];
      case 'tool_call_update': return /completed|failed/.test(u.status) ? [result(u.toolCallId, join(u.content) || u.status, u.status === 'failed')] : null;
    }
    return null;
  }

  const kinds = new Map(); // opencode names the kind of a part, and the role of a message, once
  function remember(id, kind) {
    kinds.set(id, kind);
    if (kinds.size > NAMES_MAX) kinds.delete(kinds.keys().next().value);
  }
  function opencode(m) {
    const p = obj(m.properties), info = obj(p.info), part = obj(p.part || m.part), state = obj(part.state);
    if (m.type === 'message.updated' && info.id) remember(info.id, info.role);
    if (m.type === 'message.part.delta' && p.field === 'text') return [(kinds.get(p.partID) === 'reasoning' ? thinking : text)(p.delta, p.partID)];
    if (part.id) remember(part.id, part.type);
    switch (part.type) {
      case 'text': return !part.text ? null : kinds.get(part.messageID) === 'user' ? [prompt(str(part.text), part.id)] : [text(part.text, part.id, true)];
      case 'reasoning': return part.text ? [thinking(part.text, part.id, true)] : null;
      case 'tool': return [tool(part.callID, part.tool, state.input), ...(/completed|error/.test(state.status) ? [result(part.callID, state.output ?? state.error, state.status === 'error')] : [])];
    }
    return null;
  }

  function line(m) {
    const msg = obj(m.message), type = str(m.type);
    if (m.event && typeof m.event === 'object') return anthropic(m.event, str(m.parent_tool_use_id));
    if (/^content_block_/.test(type)) return anthropic(m, '');
    if (/^response\./.test(type) || Array.isArray(m.choices)) return openai(m);
    if (m.item && /^item\./.test(type)) return codex(obj(m.item), type === 'item.completed');
    if (type === 'control_request' && obj(m.request).tool_name) return [row('permission asked: ' + str(m.request.tool_name))];
    if (m.method) return acp(m);
    if (m.properties || m.part) return opencode(m);
    if ((type === 'user' || type === 'assistant') && msg.content !== undefined) return content(msg.content, type, str(m.parent_tool_use_id), m.uuid);
    if (type === 'message') return m.role === 'assistant' ? [text(m.content, 'message', !m.delta)] : [prompt(str(m.content))];
    if (type === 'tool_use') return [tool(m.tool_id, m.tool_name, m.parameters)];
    if (type === 'tool_result') return [result(m.tool_id, m.output || m.status, m.status === 'error')];
    return null;
  }

  const BOOKKEEPING = /^(system|stream_event|command_lifecycle|control_|ping$|init$|progress$|file-history|message_|(response|thread|turn|item|session|message|server)\.)/;

  // label is what the agent calls its line, the most telling word first.
  function label(m) {
    const e = obj(m.event), u = obj(obj(m.params).update), item = obj(m.item);
    const words = [m.subtype || e.type || u.sessionUpdate || item.type || obj(m.request).subtype, m.method, m.type, m.payload_type].filter((w) => typeof w === 'string' && w);
    if (!words.length && m.jsonrpc) return m.error ? 'error' : 'answer';
    return words.join(' · ') || 'line';
  }

  function read(event) {
    const { type, data } = event, d = obj(data);
    if (type === 'agent') {
      if (typeof data !== 'object' || data === null) return [row('line')];
      const m = d.msg && typeof d.msg === 'object' ? d.msg : d;
      const found = line(m), failed = !!m.is_error || !!m.error || /error|failed/.test(`${m.type} ${m.subtype} ${m.status}`);
      if (found && found.length) return found;
      return [row(label(m), failed, !failed && (!!m.jsonrpc || BOOKKEEPING.test(m.type)))];
    }
    const s = typeof data === 'string' ? data : typeof d.text === 'string' ? d.text : null, kind = type.replace(/_delta$/, '');
    const key = [event.turn, event.parent, d.block].join(' ');
    if (s !== null && (kind === 'text' || kind === 'thinking')) return [(kind === 'text' ? text : thinking)(s, key, kind === type)];
    if (s !== null && type === 'prompt') return [prompt(s)];
    return [row(type, /error/.test(type) || d.isError || d.success === false)];
  }

  return (event) => {
    try { return read(event); } catch { return [row(event.type)]; } // an agent may send a member of any form
  };
})();
