// Conversations that no agent ever had, of any length.
import type { Conversation, Item, Section } from '@konlog/client/view';

const words = 'the log keeps every event in the order in which it came and nobody who reads it ever sees a gap or a repeat'.split(' ');

/** One item; which kind it is depends on its id. */
export function item(id: number): Item {
  const base = { id, last: id, turn: 't1', parent: '', time: new Date(1_790_000_000_000 + id * 1000).toISOString() };
  const text = words.slice(id % 7, 7 + (id % 13)).join(' ');
  if (id % 3 === 0) {
    return { ...base, kind: 'tool', toolId: `tool-${id}`, name: 'Bash', input: { command: `echo ${id} ${text}` }, inputText: '', output: `${text}\n`.repeat(id % 5), state: id % 30 === 0 ? 'failed' : 'done', durationMs: id % 900, images: [], children: [] };
  }
  if (id % 11 === 0) return { ...base, kind: 'other', type: 'deploy.step', label: 'deploy.step', minor: true, failed: false, count: 1 };
  return { ...base, kind: 'text', text: `${id}: ${text}`, streaming: false };
}

/** A conversation of one turn with the items first, first+1 … */
export function conversation(items: number, first = 1): Conversation {
  const list = Array.from({ length: items }, (_, i) => item(first + i));
  return of(list, first);
}

function of(items: Item[], first: number): Conversation {
  const section: Section = { id: 1, turn: 't1', state: 'open', items, prompt: 'go on', startedAt: '2026-11-20T17:00:00.000Z', endedAt: '', success: undefined, reason: '', error: '', agent: 'made', model: 'none', costUsd: undefined, usage: undefined, durationMs: 1000 };
  return {
    sections: items.length > 0 ? [section] : [], last: first + items.length - 1, first, questions: [], kontasks: [], preparing: [], tasks: [], plan: undefined, openTurn: section,
    queued: [], agentId: '', model: '', costUsd: 0, closed: false, unknown: {},
  };
}

/** The same with more items at its end. */
export function append(before: Conversation, n: number): Conversation {
  const section = before.sections[0];
  const items = [...(section?.items ?? []), ...Array.from({ length: n }, (_, i) => item(before.last + 1 + i))];
  return { ...before, last: before.last + n, sections: [{ ...(section ?? of(items, before.first).sections[0]!), items }] };
}

/** The same with its last item a text that streams. */
export function textEnd(before: Conversation, text: string): Conversation {
  const section = before.sections[0]!;
  const last = section.items.at(-1)!;
  const streams: Item = { ...item(1), id: last.id, last: last.last, kind: 'text', text, streaming: true } as Item;
  return { ...before, sections: [{ ...section, items: [...section.items.slice(0, -1), streams] }] };
}
