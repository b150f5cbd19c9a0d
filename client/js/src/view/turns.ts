// Turns: how they are asked for, begin and end, and what they cost.
// store/turn.go is the server's own fold of the same events.
import { dataOf, type LogEvent } from '../types.js';
import { closeBlock, say, stillAll } from './blocks.js';
import type { Board, Scope } from './board.js';
import type { Cards } from './cards.js';
import { Node, type SectionNode } from './node.js';
import { endTools } from './tools.js';
import type { NoticeItem, PromptItem } from './types.js';
import { errorText, idOf, isBag, num, promptImages, str, textOf } from './values.js';

/** What other people and the server append: it does not say that the agent is at work. */
const notOfAgent = /^(?:prompt|turn_start|turn_end|stop_turn|permission_response|redacted|session_closed|usage|task_.*|kontask_.*)$/;

export class Turns {
  open: SectionNode | undefined;
  closed = false;
  agentId = '';
  model = '';
  private cost = 0;
  private readonly waiting = new Set<SectionNode>();
  /** No turn was seen to begin or end: what comes first may be the middle of one. */
  private unsure = true;

  constructor(private readonly board: Board, private readonly cards: Cards) {}

  get queued(): Iterable<SectionNode> {
    return this.waiting;
  }

  /** Sums of money have few digits; those of binary fractions do not. */
  get costUsd(): number {
    return Math.round(this.cost * 1e9) / 1e9;
  }

  notice(event: LogEvent, tone: NoticeItem['tone'], text: string, detail = ''): void {
    this.board.place(new Node<NoticeItem>({ ...this.board.base(event), kind: 'notice', tone, text, detail }) as Node, event);
  }

  /** Where the log is not known from its beginning, an agent that is at work before any turn began works on one that is open. */
  guess(event: LogEvent): void {
    if (!this.unsure || !event.turn || this.open || notOfAgent.test(event.type)) return;
    const section = this.board.section(event);
    if (section.draft.state === 'loose') this.begin(section, '');
  }

  private begin(section: SectionNode, time: string): void {
    section.touch();
    section.draft.state = 'open';
    section.draft.startedAt = time;
    section.draft.model = this.model;
    this.waiting.delete(section);
    this.open = section;
  }

  prompt(event: LogEvent): void {
    const d = dataOf(event, 'prompt');
    const section = this.board.section(event);
    const { draft } = section;
    closeBlock(this.board.scope(event.turn ?? ''), event.parent ?? '');
    const steers = event.turn !== undefined && draft.state === 'open';
    if (event.turn && draft.state === 'loose') {
      draft.state = 'queued';
      this.waiting.add(section);
      this.unsure = false;
    }
    section.touch();
    const text = typeof event.data === 'string' ? event.data : str(d.text);
    if (draft.prompt === '' && draft.state !== 'loose') draft.prompt = text;
    this.shown(event, { text, source: str(d.source), kontaskId: str(d.kontaskId), steers, images: promptImages(d.images) });
  }

  private shown(event: LogEvent, prompt: Pick<PromptItem, 'text' | 'source' | 'kontaskId' | 'steers' | 'images'>): void {
    const node = new Node<PromptItem>({ ...this.board.base(event), kind: 'prompt', ...prompt });
    this.board.place(node as Node, event);
  }

  start(event: LogEvent): void {
    const d = dataOf(event, 'turn_start');
    const section = this.board.section(event);
    closeBlock(this.board.scope(event.turn ?? ''), event.parent ?? '');
    this.unsure = false;
    if (!event.turn || section.draft.state === 'ended') return;
    if (this.open && this.open !== section) this.over(this.open);
    if (section.draft.startedAt === '') this.begin(section, event.time);
    section.startId = event.id;
    section.draft.agent = str(d.agent) || section.draft.agent;
    const text = textOf(d.prompt);
    if (section.draft.prompt === '' && text !== '') {
      section.draft.prompt = text;
      this.shown(event, { text, source: '', kontaskId: '', steers: false, images: [] });
    }
  }

