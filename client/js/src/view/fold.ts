import { dataOf, type LogEvent } from '../types.js';
import { lineRow } from './agentline.js';
import { isName, say } from './blocks.js';
import { Board } from './board.js';
import { Cards, planItems } from './cards.js';
import { Node } from './node.js';
import { redact } from './redact.js';
import { reuse } from './reuse.js';
import { endTool, growTool, startTool } from './tools.js';
import { Turns } from './turns.js';
import type { Conversation, NoticeItem, Section } from './types.js';
import { bag, errorText, idOf, str } from './values.js';

/** Why events are missing: the reasons of a gap frame, or that they were not asked for. */
export type GapReason = 'retention' | 'redacted' | 'unloaded';

/**
 * Makes a conversation of events, folded ones too (docs/PROTOCOL.md, section 3). Feed it in order; one that was applied before is passed
 * over. It is pure: the same events give the same conversation, in whatever portions they come. Applying costs nothing but what an event
 * changes, and so does the first look at `conversation` after it.
 */
export class Fold {
  private readonly board = new Board();
  private readonly cards = new Cards(this.board);
  private readonly turns = new Turns(this.board, this.cards);
  private readonly unknown: Record<string, number> = {};
  private unknownChanged = false;
  private last: number;
  private time = '';
  private snapshot: Conversation;

  /** `after`: the log is known from this id on; without it from its beginning. `partial`: it has holes, or begins in the middle. */
  constructor(private readonly options: { after?: number; partial?: boolean } = {}) {
    this.last = options.after ?? 0;
    this.snapshot = { ...empty, first: this.last + 1, last: this.last };
    this.board.changed = false;
  }

  apply(events: readonly LogEvent[]): void {
    for (const event of events) {
      if (event.id <= this.last) continue;
      if (event.from !== undefined && event.from <= this.last) {
        throw new RangeError(`events ${event.from} to ${event.id} come as one, and ${this.last} was applied already: read again after ${this.last}`);
      }
      this.last = event.id;
      this.time = event.time;
      this.board.changed = true;
      this.one(event);
    }
  }

  /** Notes that events will not come. The place where they would stand shows it. */
  gap(from: number, to: number, reason: GapReason): void {
    if (to <= this.last || to < from) return;
    const event: LogEvent = { id: to, from: Math.max(from, this.last + 1), session: '', type: 'gap', time: this.time, data: null };
    const last = this.board.sections.at(-1)?.draft;
    const turn = this.turns.open?.draft.turn ?? (last?.state === 'loose' ? last.turn : ''); // where the next events are likely to go on
    if (turn) event.turn = turn;
    for (const section of this.board.sections) section.whole = false;
    const notice: NoticeItem = { ...this.board.base(event), kind: 'notice', tone: reason === 'unloaded' ? 'info' : 'warning', text: missing(event.from!, to, reason), detail: '' };
    const node = new Node(notice) as Node;
    this.board.place(node, event);
    node.saysNothing(); // it is about these events, it does not say what they said
    this.last = to;
    this.board.changed = true;
  }

  /** Takes the server's word for which turn is open ('' for none) after the last event that was applied. Says whether it was news. */
  settle(turn: string): boolean {
    const news = this.turns.settle(turn);
    this.board.changed ||= news;
    return news;
  }

  /** The same object until something was applied that changed it. */
  get conversation(): Conversation {
    if (!this.board.changed) return this.snapshot;
    this.board.changed = false;
    const sections = this.board.build();
    const { open, plan } = this.cards;
    this.snapshot = {
      sections, last: this.last, first: this.snapshot.first,
      questions: open.questions.build(), kontasks: open.kontasks.build(), preparing: open.preparing.build(), tasks: open.tasks.build(),
      plan: plan?.build(), openTurn: this.turns.open?.build(), queued: queue(this.snapshot.queued, [...this.turns.queued].map((s) => s.build())),
      agentId: this.turns.agentId, model: this.turns.model, costUsd: this.turns.costUsd, closed: this.turns.closed,
      unknown: this.unknownChanged ? { ...this.unknown } : this.snapshot.unknown,
    };
    this.unknownChanged = false;
    return this.snapshot;
  }

  /** Takes over the values of an older conversation where they say the same, for those who tell by identity what is new. */
  reuse(old: Conversation): void {
    reuse(this.board, old);
  }

  private one(event: LogEvent): void {
    if (this.options.partial ?? this.options.after) this.turns.guess(event);
    this.dispatch(event);
    const section = event.turn ? this.board.scope(event.turn).section : undefined;
    if (!section) return;
    section.lastTime = event.time;
    section.touch();
  }

