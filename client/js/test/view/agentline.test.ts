// What recorded lines of real agents show.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { LogEvent } from '../../src/types.js';
import { Fold } from '../../src/view/fold.js';
import { conversationMarkdown } from '../../src/view/markdownexport.js';
import type { Conversation, Item } from '../../src/view/types.js';
import { everyItem } from './shown.js';

function lines(...data: unknown[]): LogEvent[] {
  return data.map((d, i) => ({ id: i + 1, session: 's', type: 'agent', time: new Date(1.7e12 + i * 100).toISOString(), data: d }));
}

function recording(name: string): Conversation {
  const text = readFileSync(fileURLToPath(new URL(`../../../../testdata/recordings/${name}`, import.meta.url)), 'utf8');
  const fold = new Fold();
  fold.apply(lines(...text.split('\n').filter(Boolean).map((l): unknown => JSON.parse(l))));
  return fold.conversation;
}

const all = (c: Conversation): Item[] => [...everyItem(c.sections.flatMap((s) => s.items))];
type Kinds = { [K in Item['kind']]: Item & { kind: K } };
const of = <K extends Item['kind']>(c: Conversation, kind: K): Kinds[K][] => all(c).filter((i) => i.kind === kind) as Kinds[K][];
const tools = (c: Conversation): string[] => of(c, 'tool').map((t) => `${t.name} ${t.state}`);

test('Claude Code: streamed blocks, wholes that take their place, tools, prompts once', () => {
  const c = recording('claude-code-duplex-4turns.jsonl');
  expect(of(c, 'prompt').map((p) => p.text)).toEqual(['Look at this folder and write notes.md', 'LONGANSWER please', '[Request interrupted by user]', 'Thanks, finish up']);
  expect(tools(c)).toEqual(['Bash done', 'Bash done', 'Bash failed', 'Write done', 'Bash done']);
  expect(of(c, 'tool').every((t) => typeof t.input === 'object' && t.inputText === '' && t.durationMs! > 0)).toBe(true);
  expect(of(c, 'thinking').map((t) => t.text)).toEqual(['The user wants notes about this folder. List it first.', 'missing.txt does not exist. Write notes.md now.']);
  expect(of(c, 'text').map((t) => t.text.slice(0, 20))).toEqual(['I\'ll list the folder', 'Two files. Reading o', 'Done. I listed the f', 'Done. I listed the f', 'Sentence 0 of a long', 'Done. I listed the f']);
  expect(of(c, 'text').some((t) => t.streaming)).toBe(false);
  expect([c.agentId, c.model, c.costUsd > 0]).toEqual(['c787fc3b-d515-49f7-a522-5caf7d3a6a27', 'claude-opus-5-5', true]);
});

test('Codex: items as they start and end, its plan, its errors once', () => {
  const c = recording('codex-exec-0.169.jsonl');
  expect(tools(c)).toEqual(['command done', 'command done', 'command failed', 'command done', 'command done']);
  expect(of(c, 'text')).toHaveLength(2);
  const plan = recording('codex-exec-plan-todo.jsonl');
  expect(of(plan, 'plan')).toHaveLength(1);
  expect(plan.plan?.items.every((i) => i.state === 'done' && i.text !== '')).toBe(true);
  const limit = recording('codex-exec-usage-limit.jsonl');
  expect(of(limit, 'notice').map((n) => [n.tone, n.text.slice(0, 28)])).toEqual([['error', 'You\'ve hit your usage limit.']]);
  expect(tools(recording('codex-exec-file-change.jsonl'))).toEqual(['file_change done', 'command done']);
});

test('ACP and Gemini: chunks run on until something stands between them', () => {
  const acp = recording('acp-v1-gemini-permissions.jsonl');
  expect(tools(acp)).toEqual(['search done', 'read done', 'read failed', 'edit done', 'execute done']);
  expect(of(acp, 'text').map((t) => t.text.slice(0, 12))).toEqual(['I\'ll look at', 'Two files he', '`missing.txt', 'Done. The wo']);
  expect(of(acp, 'tool')[3]!.output).toMatchObject([{ type: 'diff' }]);
  const gemini = recording('gemini-stream-tools.jsonl');
  expect(of(gemini, 'text')).toHaveLength(4);
  expect(of(gemini, 'text').filter((t) => t.streaming), 'the result ends what the agent says').toEqual([]);
  expect(of(gemini, 'prompt')).toHaveLength(1);
  expect(tools(gemini).filter((t) => t.endsWith('failed'))).toEqual(['read_file failed']);
});

