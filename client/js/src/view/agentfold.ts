// Agents' own lines in the fold: what they say takes the way that the neutral
// events take, so that blocks, tools and subagents are the same for both.
import type { LogEvent } from '../types.js';
import { Interpreter, type Piece } from './agentline.js';
import { closeBlock, say } from './blocks.js';
import type { Board } from './board.js';
import type { Cards } from './cards.js';
import { Node } from './node.js';
import { endTool, growTool, startTool } from './tools.js';
import type { Turns } from './turns.js';
import type { PromptItem } from './types.js';
import { promptImages } from './values.js';

/** Names of prompts that were shown: an agent that echoes one does so soon. */
const promptsMax = 500;

export class AgentLines {
  private readonly interpreter = new Interpreter();
  private readonly prompted = new Set<string>();
  private complaint = '';

  constructor(private readonly board: Board, private readonly turns: Turns, private readonly cards: Cards) {}

  apply(event: LogEvent): void {
    for (const piece of this.interpreter.read(event.data)) this.piece(event, piece);
  }

  private piece(event: LogEvent, p: Piece): void {
    const parent = ('parent' in p && p.parent) || event.parent || '';
    // The server's fold knows nothing of what such a line says: it must not close a block of the neutral events, nor go on with one.
    const place = `agent ${parent}`;
    const scope = this.board.scope(event.turn ?? '');
    switch (p.is) {
      case 'block': return say(this.board, event, { kind: p.kind, text: p.text, whole: p.whole, block: p.block, parent, place });
      case 'tool':
        if (p.text !== undefined) return growTool(this.board, event, { id: p.id, text: p.text, parent });
        return startTool(this.board, event, { id: p.id, name: p.name, input: p.input, parent, place });
      case 'result':
        if (!this.board.tool(event.turn ?? '', p.id)) closeBlock(scope, place); // it is the first that is heard of it
        return endTool(this.board, event, { id: p.id, name: p.name ?? '', output: p.output, failed: p.failed, parent });
      case 'prompt':
        closeBlock(scope, place);
        return this.prompt(event, p, parent);
      case 'plan': return this.cards.planned(event, p.items, parent);
      case 'init': return this.turns.init(event, p.id, p.model);
      case 'bill': // the last that an agent says of its turn
        closeBlock(scope, place);
        return this.turns.billed(event, p.usage, p.costUsd);
      case 'notice': return this.notice(event, p);
      case 'row':
        if (!p.minor) closeBlock(scope, place); // what comes after it is not put before it
        return this.board.other(event, p, parent);
    }
  }

  private prompt(event: LogEvent, p: Piece & { is: 'prompt' }, parent: string): void {
    if (p.once) {
      if (this.prompted.has(p.once)) return;
      this.prompted.add(p.once);
      if (this.prompted.size > promptsMax) this.prompted.delete(this.prompted.values().next().value!);
    }
    const node = new Node<PromptItem>({
      ...this.board.base(event, parent), kind: 'prompt', text: p.text, images: promptImages(p.images), source: '', kontaskId: '', steers: false,
    });
    this.board.place(node as Node, event);
  }

  /** Agents say the same error on their way up, one line after the other. */
  private notice(event: LogEvent, p: Piece & { is: 'notice' }): void {
    if (p.text === this.complaint) return this.board.other(event, { label: p.text.slice(0, 80), minor: true });
    this.complaint = p.text;
    this.turns.notice(event, p.tone, p.text, p.detail);
  }
}
