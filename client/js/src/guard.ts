// What makes a reader sure: each event once, in order, none missing, whatever
// carriers did in between.
import type { SubscribeOptions } from './api.js';
import type { Frames, LogEvent, Status } from './types.js';
import type { Item } from './transports/transport.js';

/** The cursor of one reader. */
export class Guard {
  /** Id of the last event that passed. */
  cursor: number;
  epoch: string;
  head = 0;
  floor = 1;
  /** Everything up to the head at the attach has passed. */
  caughtUp = false;
  status: Status | undefined;
  /** Something is missing here: attach again at position(). Only a new hello counts then. */
  lost = false;

  readonly #fold: boolean;
  #tail: number | undefined; // until hello says where that is
  #through = 0; // up to here a folded replay leaves ids out

  constructor({ after = 0, tail, epoch = '', fold = false }: SubscribeOptions) {
    this.cursor = after;
    this.epoch = epoch;
    this.#tail = tail;
    this.#fold = fold;
  }

  /** Where to attach. */
  position(): SubscribeOptions {
    const at: SubscribeOptions = this.#tail === undefined ? { after: this.cursor } : { tail: this.#tail };
    if (this.epoch) at.epoch = this.epoch;
    if (this.#fold) at.fold = true;
    return at;
  }

  /** Gives what the reader is to be shown of an item: nothing, the item, or more when it tells of another history. */
  pass(item: Item): readonly Item[] {
    // That the session has ended counts always.
    if (this.lost && ('data' in item || !['hello', 'error', 'bye'].includes(item.type))) return [];
    if ('data' in item) return this.#event(item) ? [item] : [];
    switch (item.type) {
      case 'hello':
        return this.#hello(item);
      case 'reset':
        this.#reset(item);
        break;
      case 'gap':
        if (!this.#step(item.from, item.to)) return [];
        break;
      case 'caught_up':
        this.caughtUp = true;
        this.#through = 0;
        break;
      case 'status':
        this.status = item;
        this.head = Math.max(this.head, item.head);
    }
    return [item];
  }

  #event(event: LogEvent): boolean {
    const { id } = event;
    // A run that begins before the cursor cannot be taken in half.
    if (id > this.cursor && event.from! <= this.cursor) this.lost = true;
    else if (this.#step(event.from ?? id, id)) {
      this.head = Math.max(this.head, id);
      return true;
    }
    return false;
  }

  /** Goes on to `to`, unless that was passed or something is missing before `from`. */
  #step(from: number, to: number): boolean {
    if (to <= this.cursor) return false;
    this.lost = from > this.cursor + 1 && !(this.#fold && from <= this.#through);
    if (!this.lost) this.cursor = to;
    return !this.lost;
  }

  #hello(hello: Frames['hello']): Item[] {
    const { session, epoch, head, floor, after, through } = hello;
    const out: Item[] = [hello];
    if (this.#tail !== undefined) {
      this.cursor = Math.max(after, head - this.#tail);
      this.#tail = undefined;
    }
    const reset = (reason: Frames['reset']['reason']) => {
      const frame: Frames['reset'] = { type: 'reset', session, epoch, head, reason };
      this.#reset(frame);
      out.push(frame);
    };
    // The epoch is compared here and not by the server: not all carriers can tell it. A cursor beyond the head that it was
    // given, it refuses itself.
    if (this.epoch && this.epoch !== epoch) reset('epoch_changed');
    else if (this.cursor > head && after <= head) reset('cursor_beyond_head');
    this.epoch = epoch;
    this.head = head;
    this.floor = floor;
    this.status = hello.status;
    this.caughtUp = this.cursor >= through;
    // Pages of a poll are folded to their end, which may be further.
    this.#through = hello.transport === 'poll' ? Infinity : through;
    this.lost = this.cursor < after && after <= head;
    return out;
  }

  #reset({ epoch, head }: Frames['reset']): void {
    this.cursor = 0;
    this.epoch = epoch;
    this.head = head;
    this.caughtUp = false;
    this.#through = Infinity; // the head of its replay is not told
  }
}
