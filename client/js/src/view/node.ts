// What changes while events are applied, and the values that are shown of it.
// A node's draft is changed in place; its value is made anew from it when a
// snapshot is taken, of those nodes only that were touched since the last one.
import type { Item, Section } from './types.js';
import { between } from './values.js';

/** What holds a list: it is touched when something in the list is. */
export interface Owner {
  touch(): void;
}

/** An item on its way. */
export class Node<T extends Item = Item> implements Owner {
  /** The value as of the last snapshot. */
  value!: T;
  dirty = true;
  up: List | undefined;
  index = -1;
  /** Of a tool: what hangs below it. */
  children: List | undefined;
  /** Of a tool: when it was started; by deltas alone it was not. */
  startedAt = '';
  /** Of a row that several events share: how often each label came. */
  labels: Map<string, number> | undefined;
  /** Ids that the content came from: the newest run, and pairs of first and last of those before. */
  private from = 0;
  private to = 0;
  private before: number[] | undefined;

  constructor(readonly draft: T) {}

  /** Notes that the draft was changed, or is about to be. */
  touch(): void {
    if (this.dirty) return;
    this.dirty = true;
    this.up?.changed(this);
  }

  /** Notes that an event added to the content. */
  says(from: number, to: number): void {
    if (this.to === 0 || from > this.to + 1) {
      if (this.to !== 0) (this.before ??= []).push(this.from, this.to);
      this.from = from;
    }
    this.to = to;
    this.draft.last = to;
  }

  /** Notes that nothing of the content so far is left. */
  saysNothing(): void {
    this.from = this.to = 0;
    this.before = undefined;
  }

  /** Notes that an event took the place of all content so far. */
  saysOnly(id: number): void {
    this.saysNothing();
    this.says(id, id);
  }

  /** Whether content came from one of the ids. */
  saidBy(from: number, to: number): boolean {
    if (this.to !== 0 && this.from <= to && this.to >= from) return true;
    const ids = this.before ?? [];
    for (let i = 0; i < ids.length; i += 2) if (ids[i]! <= to && ids[i + 1]! >= from) return true;
    return false;
  }

  build(): T {
    if (this.dirty) {
      this.dirty = false;
      this.value = { ...this.draft };
      if (this.children) (this.value as { children: Item[] }).children = this.children.build();
    }
    return this.value;
  }
}

/** The items of a section or of a tool, in the order in which they were seen first. */
export class List {
  readonly nodes: Node[] = [];
  private value: Item[] = [];
  private touched: Node[] = [];
  private reshaped = false;

  constructor(private readonly owner: Owner) {}

  /** The tool that it hangs below; undefined for a section's own. */
  get under(): Node | undefined {
    return this.owner instanceof Node ? this.owner : undefined;
  }

  get last(): Node | undefined {
    return this.nodes[this.nodes.length - 1];
  }

  append(node: Node): void {
    node.up = this;
    node.index = this.nodes.push(node) - 1;
    node.dirty = true;
    this.touched.push(node);
    this.owner.touch();
  }

  remove(node: Node): void {
    this.nodes.splice(node.index, 1);
    for (let i = node.index; i < this.nodes.length; i++) this.nodes[i]!.index = i;
    node.up = undefined;
    this.reshaped = true;
    this.owner.touch();
  }

  changed(node: Node): void {
    this.touched.push(node);
    this.owner.touch();
  }

  /** Takes the values of its nodes as they are now. */
  refresh(): void {
    this.value = this.nodes.map((n) => n.value);
  }

  build(): Item[] {
    if (this.reshaped) {
      this.value = this.nodes.map((n) => n.build());
    } else if (this.touched.length > 0) {
      this.value = patched(this.value, this.touched);
    }
    this.reshaped = false;
    this.touched = [];
    return this.value;
  }
}

/** A copy with the values of nodes in their places, behind its end too. It is grown in one step: a copy that grows later is copied twice. */
export function patched<T, N extends { readonly index: number; build(): T }>(values: readonly T[], nodes: readonly N[]): T[] {
  const added: T[] = [];
  const old: N[] = [];
  for (const n of nodes) {
    if (n.index < values.length) old.push(n);
    else added[n.index - values.length] = n.build();
  }
  const next = values.concat(added);
  for (const n of old) next[n.index] = n.build();
  return next;
}

/** A section on its way. */
export class SectionNode implements Owner {
  value!: Section;
  dirty = true;
  readonly items: List;
  /** Of its first event and of its last one before its end. */
  firstTime = '';
  lastTime = '';
  /** Ids of its turn_start and turn_end. */
  startId = 0;
  endId = 0;
  /** All its events so far were seen: it began with what begins a turn, and no gap came since. */
  whole = false;

  constructor(readonly draft: Omit<Section, 'items' | 'durationMs'>, readonly index: number, private readonly up: (section: SectionNode) => void) {
    this.items = new List(this);
    up(this);
  }

  touch(): void {
    if (this.dirty) return;
    this.dirty = true;
    this.up(this);
  }

  build(): Section {
    if (this.dirty) {
      this.dirty = false;
      const { startedAt, endedAt } = this.draft;
      const durationMs = between(startedAt || this.firstTime, endedAt || this.lastTime);
      this.value = { ...this.draft, durationMs, items: this.items.build() };
    }
    return this.value;
  }
}

/** Members of a list that has an order of its own, such as the open questions. */
export class Roll<T extends Item> {
  private readonly members = new Set<Node<T>>();
  private value: readonly T[] = [];

  add(node: Node<T>): void {
    this.members.add(node);
  }

  drop(node: Node<T>): void {
    this.members.delete(node);
  }

  [Symbol.iterator](): IterableIterator<Node<T>> {
    return this.members.values();
  }

  /** The same array as before unless one of them is another. */
  build(): readonly T[] {
    let same = this.members.size === this.value.length;
    const next: T[] = [];
    for (const n of this.members) {
      const v = n.build();
      same &&= this.value[next.length] === v;
      next.push(v);
    }
    if (!same) this.value = next;
    return this.value;
  }
}
