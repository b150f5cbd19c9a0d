// A conversation as Markdown, to be copied or kept. Texts of agents are
// Markdown already; what comes from tools is put in fences that it cannot end.
import type { Conversation, ImageRef, Item, Section, ToolItem } from './types.js';
import { textOf } from './values.js';

export interface MarkdownOptions {
  /** Inputs and outputs of tools, not only that they were called. Default true. */
  tools?: boolean;
  /** Thinking too. Default false. */
  thinking?: boolean;
  /** Of one output; the rest is left out and said so. */
  outputMax?: number;
}

const outputMaxDefault = 10_000;

/** A whole conversation, turn by turn. */
export function conversationMarkdown(conversation: Conversation, title = '', options: MarkdownOptions = {}): string {
  const text = conversation.sections.map((s) => sectionMarkdown(s, options)).filter(Boolean).join('\n\n---\n\n');
  return [title && `# ${line(title)}`, text].filter(Boolean).map((part) => `${part}\n`).join('\n');
}

/** One turn, or what stands between turns. */
export function sectionMarkdown(section: Section, options: MarkdownOptions = {}): string {
  return itemsMarkdown(section.items, options);
}

function itemsMarkdown(items: readonly Item[], options: MarkdownOptions): string {
  return items.map((i) => itemMarkdown(i, options)).filter(Boolean).join('\n\n');
}

function itemMarkdown(i: Item, o: MarkdownOptions): string {
  switch (i.kind) {
    case 'text': return i.redacted ? '*(redacted)*' : i.text.trim();
    case 'thinking': return o.thinking && i.text.trim() ? quote(`*Thinking*\n\n${i.text.trim()}`) : '';
    case 'prompt': return [`**${i.source && i.source !== 'user' ? `Prompt (${line(i.source)})` : 'Prompt'}**`, quote(i.redacted ? '*(redacted)*' : i.text.trim()), ...i.images.map(image)].join('\n\n');
    case 'tool': return tool(i, o);
    case 'question': return `**Permission asked: ${line(i.tool) || 'a question'}** – ${i.answer ? (i.answer.allow ? 'allowed' : 'denied') + (i.answer.by ? ` by ${line(i.answer.by)}` : '') : i.open ? 'open' : 'never answered'}`;
    case 'kontask': return `**${line(i.record.title ?? '') || 'A card'}**${i.record.description ? `\n\n${i.record.description.trim()}` : ''}${i.chosen ? `\n\nChosen: ${line(i.chosen.label)}` : ''}`;
    case 'task': return `**Task: ${line(i.title) || i.taskId}** – ${i.state}`;
    case 'plan': return i.items.map((p) => `- [${p.state === 'done' ? 'x' : ' '}] ${line(p.text)}`).join('\n');
    case 'notice': return `*${line(i.text)}${i.detail ? `: ${line(i.detail)}` : ''}*`;
    case 'other': return i.minor ? '' : `*${line(i.label)}*`;
  }
}

function tool(t: ToolItem, o: MarkdownOptions): string {
  const state = t.state === 'failed' ? ' (failed)' : t.state === 'done' ? '' : t.state === 'running' ? ' (running)' : ' (no result)';
  const parts = [`**Tool: ${line(t.name) || 'unnamed'}**${state}`];
  if (o.tools !== false) {
    const input = t.input === undefined ? t.inputText : typeof t.input === 'string' ? t.input : JSON.stringify(t.input, null, 2) ?? '';
    if (input) parts.push(fence(cutTo(input, o), t.input !== undefined && typeof t.input !== 'string' ? 'json' : ''));
    const output = outputText(t.output);
    if (output) parts.push(fence(cutTo(output, o), ''));
  }
  const inner = itemsMarkdown(t.children, o);
  if (inner) parts.push(quote(inner));
  return parts.join('\n\n');
}

/** The text of an output: of blocks the texts, of other values their JSON. */
function outputText(v: unknown): string {
  if (!Array.isArray(v)) return textOf(v);
  const texts = v.map((c: unknown) => (typeof c === 'object' && c !== null && 'text' in c ? String(c.text) : textOf(c)));
  return texts.join('\n');
}

function cutTo(text: string, o: MarkdownOptions): string {
  const max = o.outputMax ?? outputMaxDefault;
  return text.length > max ? `${text.slice(0, max)}\n… ${text.length - max} more characters` : text;
}

/** A fence that is longer than any in the text. */
function fence(text: string, language: string): string {
  const longest = Math.max(2, ...(text.match(/`{3,}/g) ?? []).map((run) => run.length));
  const mark = '`'.repeat(longest + 1);
  return `${mark}${language}\n${text.replace(/\n$/, '')}\n${mark}`;
}

const quote = (text: string): string => text.split('\n').map((l) => (l ? `> ${l}` : '>')).join('\n');
/** On one line, so that a name cannot begin a block of its own. */
const line = (text: string): string => text.replace(/\s+/g, ' ').trim();
const image = (i: ImageRef): string => (i.url.startsWith('/') ? `![image](${i.url})` : `*(an image${i.contentType ? `, ${i.contentType}` : ''})*`);
