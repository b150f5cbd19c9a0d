// A replay: the log as it comes in, the whole of it folded once for its marks,
// and the conversation as of where the player is.
import { Fold, type Conversation, type Section } from '@konlog/client/view';
import { AsOf } from './asof';
import { RecordedLog, type Part, type ReadPage } from './log';
import { marksOf, type Mark } from './marks';
import { Player } from './player';
import { failureText } from './wire';

/** Where it opens: at an event, at the first one, or at the last. */
export type Start = number | 'begin' | 'end';

export class Replay {
  log!: RecordedLog;
  player!: Player;
  private asOf!: AsOf;
  private whole = new Fold();
  trouble = '';
  loading = false;
  /** It was to be read again while it was being read: what it was read to may be old. */
  private late = false;
  /** Changes with everything that is shown of it. */
  version = 0;
  private waiting: Start;
  private marked: { of: Conversation; marks: Mark[] } | undefined;
  private readonly listeners = new Set<() => void>();

  constructor(private readonly read: ReadPage, readonly session: string, private readonly start: Start, private begin = 0) {
    this.waiting = start;
    this.reset();
  }

  private reset() {
    this.log = new RecordedLog(this.read, this.begin);
    const { speed = 1, skip = true } = this.player ?? {};
    this.player = Object.assign(new Player(this.log.line), { speed, skip });
    this.asOf = new AsOf(this.log, { changed: () => this.tell() });
    this.whole = new Fold();
    this.waiting = this.start;
  }

  subscribe(listen: () => void): () => void {
    this.listeners.add(listen);
    return () => this.listeners.delete(listen);
  }

  /** What is to be shown now. */
  get conversation(): Conversation {
    return this.asOf.conversation;
  }

  /** It works on the place that was asked for. */
  get busy(): boolean {
    return this.asOf.busy;
  }

  /** Of the whole log, as far as it is read. */
  get marks(): readonly Mark[] {
    const of = this.whole.conversation;
    if (this.marked?.of !== of) this.marked = { of, marks: marksOf(of) };
    return this.marked.marks;
  }

  /** Ids of the first events of turns. */
  get turns(): number[] {
    return this.marks.filter((m) => m.kind === 'turn').map((m) => m.id);
  }

  /** The turns of the whole log. */
  get turnSections(): readonly Section[] {
    return this.whole.conversation.sections.filter((s) => s.turn !== '');
  }

  /** The session goes on, or not all of it is read. */
  get more(): boolean {
    return !this.log.complete || (!this.whole.conversation.closed && this.whole.conversation.openTurn !== undefined);
  }

  /** Reads what there is, again and again as the log grows. */
  async load(signal?: AbortSignal): Promise<void> {
    if (this.loading) {
      this.late = true;
      return;
    }
    this.loading = true;
    this.late = false;
    this.trouble = '';
    const end = this.player.atEnd && !this.player.playing && this.log.line.length > 0;
    try {
      if (!(await this.log.load((part) => this.came(part, signal), signal))) {
        this.begin = 0;
        this.reset();
        await this.log.load((part) => this.came(part, signal), signal);
      }
    } catch (error) {
      if (signal?.aborted) return;
      this.trouble = failureText(error);
    } finally {
      this.loading = false;
    }
    this.settle(end, signal);
    this.tell();
    if (this.late && !signal?.aborted) return this.load(signal);
  }

  /** Goes on with the part of the log that had no room. */
  fromHere(signal?: AbortSignal): Promise<void> {
    this.begin = this.log.after();
    this.reset();
    return this.load(signal);
  }

  /** Moves the player, and shows where it is. */
  move(how: (player: Player) => void, signal?: AbortSignal): void {
    this.waiting = 'begin';
    how(this.player);
    this.show(signal);
    this.tell();
  }

  /** Goes to the event with this id, as soon as it is read. */
  goTo(id: number, signal?: AbortSignal): void {
    if (this.log.after() >= id || this.log.complete) this.move((p) => p.seek(Math.max(0, this.log.line.placeOf(id))), signal);
    else this.waiting = id;
  }

  /** A frame passed. */
  tick(ms: number, signal?: AbortSignal): void {
    const { place, moment, playing } = this.player;
    this.player.tick(ms, this.more);
    if (this.player.place !== place) this.show(signal);
    else if (this.player.moment !== moment || this.player.playing !== playing) this.tell();
  }

  private show(signal?: AbortSignal) {
    this.asOf.seek(this.player.place, signal).catch((error: unknown) => {
      if (signal?.aborted) return;
      this.trouble = failureText(error);
      this.player.playing = false;
      this.tell();
    });
  }

  private came({ gap, events }: Part, signal?: AbortSignal) {
    if (gap) this.whole.gap(gap.from, gap.to, gap.reason as 'retention' | 'redacted');
    this.whole.apply(events);
    if (this.waiting === 'begin' && this.player.place < 0) this.open(0, signal);
    else if (typeof this.waiting === 'number' && this.log.after() >= this.waiting) this.open(this.log.line.placeOf(this.waiting), signal);
    this.tell();
  }

  private open(place: number, signal?: AbortSignal) {
    this.waiting = 'begin';
    this.player.seek(Math.max(0, place));
    this.show(signal);
  }

  // An event that is not there, or the end: what there is last. Who stood at the
  // end of a session that goes on stays there.
  private settle(atEnd: boolean, signal?: AbortSignal) {
    if (this.waiting !== 'begin' || atEnd) this.open(this.log.line.length - 1, signal);
  }

  private tell() {
    this.version++;
    for (const listen of this.listeners) listen();
  }
}
