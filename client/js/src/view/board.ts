// Where items stand: sections in the order of the log, items in their section
// or below the tool that is their parent.
import type { LogEvent } from '../types.js';
import { List, Node, patched, SectionNode } from './node.js';
import type { Item, OtherItem, PlanItem, TextItem, ToolItem } from './types.js';

/** Labels that a run of minor events names one by one. */
const labelsMax = 8;

/** What is known of a turn; the events without one share a scope too. */
export class Scope {
  section: SectionNode | undefined;
  /** The open block without a name, by place: that is its parent, of an agent's own line another one. */
  readonly open = new Map<string, Node<TextItem>>();
  /** Blocks by kind, place and name; the number 1 and the string "1" are two names. */
  readonly named = { text: new Map<string, Map<string | number, Node<TextItem>>>(), thinking: new Map<string, Map<string | number, Node<TextItem>>>() };
  /** The block that was added to last, by place: the one that streams. */
  readonly active = new Map<string, Node<TextItem>>();
  readonly tools = new Map<string, Node<ToolItem>>();
  /** Those without result. */
  readonly running = new Set<Node<ToolItem>>();
  /** Items whose parent was not seen yet, by it. */
  readonly orphans = new Map<string, Node[]>();
  readonly plans = new Map<string, Node<PlanItem>>();
  /** Its agent said something at top level. */
  said = false;

  constructor(readonly turn: string) {}
}

export class Board {
  readonly sections: SectionNode[] = [];
  private readonly scopes = new Map<string, Scope>();
  private recent: Scope | undefined;
  private value: SectionNode['value'][] = [];
  private touched: SectionNode[] = [];
  /** Tools by id, the newest of an id: for events that name one without its turn. */
  private readonly tools = new Map<string, Node<ToolItem>>();
  /** Something is another than at the last build. */
  changed = true;

  scope(turn: string): Scope {
    if (this.recent?.turn === turn) return this.recent;
    let s = this.scopes.get(turn);
    if (!s) this.scopes.set(turn, (s = new Scope(turn)));
    return (this.recent = s);
  }

  *allScopes(): Iterable<Scope> {
    yield* this.scopes.values();
  }

  /** The section of the event's turn; of one without a turn the last one if it is of no turn either, else a new one. */
  section(event: LogEvent): SectionNode {
    const scope = this.scope(event.turn ?? '');
    if (scope.section && (scope.turn !== '' || scope.section === this.sections.at(-1))) return scope.section;
    return (scope.section = this.newSection(event, scope.turn));
  }

  private newSection(event: LogEvent, turn: string): SectionNode {
    const section = new SectionNode({
      id: event.from ?? event.id, turn, state: 'loose', prompt: '', startedAt: '', endedAt: '', success: undefined, reason: '',
      error: '', agent: '', model: '', costUsd: undefined, usage: undefined,
    }, this.sections.length, (s) => {
      this.touched.push(s);
      this.changed = true;
    });
    section.firstTime = section.lastTime = event.time;
    section.whole = event.type === 'prompt' || event.type === 'turn_start';
    this.sections.push(section);
    return section;
  }

  /** The section for what is news at the end of the log, such as a card of a turn that ended long ago. */
  endSection(event: LogEvent): SectionNode {
    const own = event.turn ? this.scope(event.turn).section : undefined;
    if (own && (own.draft.state === 'open' || own === this.sections.at(-1))) return own;
    return this.section({ ...event, turn: '' });
  }

  /** The members that all items have. Where there are many items they are written out: an object that is made by spreading another one is slow to make. */
  base(event: LogEvent, parent = event.parent ?? ''): { id: number; last: number; turn: string; parent: string; time: string } {
    return { id: event.from ?? event.id, last: event.id, turn: event.turn ?? '', parent, time: event.time };
  }

