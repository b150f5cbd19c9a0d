// The conversation as of any event: the fold of all events up to it. Forwards
// only what comes on the way is folded; backwards it begins anew.
import { Fold, type Conversation } from '@konlog/client/view';
import type { Part, RecordedLog, Segment } from './log';

/** Work in one go, milliseconds; then the page gets its turn. */
export const SLICE_MS = 10;
/** Events that are folded between two looks at the clock. */
const PORTION = 200;

const nothing: Conversation = new Fold().conversation;

export interface AsOfHooks {
  /** The conversation is another one, or the work began or ended. */
  changed(): void;
  /** Resolves when the page had its turn. */
  pause?(): Promise<void>;
  now?(): number;
}

export class AsOf {
  conversation: Conversation = nothing;
  /** The place that is shown. */
  place = -1;
  /** The place that is asked for; the last one wins. */
  target = -1;
  busy = false;
  private fold = new Fold();
  private folded = -1;

  constructor(private readonly log: RecordedLog, private readonly hooks: AsOfHooks) {}

  /** Shows the log as of the event at this place. Resolves when the place that was asked for last is shown. */
  async seek(place: number, signal?: AbortSignal): Promise<void> {
    this.target = Math.max(-1, Math.min(place, this.log.line.length - 1));
    if (this.busy) return;
    this.busy = true;
    try {
      while (this.place !== this.target && !signal?.aborted) await this.go(signal);
    } finally {
      this.busy = false;
      this.hooks.changed();
    }
  }

  private async go(signal?: AbortSignal) {
    const target = this.target;
    if (target < this.folded) {
      this.fold = new Fold();
      this.folded = -1;
    }
    const work = new Slices(this.hooks, () => this.target < this.folded || signal?.aborted === true);
    for (let i = this.log.segmentAt(this.folded + 1); i < this.log.segments.length && this.folded < target; i++) {
      const segment = this.log.segments[i]!;
      if (segment.from > target) break;
      if (!(await this.through(segment, target, work, signal))) return;
    }
    this.folded = this.place = target;
    this.conversation = target < 0 ? nothing : this.fold.conversation;
    this.hooks.changed();
  }

  // Folds what of the segment comes after `folded` and not after the target.
  private async through(segment: Segment, target: number, work: Slices, signal?: AbortSignal): Promise<boolean> {
    const all = this.folded < segment.from && segment.to <= target;
    const parts = all ? this.log.atHand(segment) : await this.log.whole(segment, signal);
    const until = all ? Infinity : this.log.line.id(target);
    for (const part of parts) if (!(await this.apply(part, until, work))) return false;
    this.folded = Math.min(segment.to, target);
    return true;
  }

  private async apply({ gap, events }: Part, until: number, work: Slices): Promise<boolean> {
    if (gap && gap.from <= until) this.fold.gap(gap.from, gap.to, gap.reason as 'retention' | 'redacted');
    const end = until === Infinity ? events.length : events.findLastIndex((e) => e.id <= until) + 1;
    for (let i = 0; i < end; i += PORTION) {
      this.fold.apply(events.slice(i, Math.min(end, i + PORTION)));
      if (work.due() && !(await work.pause())) {
        this.restart();
        return false;
      }
    }
    return true;
  }

  // What was folded of a part is not known as a place, so the next way begins
  // at the beginning.
  private restart() {
    this.fold = new Fold();
    this.folded = -1;
  }
}

class Slices {
  private began: number;
  private readonly now: () => number;

  constructor(private readonly hooks: AsOfHooks, private readonly stop: () => boolean) {
    this.now = hooks.now ?? (() => performance.now());
    this.began = this.now();
  }

  due(): boolean {
    return this.now() - this.began > SLICE_MS;
  }

  /** False: the work is not wanted any more. */
  async pause(): Promise<boolean> {
    await (this.hooks.pause ?? frame)();
    this.began = this.now();
    return !this.stop();
  }
}

function frame(): Promise<void> {
  return new Promise((go) => setTimeout(go));
}
