// What a redaction takes away from what is shown: the words, not the place.
import type { Board } from './board.js';
import type { Cards } from './cards.js';
import type { Node } from './node.js';
import type { Kontask } from '../types.js';
import type { Item } from './types.js';

/**
 * Empties the items whose content came from these events. An item that has other content too is emptied whole: which of its words are
 * meant cannot be told any more. Whoever wants the rest reads the events again.
 */
export function redact(board: Board, cards: Cards, from: number, to: number): void {
  for (const node of board.walk()) blank(node, cards, from, to);
  for (const node of cards.open.preparing) blank(node as Node, cards, from, to);
  for (const section of board.sections) {
    const { draft, startId, endId } = section;
    const within = (id: number): boolean => from <= id && id <= to;
    const asked = section.items.nodes.find((n) => n.draft.kind === 'prompt');
    if (asked?.draft.redacted && asked.saidBy(from, to)) draft.prompt = '';
    if (within(startId)) draft.agent = '';
    if (within(endId)) draft.error = '';
    section.touch();
  }
}

function blank(node: Node, cards: Cards, from: number, to: number): void {
  const item = node.draft;
  if (!node.saidBy(from, to) || (item.kind === 'other' && item.type === 'redacted')) return;
  node.touch();
  Object.assign(item, withoutContent(item), { redacted: true });
  if (item.kind === 'question') cards.withdraw(node as Node<typeof item>);
}

function withoutContent(item: Item): Partial<Item> {
  switch (item.kind) {
    case 'text': case 'thinking': return { text: '' };
    case 'prompt': return { text: '', images: [], source: '', kontaskId: '' };
    case 'tool': return { input: undefined, inputText: '', output: item.output === undefined ? undefined : null, images: [] };
    case 'question': return { tool: '', input: undefined, options: [], answer: item.answer && { ...item.answer, message: '', by: '', option: undefined } };
    case 'kontask': {
      const { id, session, createdAt, updatedAt } = item.record;
      return { record: { id, session, createdAt, updatedAt } as Kontask, chosen: item.chosen && { ...item.chosen, choice: undefined, label: '', value: '' } };
    }
    case 'task': return { title: '', status: '' };
    case 'plan': return { items: [] };
    case 'notice': return { detail: '' };
    case 'other': return { label: item.type };
  }
}
