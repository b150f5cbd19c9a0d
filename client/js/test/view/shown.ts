// What of a conversation a person sees, and what of it the fold keeps: ids and
// times of blocks of which a run came may be others (docs/PROTOCOL.md P12).
import type { Conversation, Item, Section } from '../../src/view/types.js';

export function shown(c: Conversation): unknown {
  const { sections, questions, kontasks, preparing, tasks, plan, openTurn, queued, ...rest } = c;
  return {
    ...rest, sections: sections.map(section), questions: questions.map(item), kontasks: kontasks.map(item), preparing: preparing.map(item),
    tasks: tasks.map(item), plan: plan && item(plan), openTurn: openTurn?.turn, queued: queued.map((s) => s.turn),
  };
}

function section(s: Section): unknown {
  const { id: _, items, durationMs, ...rest } = s;
  return { ...rest, durationMs: s.startedAt ? durationMs : 'from its first event', items: items.map(item) };
}

function item(i: Item): unknown {
  if (i.kind === 'tool') {
    const { id: _id, time: _time, children, ...rest } = i;
    return { ...rest, children: children.map(item) };
  }
  if (i.kind !== 'text' && i.kind !== 'thinking') return i;
  const { id: _id, time: _time, ...rest } = i;
  return rest;
}

/** Every item, those below tools after them. */
export function* everyItem(items: readonly Item[]): Iterable<Item> {
  for (const i of items) {
    yield i;
    if (i.kind === 'tool') yield* everyItem(i.children);
  }
}

/** What the agent said at top level in a section: the text of the turn as the server has it. */
export function textOf(s: Section): string {
  return s.items.filter((i) => i.kind === 'text' && i.parent === '' && i.text !== '').map((i) => (i.kind === 'text' ? i.text : '')).join('\n\n');
}