  private dispatch(event: LogEvent): void {
    const { board, cards, turns } = this;
    switch (event.type) {
      case 'text_delta': case 'text': case 'thinking_delta': case 'thinking':
        return this.block(event);
      case 'tool_start': case 'tool_delta': case 'tool_result':
        return this.tool(event);
      case 'prompt': return turns.prompt(event);
      case 'turn_start': return turns.start(event);
      case 'turn_end': return turns.end(event);
      case 'stop_turn': return turns.stop(event);
      case 'session_init': return turns.sessionInit(event);
      case 'usage': return turns.usage(event);
      case 'session_closed': return turns.close(event);
      case 'permission_request': return this.or(cards.ask(event), event);
      case 'permission_response': return this.or(cards.answer(event), event);
      case 'task_start': case 'task_update': case 'task_end': return this.or(cards.task(event), event);
      case 'kontask_created': case 'kontask_ready': case 'kontask_updated': case 'kontask_chosen': return this.or(cards.kontask(event), event);
      case 'plan': return cards.planned(event, planItems(dataOf(event, 'plan').items));
      case 'error': return turns.notice(event, 'error', errorText(dataOf(event, 'error').error) || 'The agent failed', idOf(dataOf(event, 'error').code));
      case 'process_exit': return this.exit(event);
      case 'agent': return board.other(event, lineRow(event.data));
      case 'runner_start': case 'process_start': return board.other(event, { label: event.type, minor: true });
      case 'redacted': return this.redacted(event);
      default: return this.foreign(event, board);
    }
  }

  /** An event that its rule could do nothing with is shown as a row of its own. */
  private or(done: boolean, event: LogEvent): void {
    if (!done) this.board.other(event, { label: event.type, minor: true });
  }

  private block(event: LogEvent): void {
    const d = bag(event.data);
    const kind = event.type.startsWith('text') ? 'text' : 'thinking';
    if (typeof d.text !== 'string' || !isName(d.block)) return this.or(false, event);
    say(this.board, event, { kind, text: d.text, whole: !event.type.endsWith('_delta') && event.from === undefined, block: d.block, parent: event.parent ?? '' });
  }

  private tool(event: LogEvent): void {
    const d = bag(event.data);
    const id = idOf(d.id);
    const parent = event.parent ?? '';
    if (event.type === 'tool_result') return endTool(this.board, event, { id, name: str(d.name), output: d.output, failed: d.isError === true, parent });
    if (event.type === 'tool_start' && event.from === undefined) return startTool(this.board, event, { id, name: str(d.name), input: d.input, parent });
    if (id === '' || typeof d.text !== 'string') return this.or(false, event);
    growTool(this.board, event, { id, text: d.text, parent });
  }

  private exit(event: LogEvent): void {
    const d = dataOf(event, 'process_exit');
    if (d.exitCode === 0 || d.reason === 'stopped') return this.or(false, event);
    const how = typeof d.signal === 'string' && d.signal ? `by ${d.signal}` : d.exitCode === undefined ? '' : `with code ${d.exitCode}`;
    this.turns.notice(event, 'error', `The agent’s process ended ${how}`.trim(), str(d.stderr) || str(d.reason));
  }

  private redacted(event: LogEvent): void {
    const d = dataOf(event, 'redacted');
    if (typeof d.from === 'number' && typeof d.to === 'number') redact(this.board, this.cards, d.from, d.to);
    const reason = str(d.reason);
    this.board.other(event, { label: `redacted ${d.from === d.to ? d.from : `${d.from} to ${d.to}`}${reason && `: ${reason}`}`, minor: true });
  }

  private foreign(event: LogEvent, board: Board): void {
    this.unknown[event.type] = (this.unknown[event.type] ?? 0) + 1;
    this.unknownChanged = true;
    const d = bag(event.data);
    board.other(event, { label: event.type, failed: /error/.test(event.type) || d.isError === true || d.success === false });
  }
}

function missing(from: number, to: number, reason: GapReason): string {
  if (reason === 'unloaded') return 'Events in between are not loaded';
  const what = from === to ? `Event ${from} was ` : `Events ${from} to ${to} were `;
  return what + (reason === 'redacted' ? 'redacted' : 'removed by retention');
}

/** The same array when it holds the same. */
function queue(was: readonly Section[], now: Section[]): readonly Section[] {
  return was.length === now.length && now.every((s, i) => s === was[i]) ? was : now;
}

const empty: Conversation = Object.freeze({
  sections: [], last: 0, first: 0, questions: [], kontasks: [], preparing: [], tasks: [], plan: undefined, openTurn: undefined, queued: [],
  agentId: '', model: '', costUsd: 0, closed: false, unknown: {},
});