  /** Puts a new item in its place: below its parent when there is one, at top level of the section where it is given. */
  place(node: Node, event: LogEvent, section?: SectionNode): void {
    const parent = section ? '' : node.draft.parent;
    const tool = parent ? this.tool(event.turn ?? '', parent) : undefined;
    if (tool && tool !== (node as Node<Item>)) {
      below(tool).append(node);
    } else {
      (section ?? this.section(event)).items.append(node);
      if (parent) {
        const { orphans } = this.scope(event.turn ?? '');
        const waiting = orphans.get(parent);
        if (waiting) waiting.push(node);
        else orphans.set(parent, [node]);
      }
    }
    node.says(event.from ?? event.id, event.id);
  }

  /** The tool by an id: of the turn; of any when the event names none. */
  tool(turn: string, id: string): Node<ToolItem> | undefined {
    const own = this.scope(turn).tools.get(id);
    if (own) return own;
    return turn === '' ? this.tools.get(id) : undefined;
  }

  /** Makes a tool known by its id, and puts below it what named it before it came. */
  adopt(node: Node<ToolItem>): void {
    const { toolId, turn } = node.draft;
    if (toolId === '') return;
    const scope = this.scope(turn);
    scope.tools.set(toolId, node);
    this.tools.set(toolId, node);
    const waiting = scope.orphans.get(toolId);
    if (!waiting) return;
    scope.orphans.delete(toolId);
    for (const child of waiting) {
      if (child === (node as Node<Item>) || isAbove(child, node)) continue;
      child.up?.remove(child);
      below(node).append(child);
    }
  }

  /** Adds a row for an event that has no form of its own; minor ones that follow one another share it. */
  other(event: LogEvent, row: { label: string; minor?: boolean; failed?: boolean }, parent = event.parent ?? ''): void {
    const minor = row.minor ?? false;
    const section = this.section(event);
    const tool = parent ? this.tool(event.turn ?? '', parent) : undefined;
    const last = (tool ? tool.children : section.items)?.last;
    if (minor && last?.draft.kind === 'other' && last.draft.minor && last.draft.parent === parent) {
      const item = last.draft;
      last.touch();
      last.says(event.from ?? event.id, event.id);
      item.count = (item.count ?? 1) + 1;
      item.label = relabel(last, row.label);
      item.failed ||= row.failed ?? false;
      return;
    }
    this.place(new Node<OtherItem>({ id: event.from ?? event.id, last: event.id, turn: event.turn ?? '', parent, time: event.time, kind: 'other', type: event.type, label: row.label, minor, failed: row.failed ?? false, count: 1 }), event);
  }

  /** Every item, those below tools too. */
  *walk(): Iterable<Node> {
    const lists = this.sections.map((s) => s.items);
    for (let l = lists.pop(); l; l = lists.pop()) {
      for (const node of l.nodes) {
        yield node;
        if (node.children) lists.push(node.children);
      }
    }
  }

  /** Lets the values of sections be changed for ones that say the same, from the last one on until it says false. */
  reuse(each: (section: SectionNode) => boolean): void {
    for (let i = this.sections.length - 1; i >= 0 && each(this.sections[i]!); i--);
    this.value = this.sections.map((s) => s.value);
  }

  build(): readonly SectionNode['value'][] {
    if (this.touched.length > 0) {
      this.value = patched(this.value, this.touched);
      this.touched = [];
    }
    return this.value;
  }
}

function below(tool: Node<ToolItem>): List {
  return (tool.children ??= new List(tool));
}

/** Whether a node is the other one or stands above it. */
function isAbove(node: Node, other: Node): boolean {
  for (let n: Node | undefined = other; n; n = n.up?.under) if (n === node) return true;
  return false;
}

const others = '…';

/** The label of a shared row: how often each came; the names after the first ones count as one. */
function relabel(node: Node, label: string): string {
  const counts = (node.labels ??= new Map([[(node.draft as OtherItem).label, 1]]));
  const name = counts.has(label) || counts.size < labelsMax ? label : others;
  counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([l, n]) => (n > 1 ? `${l} ×${n}` : l)).join(', ');
}
