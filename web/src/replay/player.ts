// Where a replay is, and how it moves: by time, by event, by turn.
import type { Timeline } from './timeline';

export const SPEEDS = [0.5, 1, 2, 5, 10, 50] as const;
/** A frame that took longer, such as of a hidden tab, makes no leap. */
const FRAME_MAX_MS = 1_000;

export class Player {
  /** Place of the event that was shown last; -1 before the first. */
  place = -1;
  /** Milliseconds from the beginning of the replay. */
  moment = 0;
  playing = false;
  speed: number = 1;
  skip = true;

  constructor(private readonly line: Timeline) {}

  get atEnd(): boolean {
    return this.place >= this.line.length - 1;
  }

  /** Goes to a place. */
  seek(place: number): void {
    this.place = Math.max(-1, Math.min(place, this.line.length - 1));
    this.moment = this.line.moment(this.place, this.skip);
  }

  /** Goes to a part of the whole time, 0 to 1. The ends are the ends. */
  seekPart(part: number): void {
    if (part <= 0) return this.seek(0);
    if (part >= 1) return this.seek(this.line.length - 1);
    this.moment = part * this.line.total(this.skip);
    this.place = this.line.at(this.moment, this.skip);
  }

  /** How far it is, 0 to 1. */
  get part(): number {
    const total = this.line.total(this.skip);
    return total > 0 ? Math.min(1, this.moment / total) : this.atEnd ? 1 : 0;
  }

  step(by: number): void {
    this.playing = false;
    this.seek(Math.max(0, this.place + by));
  }

  /** To the first event of the next turn, or of this one and then of the one before. */
  stepTurn(by: 1 | -1, turns: readonly number[]): void {
    const places = turns.map((id) => this.line.placeOf(id));
    const to = by === 1 ? places.find((p) => p > this.place) : places.findLast((p) => p < this.place);
    this.playing = false;
    this.seek(to ?? (by === 1 ? this.line.length - 1 : 0));
  }

  /** Begins to play, from the beginning when it is at the end. */
  play(): void {
    if (this.atEnd && this.line.length > 1) this.seek(0);
    this.playing = true;
  }

  /** Keeps the place while the length of idle time changes. */
  setSkip(skip: boolean): void {
    this.skip = skip;
    this.moment = this.line.moment(this.place, skip);
  }

  /** Time goes on. `more`: events may still come, so its end is no end. */
  tick(ms: number, more: boolean): void {
    if (!this.playing) return;
    const total = this.line.total(this.skip);
    this.moment = Math.min(total, this.moment + Math.min(ms, FRAME_MAX_MS) * this.speed);
    this.place = Math.max(this.place, this.line.at(this.moment, this.skip));
    if (this.moment >= total && !more) this.playing = false;
  }
}