test('opencode: parts by the kind that they were given once, the user’s own as prompt', () => {
  const c = recording('opencode-event-stream.jsonl');
  expect([of(c, 'prompt').map((p) => p.text), of(c, 'text').map((t) => t.text), of(c, 'thinking').length]).toEqual([['Reply with the single word: ping'], ['ping'], 1]);
});

test('a subagent of Claude Code stands below the tool that began it', () => {
  const fold = new Fold();
  const message = (content: unknown[], parent: string | null, role = 'assistant'): unknown => ({ type: role, parent_tool_use_id: parent, message: { id: `m${parent}`, content } });
  fold.apply(lines(message([{ type: 'tool_use', id: 'task', name: 'Task', input: { prompt: 'look' } }], null), message([{ type: 'text', text: 'look' }], 'task', 'user'),
    message([{ type: 'text', text: 'below' }], 'task'), message([{ type: 'tool_use', id: 'read', name: 'Read', input: {} }], 'task'), message([{ type: 'tool_result', tool_use_id: 'read', content: 'x' }], 'task', 'user'),
    message([{ type: 'tool_result', tool_use_id: 'task', content: [{ type: 'text', text: 'found' }] }], null, 'user'), message([{ type: 'text', text: 'above' }], null)));
  const { items } = fold.conversation.sections[0]!;
  expect(items.map((i) => i.kind)).toEqual(['tool', 'text']);
  expect(items[0]!.kind === 'tool' && items[0]!.children.map((i) => i.kind)).toEqual(['prompt', 'text', 'tool']);
});

test('OpenAI’s streams: text, reasoning, and calls whose arguments come in pieces', () => {
  const fold = new Fold();
  fold.apply(lines({ type: 'response.output_text.delta', item_id: 'i', delta: 'Hel' }, { type: 'response.output_text.done', item_id: 'i', text: 'Hello' },
    { type: 'response.output_item.added', item: { id: 'f', name: 'run' } }, { type: 'response.function_call_arguments.delta', item_id: 'f', delta: '{"a"' }, { type: 'response.output_item.done', item: { id: 'f', name: 'run', arguments: '{"a":1}' } },
    { id: 'c', choices: [{ delta: { tool_calls: [{ index: 0, id: 'call', function: { name: 'go' } }] } }] }, { id: 'c', choices: [{ delta: { tool_calls: [{ index: 0, function: { arguments: '{}' } }] } }] }));
  expect(of(fold.conversation, 'text').map((t) => t.text)).toEqual(['Hello']);
  expect(of(fold.conversation, 'tool').map((t) => [t.name, t.input, t.inputText])).toEqual([['run', { a: 1 }, ''], ['go', undefined, '{}']]);
});

test('as Markdown: prompts quoted, texts as they are, outputs in fences that they cannot end', () => {
  const fold = new Fold();
  fold.apply([
    ['prompt', { text: 'Do\nit', source: 'inject' }], ['turn_start', {}], ['thinking', { text: 'hm' }], ['text', { text: '# Heading' }], ['tool_start', { id: 't', name: 'Bash\n# not a heading', input: { command: 'x' } }],
    ['text', { text: 'below' }, 't'], ['tool_result', { id: 't', output: 'a\n```\nescape?\n````\n' }], ['turn_end', { success: false, error: 'it broke' }],
  ].map(([type, data, parent], i): LogEvent => ({ id: i + 1, session: 's', type: type as string, turn: 'r', ...(parent ? { parent: parent as string } : {}), time: '2026-01-01T00:00:00Z', data })));
  const text = conversationMarkdown(fold.conversation, 'A title');
  expect(text).toBe('# A title\n\n**Prompt (inject)**\n\n> Do\n> it\n\n# Heading\n\n**Tool: Bash # not a heading**\n\n```json\n{\n  "command": "x"\n}\n```\n\n`````\na\n```\nescape?\n````\n`````\n\n> below\n\n*The turn failed: it broke*\n');
  expect(conversationMarkdown(fold.conversation, '', { thinking: true, tools: false })).toContain('> hm');
  expect(conversationMarkdown(new Fold().conversation)).toBe('');
});
