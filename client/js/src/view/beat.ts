// When to tell those who look: once per animation frame.

/** Without frames, as in Node, and in a hidden tab, whose frames stand still. */
const timerMs = 16;
const hiddenMs = 200;

/** Calls `run` once, soon, after any number of calls of `ask`. */
export class Beat {
  private frame: number | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly run: () => void) {}

  ask(): void {
    if (this.timer !== undefined) return;
    const frames = typeof requestAnimationFrame === 'function';
    if (frames) this.frame = requestAnimationFrame(() => this.go());
    // The tab may be hidden before the frame comes, so there is a timer too.
    this.timer = setTimeout(() => this.go(), frames ? hiddenMs : timerMs);
  }

  private go(): void {
    this.stop();
    this.run();
  }

  stop(): void {
    if (this.frame !== undefined) cancelAnimationFrame(this.frame);
    clearTimeout(this.timer);
    this.frame = this.timer = undefined;
  }
}
