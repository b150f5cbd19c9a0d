// What the agents of these tests say: turns in the neutral types, made of the
// texts of real recordings, cut by chance where models cut them, anywhere.
//
// Every few words there is a mark, such as m3x17: turn 3, 17th mark. A mark
// occurs once in a session, so that whatever shows a conversation can be asked
// whether it has all of it, once and in order, without knowing what it is.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from './rig.mjs';

const recording = (name) =>
  readFileSync(path.join(root, 'testdata/recordings', name), 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));

/** Reads what the recorded agents thought, said and did. */
export function readTexts() {
  const texts = { prompts: [], thinking: [], prose: [], tools: [], plan: [] };
  const tools = new Map();
  for (const { msg } of recording('claude-code-duplex-4turns.jsonl')) {
    for (const block of Array.isArray(msg.message?.content) ? msg.message.content : []) {
      if (msg.type === 'user' && block.type === 'text') texts.prompts.push(block.text);
      if (msg.type === 'assistant' && block.type === 'text') texts.prose.push(block.text);
      if (block.type === 'thinking') texts.thinking.push(block.thinking);
      if (block.type === 'tool_use') tools.set(block.id, { name: block.name, input: block.input });
      if (block.type === 'tool_result') Object.assign(tools.get(block.tool_use_id), { output: block.content, isError: block.is_error === true });
    }
  }
  for (const line of [...recording('codex-exec-plan-todo.jsonl'), ...recording('codex-exec-0.169.jsonl')]) {
    const item = line.item ?? {};
    if (item.type === 'agent_message') texts.prose.push(item.text);
    if (item.type === 'reasoning') texts.thinking.push(item.text);
    if (item.type === 'todo_list' && !texts.plan.length) texts.plan = item.items.map((i) => i.text);
    if (item.type === 'command_execution' && line.type === 'item.completed') tools.set(`codex ${tools.size}`, { name: 'shell', input: { command: item.command }, output: item.aggregated_output, isError: item.exit_code !== 0 });
  }
  texts.prose.push(recording('gemini-stream-tools.jsonl').filter((l) => l.role === 'assistant').map((l) => l.content).join(''));
  texts.tools = [...tools.values()].filter((tool) => tool.output !== undefined);
  // Links and fences of the texts' own would lose marks, and one recording is very long.
  texts.prose = [...new Set(texts.prose)].map((t) => t.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').replace(/```\w*\n?/g, '').slice(0, proseMax));
  return texts;
}

/** Characters of a paragraph. */
const proseMax = 600;

let read;
const texts = () => (read ??= readTexts());

// These shapes of Markdown are what a renderer that settles finished blocks can get wrong.
const shapes = [
  (t) => `${t}\n\n`,
  (t) => `## ${firstWords(t, 4)}\n\n${t}\n\n`,
  (t) => t.split('\n').filter((l) => l.trim()).map((l) => `- ${l}`).join('\n') + '\n\n',
  (t) => `Then **${firstWords(t, 3)}**, *and* \`${firstWords(t, 2).replace(/`/g, '')}\`.\n\n${t}\n\n`,
  (t) => '```js\n// ' + t.replace(/```/g, '').replace(/\n/g, '\n// ') + '\nconst answer = 42;\n```\n\n',
  (t) => `> ${t.replace(/\n+/g, '\n> ')}\n\n`,
  (t) => `| step | what |\n|---|---|\n| one | ${firstWords(t, 6).replace(/\|/g, '')} |\n\n${t}\n\n`,
];

