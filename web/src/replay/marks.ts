// What a person looks for on the line: turns, tools, errors, questions and
// kontasks. They come from the conversation, so that they mean what it shows,
// whatever format the agent writes.
import type { Conversation, Item, Section } from '@konlog/client/view';
import type { Timeline } from './timeline';

export type MarkKind = 'turn' | 'tool' | 'error' | 'question' | 'kontask';

export interface Mark {
  kind: MarkKind;
  /** Id of the event. */
  id: number;
  label: string;
}

const LABEL_MAX = 80;

/** The marks of a conversation, in the order of the log. */
export function marksOf(conversation: Conversation): Mark[] {
  const marks: Mark[] = [];
  for (const section of conversation.sections) {
    if (section.turn) marks.push({ kind: 'turn', id: section.id, label: section.prompt.slice(0, LABEL_MAX) || section.turn });
    for (const item of section.items) add(marks, item);
    const failed = failureOf(section);
    if (failed) marks.push(failed);
  }
  return marks.sort((a, b) => a.id - b.id);
}

function failureOf(section: Section): Mark | undefined {
  const last = section.items.at(-1);
  if (section.success !== false || section.reason === 'stopped') return undefined;
  return { kind: 'error', id: Math.max(section.id, last?.last ?? 0), label: section.error || section.reason };
}

function add(marks: Mark[], item: Item) {
  switch (item.kind) {
    case 'tool':
      marks.push({ kind: 'tool', id: item.id, label: item.name });
      if (item.state === 'failed') marks.push({ kind: 'error', id: item.last, label: `${item.name} failed` });
      for (const child of item.children) add(marks, child);
      return;
    case 'notice':
      if (item.tone === 'error') marks.push({ kind: 'error', id: item.id, label: item.text.slice(0, LABEL_MAX) });
      return;
    case 'other':
      if (item.failed) marks.push({ kind: 'error', id: item.id, label: item.label });
      return;
    case 'prompt':
      // Of an agent's own lines, which have no turns, prompts are the steps.
      if (item.turn === '') marks.push({ kind: 'turn', id: item.id, label: item.text.slice(0, LABEL_MAX) });
      return;
    case 'question':
      marks.push({ kind: 'question', id: item.id, label: item.tool });
      return;
    case 'kontask':
      marks.push({ kind: 'kontask', id: item.id, label: item.record.title ?? '' });
  }
}

/** A mark on the line, from 0 to 1. Several of a kind at one place are one, with their number. */
export interface Spot extends Mark {
  x: number;
  n: number;
}

/** Places that are told apart on the line. */
export const SPOTS = 300;

/** Where marks stand on the line: of each kind one per place, so that a long log has no more of them than a short one. */
export function spotsOf(marks: readonly Mark[], line: Timeline, skip: boolean): Spot[] {
  const total = line.total(skip) || 1;
  const found = new Map<string, Spot>();
  for (const mark of marks) {
    const at = line.placeOf(mark.id);
    if (at < 0) continue;
    const place = Math.round((SPOTS * line.moment(at, skip)) / total);
    const known = found.get(`${mark.kind} ${place}`);
    if (known) known.n++;
    else found.set(`${mark.kind} ${place}`, { ...mark, x: place / SPOTS, n: 1 });
  }
  return [...found.values()];
}
