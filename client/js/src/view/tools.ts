// Calls of tools: their input as it streams, their result, what they took by
// the log's times. One id in one turn is one call, however often it starts.
import type { LogEvent } from '../types.js';
import { closeBlock } from './blocks.js';
import type { Board, Scope } from './board.js';
import { Node } from './node.js';
import type { ToolItem } from './types.js';
import { between, imagesOf } from './values.js';

function call(board: Board, event: LogEvent, id: string, parent: string): Node<ToolItem> {
  const node = new Node<ToolItem>({
    id: event.from ?? event.id, last: event.id, turn: event.turn ?? '', parent, time: event.time, kind: 'tool', toolId: id, name: '', input: undefined, inputText: '', output: undefined,
    state: 'running', durationMs: undefined, images: [], children: [],
  });
  board.place(node as Node, event);
  board.adopt(node);
  return node;
}

function find(board: Board, event: LogEvent, id: string): Node<ToolItem> | undefined {
  return id === '' ? undefined : board.tool(event.turn ?? '', id);
}

/** The start of a call, or its input once that is known. */
export function startTool(board: Board, event: LogEvent, t: { id: string; name: string; input: unknown; parent: string; place?: string }): void {
  const scope = board.scope(event.turn ?? '');
  closeBlock(scope, t.place ?? t.parent);
  const known = scope.tools.get(t.id);
  const node = known ?? call(board, event, t.id, t.parent);
  node.touch();
  const tool = node.draft;
  if (tool.name === '') tool.name = t.name;
  if (t.input !== undefined && t.input !== null) {
    tool.input = t.input;
    tool.inputText = '';
    if (tool.output === undefined) node.saysNothing();
  }
  node.says(event.id, event.id);
  if (node.startedAt === '' && tool.state === 'running') {
    node.startedAt = event.time;
    if (ended(scope)) tool.state = 'ended';
    else scope.running.add(node);
  }
}

/** More of an input. */
export function growTool(board: Board, event: LogEvent, t: { id: string; text: string; parent: string }): void {
  const scope = board.scope(event.turn ?? '');
  const node = scope.tools.get(t.id) ?? call(board, event, t.id, t.parent);
  node.touch();
  node.draft.inputText += t.text;
  node.says(event.from ?? event.id, event.id);
  if (node.draft.state !== 'running') return;
  if (ended(scope)) node.draft.state = 'ended';
  else scope.running.add(node);
}

/** The end of a call. Without an id it is that of the oldest one that has none; of one that nobody started it is all there is. */
export function endTool(board: Board, event: LogEvent, t: { id: string; name: string; output: unknown; failed: boolean; parent: string }): void {
  const scope = board.scope(event.turn ?? '');
  const node = find(board, event, t.id) ?? nameless(scope, t.id) ?? call(board, event, t.id, t.parent);
  node.touch();
  const tool = node.draft;
  if (tool.name === '') tool.name = t.name;
  tool.output = t.output ?? null;
  tool.images = imagesOf(t.output);
  node.says(event.id, event.id);
  if (tool.state === 'done' || tool.state === 'failed') return;
  if (node.startedAt && tool.state === 'running') tool.durationMs = between(node.startedAt, event.time);
  tool.state = t.failed ? 'failed' : 'done';
  board.scope(tool.turn).running.delete(node);
}

function nameless(scope: Scope, id: string): Node<ToolItem> | undefined {
  if (id !== '') return undefined;
  for (const node of scope.running) if (node.draft.toolId === '') return node;
  return undefined;
}

const ended = (scope: Scope): boolean => scope.turn !== '' && scope.section?.draft.state === 'ended';

/** What still runs when its turn ends, ends with it. */
export function endTools(scope: Scope, event: LogEvent): void {
  for (const node of scope.running) {
    node.touch();
    node.draft.state = 'ended';
    if (node.startedAt) node.draft.durationMs = between(node.startedAt, event.time);
  }
  scope.running.clear();
}