const firstWords = (text, n) => text.replace(/[#>*\n-]/g, ' ').split(/\s+/).filter(Boolean).slice(0, n).join(' ');

/** The turns of one session, to be played. Turn ids are t1, t2 …; keys are the events' places. */
export class Script {
  /** options: turns, subagents, questions (answered by the script), kontasks, size (paragraphs of a turn). */
  constructor(chance, { turns = 3, size = 3, subagents = true, questions = true, kontasks = true, tasks = true, from = 1 } = {}) {
    Object.assign(this, { chance, size, subagents, questions, kontasks, tasks, events: [] });
    for (let n = from; n < from + turns; n++) this.#turn(n);
    if (this.task) this.#add('task_end', { taskId: this.task, success: true }, '');
    this.events.forEach((event, i) => (event.key = `${chance.seed.toString(36)}-${from}-${i}`));
  }

  #add(type, data, turn = this.turn, parent) {
    this.events.push({ type, ...(turn && { turn }), ...(parent && { parent }), data });
  }

  /** Puts a mark after every few words of a text, outside of code spans and of the Markdown's own signs. */
  #marked(text) {
    let words = 0;
    return text.replace(/(?<![`\p{L}])(\p{L}{2,})(?=[ \n.,])/gu, (word) => (words++ % 4 ? word : `${word} ${this.#mark()}`));
  }

  #mark() {
    return `m${this.number}x${++this.marks}`;
  }

  #turn(number) {
    Object.assign(this, { number, marks: 0, tools: 0, turn: `t${number}` });
    const { chance } = this;
    const prompt = `${chance.pick(texts().prompts)} ${this.#mark()}`;
    this.#add('prompt', { text: prompt, source: 'user' });
    this.#add('turn_start', { prompt, agent: 'claude-code' });
    if (number === 1) this.#add('session_init', { sessionId: `agent-${chance.seed}`, model: 'claude-opus-5-5', cwd: '/work', tools: ['Bash', 'Write'] });
    const acts = this.#acts();
    for (let i = 0; i < this.size; i++) {
      if (chance.next() < 0.6) this.#thinking();
      this.#prose();
      acts[i % acts.length]();
    }
    this.#prose();
    this.#end();
  }

  // Each turn begins elsewhere in this list, so that three turns have done it all.
  #acts() {
    const acts = [() => this.#tool(), () => this.#plan(), () => this.#tool()];
    if (this.subagents) acts.push(() => this.#subagent());
    if (this.questions) acts.push(() => this.#question());
    if (this.kontasks) acts.push(() => this.#kontask());
    if (this.tasks) acts.push(() => this.#background());
    acts.push(() => this.#interleaved(), () => this.#trouble());
    const first = (this.number * this.size) % acts.length;
    return [...acts.slice(first), ...acts.slice(0, first)];
  }

  #thinking() {
    const text = this.#marked(this.chance.pick(texts().thinking).replace(/\*/g, '') + ' and then, so far, this.');
    for (const piece of this.chance.pieces(text, 2, 12)) this.#add('thinking_delta', { text: piece });
    if (this.chance.next() < 0.5) this.#add('thinking', { text });
  }

  // Text as deltas, as deltas and the whole, or as the whole alone.
  #prose(parent, block) {
    const { chance } = this;
    const text = this.#marked(chance.pick(shapes)(chance.pick(texts().prose)));
    const how = chance.weighed({ deltas: 5, both: 4, whole: 1 });
    const data = (piece) => ({ text: piece, ...(block && { block }) });
    if (how !== 'whole') for (const piece of chance.pieces(text, 3, 24)) this.#add('text_delta', data(piece), this.turn, parent);
    if (how !== 'deltas') this.#add('text', data(text), this.turn, parent);
  }

  #tool(parent) {
    const { chance } = this;
    const { name, input, output, isError } = chance.pick(texts().tools);
    const id = `toolu_${this.number}_${++this.tools}`;
    if (chance.next() < 0.7) {
      this.#add('tool_start', { id, name }, this.turn, parent);
      for (const piece of chance.pieces(JSON.stringify(input), 4, 20)) this.#add('tool_delta', { id, text: piece }, this.turn, parent);
    }
    this.#add('tool_start', { id, name, input }, this.turn, parent);
    this.#add('tool_result', { id, name, output: `${output}\n${this.#mark()}`, isError }, this.turn, parent);
    return id;
  }

  #subagent() {
    const id = `toolu_${this.number}_${++this.tools}`;
    this.#add('tool_start', { id, name: 'Task', input: { description: 'Look further', subagent_type: 'Explore' } });
    this.#prose(id);
    this.#tool(id);
    this.#prose(id);
    this.#add('tool_result', { id, name: 'Task', output: `Found it. ${this.#mark()}` });
  }

  #plan() {
    const items = texts().plan.map((text, i) => ({ text, status: i < this.number ? 'completed' : i === this.number ? 'in_progress' : 'pending' }));
    this.#add('plan', { items });
  }

  // Two blocks that grow at the same time, told apart by their names.
  #interleaved() {
    const { chance } = this;
    const blocks = ['a', 'b'].map((name) => ({ block: `${this.turn}-${name}-${this.marks}`, left: chance.pieces(this.#marked(`${chance.pick(texts().thinking).replace(/\*/g, '')} in block ${name}, at the same time.`), 3, 9) }));
    while (blocks.some((b) => b.left.length)) {
      const { block, left } = chance.pick(blocks.filter((b) => b.left.length));
      this.#add('text_delta', { text: left.shift(), block });
    }
  }

  #question() {
    const requestId = `q-${this.turn}-${this.marks}`;
    this.#add('permission_request', { requestId, tool: 'Write', input: { file_path: 'notes.md', content: '# Notes\n' }, options: [{ label: 'Allow', value: 'allow' }, { label: 'Deny', value: 'deny' }] });
    this.#add('permission_response', { requestId, allow: this.chance.next() < 0.7, by: 'phone' });
  }

  #kontask() {
    const id = `k-${this.chance.seed.toString(36)}-${this.turn}-${this.marks}`;
    const record = { id, title: `Notes of turn ${this.number} ${this.#mark()}`, description: 'What was found, and what to do with it.', tags: ['notes', 'e2e'] };
    this.#add('kontask_created', { ...record, status: 'running' });
    this.#add('kontask_ready', { ...record, status: 'ready', context: { output: '<h3>Result</h3><p>Two files.</p>', choices: [{ label: 'Keep', value: 'Keep the notes', primary: true }, { label: 'Drop', value: 'Drop the notes' }] } });
  }

  // Work that goes on after its turn: the next one hears of its end.
  #background() {
    const before = this.task;
    if (before) this.#add('task_end', { taskId: before, success: true }, '');
    this.task = before ? undefined : `job-${this.chance.seed.toString(36)}-${this.number}`;
    if (this.task) this.#add('task_start', { taskId: this.task, title: `Slow job ${this.number}` });
    if (this.task) this.#add('task_update', { taskId: this.task, status: 'half of it' });
  }

  #trouble() {
    this.#add('error', { error: 'API overloaded, trying again', code: 'overloaded' });
    this.#add('app.note', { note: 'something of an application' });
    this.#add('usage', { usage: { input_tokens: 60, output_tokens: 220 }, costUsd: 0.01 });
  }

  #end() {
    const stopped = this.number % 4 === 3;
    if (stopped) this.#add('stop_turn', { requestId: this.turn, reason: 'enough' });
    this.#add('turn_end', stopped ? { success: false, reason: 'stopped' } : { success: true, reason: 'done', usage: { output_tokens: 220 }, costUsd: 0.028 });
  }

  /** The marks of a turn's own words (no parent), in the order in which their blocks began. */
  static marks(events, turn) {
    const blocks = [];
    const named = new Map();
    let open; // the block without a name, or undefined
    for (const { turn: of, parent, type, data } of events) {
      if (of !== turn || parent) continue;
      if (!/^text(_delta)?$/.test(type)) {
        if (/^(thinking|thinking_delta|tool_start|prompt|turn_start|turn_end)$/.test(type)) open = undefined;
        continue;
      }
      const before = data.block ? named.get(data.block) : open;
      const block = before ?? { text: '' };
      if (!before) blocks.push(block);
      block.text = type === 'text' ? data.text : block.text + data.text;
      if (data.block) named.set(data.block, block);
      open = data.block || type === 'text' ? undefined : block;
    }
    return blocks.flatMap((b) => b.text.match(/m\d+x\d+/g) ?? []);
  }
}
