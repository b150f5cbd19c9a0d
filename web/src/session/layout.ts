// A conversation as a list of rows, which is what a window is cut out of. Rows
// of what did not change are the same objects as before.
import type { Conversation, Item, OtherItem, Section } from '@konlog/client/view';

export type Row =
  | { kind: 'head'; key: string; section: Section }
  | { kind: 'item'; key: string; item: Item }
  | { kind: 'others'; key: string; items: readonly OtherItem[] };

/** Whether a row's key is that of the head of a turn. */
export function isHead(key: string): boolean {
  return key.startsWith('h');
}

/** The rows of one section. */
export interface Block {
  key: string;
  section: Section;
  rows: readonly Row[];
  /** Place of its first row among all. */
  start: number;
}

/** All rows of a conversation, by place and by key. */
export class Layout {
  private constructor(
    readonly blocks: readonly Block[],
    readonly total: number,
  ) {}

  static readonly empty = new Layout([], 0);

  /** The layout of a conversation; of what the one before it has, as much as possible is kept. */
  static of(conversation: Conversation, before: Layout = Layout.empty): Layout {
    const known = new Map(before.blocks.map((b) => [b.key, b]));
    const used = new Set<string>();
    const blocks: Block[] = [];
    let start = 0;
    for (const section of conversation.sections) {
      let key = section.turn ? `t${section.turn}` : `s${section.id}`;
      while (used.has(key)) key += '+';
      used.add(key);
      const old = known.get(key);
      const rows = old?.section === section ? old.rows : rowsOf(section, key, old);
      if (rows.length === 0) continue;
      blocks.push({ key, section, rows, start });
      start += rows.length;
    }
    return new Layout(blocks, start);
  }

  at(index: number): Row | undefined {
    const block = this.blockAt(index);
    return block?.rows[index - block.start];
  }

  blockAt(index: number): Block | undefined {
    let low = 0;
    let high = this.blocks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.blocks[middle]!.start <= index) low = middle;
      else high = middle - 1;
    }
    const block = this.blocks[low];
    return block && index >= block.start && index < block.start + block.rows.length ? block : undefined;
  }

  /** Place of a row; -1 when it is no more. `near`: where it probably is. */
  indexOf(key: string, near = -1): number {
    if (this.at(near)?.key === key) return near;
    for (const block of this.blocks) {
      for (let i = 0; i < block.rows.length; i++) if (block.rows[i]!.key === key) return block.start + i;
    }
    return -1;
  }

  /** The row that shows the event, or else the last one before it; -1 when there is none. */
  indexOfEvent(id: number): number {
    let best = -1;
    let bestId = -1;
    for (const block of this.blocks) {
      for (let i = 0; i < block.rows.length; i++) {
        const row = block.rows[i]!;
        const at = shows(row, id);
        if (at === true) return block.start + i;
        if (typeof at === 'number' && at > bestId) [best, bestId] = [block.start + i, at];
      }
    }
    return best;
  }
}

/** true: the row begins with the event or holds it. A number: the id it begins with, which is before the event. */
function shows(row: Row, id: number): boolean | number {
  // The event that a turn begins with is in one of its items, if in any.
  if (row.kind === 'head') return row.section.id <= id && row.section.id;
  if (row.kind === 'others') {
    const first = row.items[0]!.id;
    return first <= id && id <= row.items.at(-1)!.last ? row.items.some((i) => i.id <= id && id <= i.last) || first : first < id ? first : false;
  }
  if (holds(row.item, id)) return true;
  return row.item.id < id ? row.item.id : false;
}

function holds(item: Item, id: number): boolean {
  if (item.id === id || item.last === id) return true;
  // A block of text has all the events from its first to its last one; a tool
  // is open while others happen, so it has only its ends and what is in it.
  if ((item.kind === 'text' || item.kind === 'thinking') && item.id < id && id < item.last) return true;
  return item.kind === 'tool' && item.children.some((child) => holds(child, id));
}

function rowsOf(section: Section, key: string, old: Block | undefined): Row[] {
  const rows: Row[] = [];
  if (section.turn) rows.push({ kind: 'head', key: `h${key}`, section });
  const kept = keep(section, old, rows);
  for (let i = kept; i < section.items.length; i++) push(rows, section.items[i]!, section.items, i);
  return rows;
}

/** Takes over the rows of the items that did not change; gives how many items they are. */
function keep(section: Section, old: Block | undefined, rows: Row[]): number {
  if (!old) return 0;
  const before = old.section.items;
  const most = Math.min(before.length, section.items.length);
  let same = 0;
  while (same < most && before[same] === section.items[same]) same++;
  // A run of others may go on, so it is made again from its start.
  while (same > 0 && section.items[same - 1]!.kind === 'other') same--;
  if (same === 0) return 0;
  let items = 0;
  for (const row of old.rows) {
    if (items >= same) break;
    if (row.kind === 'item') items++;
    else if (row.kind === 'others') items += row.items.length;
    else continue;
    rows.push(row);
  }
  return items;
}

function push(rows: Row[], item: Item, items: readonly Item[], index: number): void {
  const last = rows.at(-1);
  if (item.kind === 'other') {
    if (last?.kind === 'others') (last.items as OtherItem[]).push(item);
    else if (item.minor || items[index + 1]?.kind === 'other') rows.push({ kind: 'others', key: `o${item.id}`, items: [item] });
    else rows.push({ kind: 'item', key: `i${item.id}`, item });
    return;
  }
  // One event can be seen first in several items.
  let key = `i${item.id}`;
  for (let i = rows.length - 1; i >= 0 && rows[i]!.key.startsWith(key); i--) key += '+';
  rows.push({ kind: 'item', key, item });
}
