// The events of a log on a line of time: what a scrubber moves on. Of each only
// its id, its time and its type are held.

/** With idle time skipped nobody waits longer than this for the next event, milliseconds. */
export const IDLE_MAX = 3_000;
/** And no event is shorter than this, or what was appended in one go would be no line at all. */
export const STEP_MIN = 5;

const FIRST_ROOM = 4_096;

/** Places are counted from 0; -1 is before the first event. */
export class Timeline {
  length = 0;
  private ids = new Float64Array(FIRST_ROOM);
  private times = new Float64Array(FIRST_ROOM);
  /** Milliseconds since the first event, as they were and with idle time cut. */
  private full = new Float64Array(FIRST_ROOM);
  private cut = new Float64Array(FIRST_ROOM);
  private kinds = new Uint16Array(FIRST_ROOM);
  private readonly names: string[] = [];
  private readonly codes = new Map<string, number>();

  /** Takes the next event of the log. */
  add(id: number, time: number, type: string) {
    if (this.length === this.ids.length) this.grow();
    const at = this.length++;
    const before = at > 0 ? this.times[at - 1]! : time;
    // A server's clock may be set back; time on the line never is.
    const passed = Number.isFinite(time) ? Math.max(0, time - before) : 0;
    this.ids[at] = id;
    this.times[at] = before + passed;
    this.full[at] = at > 0 ? this.full[at - 1]! + passed : 0;
    this.cut[at] = at > 0 ? this.cut[at - 1]! + Math.max(STEP_MIN, Math.min(IDLE_MAX, passed)) : 0;
    this.kinds[at] = this.code(type);
  }

  id(at: number): number {
    return at < 0 ? 0 : (this.ids[at] ?? 0);
  }

  time(at: number): number {
    return this.times[Math.max(0, at)] ?? NaN;
  }

  type(at: number): string {
    return at < 0 ? '' : (this.names[this.kinds[at]!] ?? '');
  }

  /** When the event comes in the replay, milliseconds from its beginning. */
  moment(at: number, skip: boolean): number {
    if (at < 0 || this.length === 0) return 0;
    return (skip ? this.cut : this.full)[Math.min(at, this.length - 1)]!;
  }

  /** How long the replay takes. */
  total(skip: boolean): number {
    return this.moment(this.length - 1, skip);
  }

  /** The last event that has come by then; the first one is there from the beginning. */
  at(moment: number, skip: boolean): number {
    return last(skip ? this.cut : this.full, this.length, moment);
  }

  /** The event with this id, or the last one before it. */
  placeOf(id: number): number {
    return last(this.ids, this.length, id);
  }

  /** How many events there are in each of `n` equal parts of the line. */
  density(n: number, skip: boolean): Uint32Array {
    const counts = new Uint32Array(n);
    const total = this.total(skip) || 1;
    const moments = skip ? this.cut : this.full;
    for (let i = 0; i < this.length; i++) counts[Math.min(n - 1, Math.floor((n * moments[i]!) / total))]!++;
    return counts;
  }

  private code(type: string): number {
    let code = this.codes.get(type);
    if (code === undefined) {
      // More types than there is room for are told as the last one.
      code = Math.min(this.names.length, 0xffff);
      if (code === this.names.length) this.names.push(type);
      this.codes.set(type, code);
    }
    return code;
  }

  private grow() {
    const more = <T extends Float64Array | Uint16Array>(old: T, made: T): T => (made.set(old as never), made);
    const room = this.ids.length * 2;
    this.ids = more(this.ids, new Float64Array(room));
    this.times = more(this.times, new Float64Array(room));
    this.full = more(this.full, new Float64Array(room));
    this.cut = more(this.cut, new Float64Array(room));
    this.kinds = more(this.kinds, new Uint16Array(room));
  }
}

// The last place whose value is not above `value`, or -1.
function last(list: Float64Array, length: number, value: number): number {
  let [low, high] = [0, length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
