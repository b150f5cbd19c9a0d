// After a fold from the start, most of what is shown is as it was. Keeping the
// old values spares those who draw by identity the work of drawing them again.
import type { Board } from './board.js';
import type { List } from './node.js';
import type { Conversation, Item } from './types.js';

/** Values are compared this deep: the parts of an item, not the documents in them. */
const depthMax = 3;
/** Only so many of the last items are compared: more are never drawn at once, and comparing costs as much as folding. */
const itemsMax = 5_000;

interface Budget {
  items: number;
}

/** Gives nodes the values of an older conversation where these say the same. */
export function reuse(board: Board, old: Conversation): void {
  const items = new Map<string, Item>();
  let budget: Budget = { items: itemsMax };
  for (let i = old.sections.length - 1; i >= 0 && budget.items > 0; i--) collect(old.sections[i]!.items, items, budget);
  const sections = new Map(old.sections.map((s) => [s.id, s]));
  board.build();
  budget = { items: itemsMax };
  board.reuse((node) => {
    if (budget.items <= 0) return false;
    keep(node.items, items, budget);
    const was = sections.get(node.value.id);
    const now = { ...node.value, items: node.items.build() };
    node.value = was && equal(was, now, depthMax) ? was : now;
    return true;
  });
}

function collect(list: readonly Item[], into: Map<string, Item>, budget: Budget): void {
  for (let i = list.length - 1; i >= 0 && budget.items > 0; i--) {
    const item = list[i]!;
    budget.items--;
    into.set(`${item.kind} ${item.id}`, item);
    if (item.kind === 'tool') collect(item.children, into, budget);
  }
}

function keep(list: List, items: Map<string, Item>, budget: Budget): void {
  for (let i = list.nodes.length - 1; i >= 0 && budget.items > 0; i--) {
    const node = list.nodes[i]!;
    budget.items--;
    if (node.children) {
      keep(node.children, items, budget);
      node.value = { ...node.value, children: node.children.build() } as Item;
    }
    const was = items.get(`${node.draft.kind} ${node.draft.id}`);
    if (was && equal(was, node.value, depthMax)) node.value = was;
  }
  list.refresh();
}

function equal(a: unknown, b: unknown, depth: number): boolean {
  if (Object.is(a, b)) return true;
  if (depth === 0 || typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  // Items of a list were kept already where they are the same.
  const items = Array.isArray(a) && a.length > 0 && typeof a[0] === 'object' && a[0] !== null && 'kind' in a[0];
  return keys.every((k) => equal((a as Record<string, unknown>)[k], (b as Record<string, unknown>)[k], items ? 0 : depth - 1));
}