  /** The turn is known to be over, and how is not known. */
  private over(section: SectionNode, event?: LogEvent): void {
    section.touch();
    section.draft.state = 'ended';
    this.waiting.delete(section);
    const scope = this.board.scope(section.draft.turn);
    stillAll(scope);
    if (event) endTools(scope, event);
    else for (const node of scope.running) (node.touch(), (node.draft.state = 'ended'));
    scope.running.clear();
    if (this.open === section) this.open = undefined;
  }

  end(event: LogEvent): void {
    const d = dataOf(event, 'turn_end');
    const turn = event.turn ?? '';
    closeBlock(this.board.scope(turn), event.parent ?? '');
    this.cards.closeQuestions(turn);
    this.unsure = false;
    const section = turn !== '' ? this.board.section(event) : this.open;
    if (!section || section.endId !== 0) return;
    const scope = this.board.scope(section.draft.turn);
    const began = section.draft.state !== 'queued';
    this.over(section, event);
    const { draft } = section;
    draft.endedAt = event.time;
    section.endId = event.id;
    draft.success = d.success === true;
    draft.reason = str(d.reason) || (draft.success ? 'done' : 'error');
    draft.error = errorText(d.error);
    this.bill(event, section, d.usage, d.costUsd);
    const full = str(d.fullText);
    if (full !== '' && !scope.said && section.whole) say(this.board, { ...event, turn: draft.turn }, { kind: 'text', text: full, whole: true, block: undefined, parent: '' });
    this.sayEnd(event, section, began);
  }

  /** An end that is not plain has a row of its own. */
  private sayEnd(event: LogEvent, section: SectionNode, began: boolean): void {
    const { success, reason, error, turn } = section.draft;
    const at = { ...event, turn, parent: undefined };
    if (success) return;
    if (reason === 'stopped') this.notice(at, 'info', began ? 'Stopped' : 'Withdrawn before it began', error);
    else if (reason === 'abandoned') this.notice(at, 'warning', 'Abandoned: whoever ran the agent is gone, or was silent for longer than the lease', error);
    else if (reason === 'exit') this.notice(at, 'error', 'The agent’s process ended before the turn did', error);
    else this.notice(at, 'error', reason === 'error' ? 'The turn failed' : `The turn failed: ${reason}`, error);
  }

  stop(event: LogEvent): void {
    this.notice(event, 'info', 'Stop was asked for', str(dataOf(event, 'stop_turn').reason));
  }

  /** Of usage and cost what was said last holds. What a sub-agent used is in the sum of its parent. */
  private bill(event: LogEvent, section: SectionNode, usage: unknown, cost: unknown): void {
    if (event.parent) return;
    section.touch();
    if (isBag(usage)) section.draft.usage = usage;
    const usd = num(cost);
    if (usd === undefined) return;
    this.cost += usd - (section.draft.costUsd ?? 0);
    section.draft.costUsd = usd;
  }

  usage(event: LogEvent): void {
    this.bill(event, this.board.section(event), event.data, dataOf(event, 'usage').costUsd);
  }

  init(event: LogEvent, agentId: string, model: string): void {
    this.agentId = agentId || this.agentId;
    this.model = model || this.model;
    this.board.changed = true;
    if (!event.turn || model === '') return;
    const section = this.board.section(event);
    section.touch();
    section.draft.model = model;
  }

  sessionInit(event: LogEvent): void {
    const d = dataOf(event, 'session_init');
    this.init(event, idOf(d.sessionId), str(d.model));
  }

  close(event: LogEvent): void {
    this.closed = true;
    this.cards.closeQuestions(undefined);
    if (this.open) this.over(this.open, event);
    for (const section of [...this.waiting]) this.over(section, event);
    this.board.changed = true;
    for (const scope of this.board.allScopes()) stillAll(scope);
    this.notice(event, 'info', 'The session was closed');
  }

  /** The server's word: only this turn is open. The event that said so may have been redacted, or lie before what was read. */
  settle(turn: string): boolean {
    const scope: Scope | undefined = turn === '' ? undefined : this.board.scope(turn);
    const section = scope?.section;
    if (this.open === section) return false;
    if (this.open) {
      this.cards.closeQuestions(this.open.draft.turn);
      this.over(this.open);
    }
    if (section && section.draft.endedAt === '') this.begin(section, section.draft.startedAt);
    return true;
  }
}
