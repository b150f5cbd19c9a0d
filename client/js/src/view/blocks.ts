// Blocks of text and thinking: docs/PROTOCOL.md section 3, fold. A delta, or
// an event with `from`, adds to its block; a whole takes the block's place.
import type { LogEvent } from '../types.js';
import type { Board, Scope } from './board.js';
import { Node } from './node.js';
import type { TextItem } from './types.js';

/** What a block is called: a string or a number; undefined for the open one. */
export type BlockName = string | number | undefined;

export interface Said {
  kind: 'text' | 'thinking';
  text: string;
  whole: boolean;
  block: BlockName;
  parent: string;
  /** Where it may be the open block; its parent unless it says otherwise. */
  place?: string;
}

/** Whether a value can name a block. Of a text with any other name nobody knows where it belongs. */
export const isName = (v: unknown): v is BlockName => v === undefined || typeof v === 'string' || typeof v === 'number';

export function say(board: Board, event: LogEvent, said: Said): void {
  const scope = board.scope(event.turn ?? '');
  const place = said.place ?? said.parent;
  const node = blockOf(board, scope, event, said, place);
  const item = node.draft;
  node.touch();
  if (said.whole) {
    item.text = said.text;
    node.saysOnly(event.id);
    closeAt(scope, place);
    item.streaming = false;
  } else {
    item.text += said.text;
    node.says(event.from ?? event.id, event.id);
    stream(scope, place, node);
  }
  if (said.kind === 'text' && said.parent === '' && said.text !== '') scope.said = true;
}

/** The block that is spoken of, made when there is none, and what that does to the open one. */
function blockOf(board: Board, scope: Scope, event: LogEvent, { kind, block, parent, whole }: Said, place: string): Node<TextItem> {
  const open = scope.open.get(place);
  if (block === undefined) {
    if (open && open.draft.kind === kind) {
      if (whole) scope.open.delete(place);
      return open;
    }
    const node = newBlock(board, event, kind, parent);
    if (whole) scope.open.delete(place);
    else scope.open.set(place, node);
    return node;
  }
  if (open) scope.open.delete(place);
  let names = scope.named[kind].get(place);
  if (!names) scope.named[kind].set(place, (names = new Map()));
  let node = names.get(block);
  if (!node) names.set(block, (node = newBlock(board, event, kind, parent)));
  return node;
}

function newBlock(board: Board, event: LogEvent, kind: 'text' | 'thinking', parent: string): Node<TextItem> {
  const node = new Node<TextItem>({ id: event.from ?? event.id, last: event.id, turn: event.turn ?? '', parent, time: event.time, kind, text: '', streaming: false });
  board.place(node as Node, event);
  node.saysNothing();
  return node;
}

/** The block is the one that streams now; the one before it does not any more. */
function stream(scope: Scope, place: string, node: Node<TextItem>): void {
  const was = scope.active.get(place);
  if (was === node && node.draft.streaming) return;
  if (was && was !== node) still(was);
  scope.active.set(place, node);
  node.draft.streaming = scope.section?.draft.state !== 'ended';
}

function still(node: Node<TextItem>): void {
  if (!node.draft.streaming) return;
  node.touch();
  node.draft.streaming = false;
}

function closeAt(scope: Scope, place: string): void {
  const was = scope.active.get(place);
  if (!was) return;
  still(was);
  scope.active.delete(place);
}

/** Ends the open block of a place: what comes without a name from now on is another one. */
export function closeBlock(scope: Scope, place: string): void {
  scope.open.delete(place);
  closeAt(scope, place);
}

/** Nothing streams any more. The open blocks below tools stay open, as the fold has it. */
export function stillAll(scope: Scope): void {
  for (const node of scope.active.values()) still(node);
  scope.active.clear();
}
