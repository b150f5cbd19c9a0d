// Questions, kontasks, background tasks and plans: what stays open beyond the
// event that brought it. store/open.go has the same rules for hello.
import { dataOf, type Kontask, type LogEvent } from '../types.js';
import type { Board } from './board.js';
import { Node, Roll } from './node.js';
import { questionOptions } from './options.js';
import type { KontaskItem, PlanItem, QuestionItem, TaskItem } from './types.js';
import { bag, between, list, str } from './values.js';

/** Events that are about a kontask. */
export type KontaskType = 'kontask_created' | 'kontask_ready' | 'kontask_updated' | 'kontask_chosen';

export class Cards {
  readonly open = { questions: new Roll<QuestionItem>(), kontasks: new Roll<KontaskItem>(), tasks: new Roll<TaskItem>(), preparing: new Roll<KontaskItem>() };
  plan: Node<PlanItem> | undefined;
  private readonly questions = new Map<string, Node<QuestionItem>>();
  private readonly kontasks = new Map<string, Node<KontaskItem>>();
  private readonly tasks = new Map<string, Node<TaskItem>>();

  constructor(private readonly board: Board) {}

  /** Asked again while it is open it is the same question; after that it is another one. */
  ask(event: LogEvent): boolean {
    const d = dataOf(event, 'permission_request');
    const requestId = str(d.requestId);
    if (requestId === '') return false;
    let node = this.questions.get(requestId);
    if (node?.draft.open) {
      this.open.questions.drop(node);
      node.touch();
      node.says(event.id, event.id);
    } else {
      node = new Node<QuestionItem>({
        ...this.board.base(event), kind: 'question', requestId, tool: '', input: undefined, options: [], answer: undefined, open: true,
      });
      this.questions.set(requestId, node);
      this.board.place(node as Node, event);
    }
    Object.assign(node.draft, { tool: str(d.tool), input: d.input, options: questionOptions(d.options) });
    this.open.questions.add(node);
    return true;
  }

  /** The first answer counts; one to a question that nobody heard of is no card. */
  answer(event: LogEvent): boolean {
    const d = dataOf(event, 'permission_response');
    const node = this.questions.get(str(d.requestId));
    if (!node) return false;
    if (node.draft.answer) return true;
    node.touch();
    node.draft.answer = { allow: d.allow === true, by: str(d.by), message: str(d.message), option: d.option, time: event.time, id: event.id };
    this.close(node);
    node.says(event.id, event.id);
    return true;
  }

  private close(node: Node<QuestionItem>): void {
    node.touch();
    node.draft.open = false;
    this.open.questions.drop(node);
  }

  /** Nobody can answer what nobody can read. */
  withdraw(node: Node<QuestionItem>): void {
    if (node.draft.open) this.close(node);
  }

  /** Nobody waits any more for the answers of a turn that ended; undefined: of any. */
  closeQuestions(turn: string | undefined): void {
    for (const node of [...this.open.questions]) if (turn === undefined || node.draft.turn === turn) this.close(node);
  }

  /**
   * A kontask has its place where it was delivered, and never leaves it: what was only announced is shown nowhere in the log, since it
   * would have to move when it comes.
   */
  kontask(event: LogEvent & { type: string }): boolean {
    const d = bag(event.data);
    const kontaskId = str(d.kontaskId) || str(d.id);
    if (kontaskId === '') return false;
    let node = this.kontasks.get(kontaskId);
    if (!node) {
      node = new Node<KontaskItem>({ ...this.board.base(event), kind: 'kontask', kontaskId, record: kontaskRecord(event), ready: false, chosen: undefined });
      this.kontasks.set(kontaskId, node);
    }
    node.touch();
    if (event.type === 'kontask_chosen') this.choose(node, event, d);
    else this.upsert(node, event, d);
    if (!node.up) {
      if (node.draft.ready || node.draft.chosen) this.deliver(node, event);
      else this.open.preparing.add(node);
    }
    node.says(event.id, event.id);
    this.board.changed = true;
    return true;
  }

  private choose(node: Node<KontaskItem>, event: LogEvent, d: Record<string, unknown>): void {
    this.open.kontasks.drop(node);
    node.draft.chosen ??= { choice: d.choice, label: str(d.label), value: str(d.value), id: event.id, time: event.time };
  }

  private upsert(node: Node<KontaskItem>, event: LogEvent, d: Record<string, unknown>): void {
    const { record } = node.draft;
    node.draft.record = { ...record, ...d, id: node.draft.kontaskId, session: event.session, createdAt: record.createdAt, updatedAt: event.time } as Kontask;
    if (event.type === 'kontask_ready') node.draft.ready = true;
    if (node.draft.ready && !node.draft.chosen) this.open.kontasks.add(node);
  }

  private deliver(node: Node<KontaskItem>, event: LogEvent): void {
    this.open.preparing.drop(node);
    Object.assign(node.draft, this.board.base(event));
    this.board.place(node as Node, event, this.board.endSection(event));
  }

  /** A task runs until its task_end, also after its turn; what is heard of it after that means that it runs again. */
  task(event: LogEvent): boolean {
    const d = dataOf(event, 'task_start');
    const taskId = str(d.taskId);
    if (taskId === '') return false;
    let node = this.tasks.get(taskId);
    const again = node !== undefined && node.draft.state !== 'running' && event.type !== 'task_end';
    if (!node) {
      node = new Node<TaskItem>({ ...this.board.base(event), kind: 'task', taskId, title: '', status: '', state: 'running', durationMs: undefined });
      this.tasks.set(taskId, node);
      this.board.place(node as Node, event);
    }
    node.touch();
    node.says(event.id, event.id);
    const item = node.draft;
    item.title = str(d.title) || item.title;
    item.status = str(d.status) || item.status;
    if (event.type === 'task_end') {
      this.open.tasks.drop(node);
      item.state = d.success === false ? 'failed' : 'done';
      item.durationMs = between(item.time, event.time);
    } else {
      if (again) Object.assign(item, { state: 'running', durationMs: undefined });
      this.open.tasks.add(node);
    }
    return true;
  }

  /** The newest plan of a turn takes the place of the one before. */
  planned(event: LogEvent, items: PlanItem['items'], parent = event.parent ?? ''): void {
    const { plans } = this.board.scope(event.turn ?? '');
    let node = plans.get(parent);
    if (!node) {
      node = new Node<PlanItem>({ ...this.board.base(event, parent), kind: 'plan', items });
      plans.set(parent, node);
      this.board.place(node as Node, event);
    }
    node.touch();
    node.draft.items = items;
    node.saysOnly(event.id);
    this.plan = node;
  }
}

function kontaskRecord(event: LogEvent): Kontask {
  return { session: event.session, createdAt: event.time, updatedAt: event.time } as Kontask;
}

const doneWords = /^(done|completed?|finished|closed|success)$/i;
const activeWords = /^(active|in[_ -]?progress|doing|running|started|working)$/i;

/** The items of a plan, in the forms that agents have for them. */
export function planItems(value: unknown): PlanItem['items'] {
  return list(value).slice(0, 1000).map((v) => {
    if (typeof v === 'string') return { text: v, state: 'pending' };
    const o = bag(v);
    const word = str(o.state) || str(o.status);
    const text = str(o.text) || str(o.content) || str(o.title) || str(o.step) || str(o.description);
    if (o.completed === true || o.done === true || doneWords.test(word)) return { text, state: 'done' };
    return { text, state: activeWords.test(word) ? 'active' : 'pending' };
  });
}
