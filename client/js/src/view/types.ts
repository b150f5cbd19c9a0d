// A conversation as it is shown: what the fold of a log gives. Values are
// replaced, never changed: whoever kept the old one sees by === what is new.
import type { Kontask, LogEvent, Problem, Status } from '../types.js';
import type { QuestionOption } from './options.js';

interface Base {
  /** Id of the event that it was seen with first; the order of items, and their key. */
  id: number;
  /** Id of the last event that changed it. */
  last: number;
  turn: string;
  /** The tool, task or event that it belongs to; '' at top level. */
  parent: string;
  /** Of the first event, RFC 3339. */
  time: string;
  /** A redaction took content away that was shown here. */
  redacted?: boolean;
}

export interface TextItem extends Base {
  kind: 'text' | 'thinking';
  text: string;
  /** Deltas may still come. */
  streaming: boolean;
}

export interface PromptItem extends Base {
  kind: 'prompt';
  text: string;
  images: ImageRef[];
  /** user, inject, kontask, api … */
  source: string;
  kontaskId: string;
  /** It steered a turn that was open. */
  steers: boolean;
}

export interface ImageRef {
  /** To be shown, relative to the server; '' when the event holds none that can be. */
  url: string;
  contentType: string;
  bytes: number;
}

export interface ToolItem extends Base {
  kind: 'tool';
  toolId: string;
  name: string;
  /** The input as JSON value; undefined while only deltas of it came. */
  input: unknown;
  /** The input as it was streamed, while there is no whole one. */
  inputText: string;
  /** undefined until the result came. */
  output: unknown;
  /** ended: the turn ended and no result came. */
  state: 'running' | 'done' | 'failed' | 'ended';
  durationMs: number | undefined;
  images: ImageRef[];
  /** What a subagent did: items whose parent this tool is. */
  children: Item[];
}

export interface QuestionItem extends Base {
  kind: 'question';
  requestId: string;
  tool: string;
  input: unknown;
  options: QuestionOption[];
  answer: { allow: boolean; by: string; message: string; option: unknown; time: string; id: number } | undefined;
  /** Neither answered nor closed by the end of its turn. */
  open: boolean;
}

export interface KontaskItem extends Base {
  kind: 'kontask';
  kontaskId: string;
  /** The record: newer members in the place of older ones. */
  record: Kontask;
  ready: boolean;
  chosen: { choice: unknown; label: string; value: string; id: number; time: string } | undefined;
}

export interface TaskItem extends Base {
  kind: 'task';
  taskId: string;
  title: string;
  status: string;
  state: 'running' | 'done' | 'failed';
  durationMs: number | undefined;
}

export interface PlanItem extends Base {
  kind: 'plan';
  items: { text: string; state: 'pending' | 'active' | 'done' }[];
}

/** A word of the log about itself: an error, an end that is not plain, a gap, an exit. */
export interface NoticeItem extends Base {
  kind: 'notice';
  tone: 'error' | 'warning' | 'info';
  text: string;
  detail: string;
}

/** Any other event; minor ones are bookkeeping that nobody reads. */
export interface OtherItem extends Base {
  kind: 'other';
  type: string;
  label: string;
  minor: boolean;
  failed: boolean;
  /** Minor ones that follow one another share an item, from id to last: how many they are. */
  count: number;
}

export type Item = TextItem | PromptItem | ToolItem | QuestionItem | KontaskItem | TaskItem | PlanItem | NoticeItem | OtherItem;

/** A turn and its items, or items between turns (turn ''), in the order of the log. */
export interface Section {
  /** Id of its first event: its key. */
  id: number;
  turn: string;
  state: 'queued' | 'open' | 'ended' | 'loose';
  items: Item[];
  prompt: string;
  startedAt: string;
  endedAt: string;
  /** Of an ended one. */
  success: boolean | undefined;
  reason: string;
  error: string;
  agent: string;
  model: string;
  costUsd: number | undefined;
  usage: unknown;
  /** Milliseconds since startedAt by the log's times; of an open one up to its last event. */
  durationMs: number;
}

/** The whole, after the events 1..last that were applied. A new object after every change. */
export interface Conversation {
  sections: readonly Section[];
  /** Id of the last event applied. */
  last: number;
  /** Where it begins: 1, or behind what is not known of the log. */
  first: number;
  /** Open ones, oldest first: questions without answer, kontasks that were delivered and not chosen from, tasks that run. */
  questions: readonly QuestionItem[];
  kontasks: readonly KontaskItem[];
  /** Announced and not delivered yet: they have no place in the sections before they are. */
  preparing: readonly KontaskItem[];
  tasks: readonly TaskItem[];
  plan: PlanItem | undefined;
  openTurn: Section | undefined;
  queued: readonly Section[];
  agentId: string;
  model: string;
  costUsd: number;
  closed: boolean;
  /** Events by type that no reader of this version knows. */
  unknown: Readonly<Record<string, number>>;
}

/** A session on the screen: pages, live tail and fold in one. */
export interface SessionView {
  readonly session: string;
  readonly snapshot: ViewSnapshot;
  /** Called at most once per animation frame (or 16 ms without one), when snapshot is another. */
  subscribe(changed: () => void): () => void;
  /** One page further back. Never two at once; resolves when it is shown. */
  loadEarlier(): Promise<void>;
  /** Loads back until the event is in the view, or says false: it is gone. */
  loadThrough(id: number): Promise<boolean>;
  /** The events that are held, ascending, as they came (folded ones have from). */
  events(): readonly LogEvent[];
  close(): void;
}

export interface ViewSnapshot {
  /** The old one stays until the replay of a new history is complete. */
  conversation: Conversation;
  /** loading: nothing yet. catching-up: see done and of. missing: there is no such session. */
  phase: 'loading' | 'catching-up' | 'live' | 'missing' | 'failed';
  /** While catching up: events applied and to come. */
  done: number;
  of: number;
  status: Status | undefined;
  /** Date.now when status came, to count elapsed on from there. */
  statusAt: number;
  head: number;
  floor: number;
  hasEarlier: boolean;
  loadingEarlier: boolean;
  problem: Problem | undefined;
}
