/** Waits in milliseconds, and bounds. */
export interface Limits {
  /** A carrier that has not said hello by then is silent. */
  helloMs: number;
  /** Heartbeats that may fail to come before the carrier is taken for dead. */
  missedPings: number;
  /** Answer to a probe after sleep, a network change or a clock jump. */
  probeMs: number;
  /** The same when the platform says that it is offline; it does not know of a server on the same machine. */
  offlineMs: number;
  /** Back-off: full jitter between 0 and min(maxMs, baseMs * 2^attempt). */
  baseMs: number;
  maxMs: number;
  /** When a better transport than the one in use is tried again. */
  climbMs: number;
  /** Failures before hello, in a row, after which a transport is given up for the next. */
  failuresToStepDown: number;
  /** How long a network is remembered to need a lesser transport. */
  rememberMs: number;
  /** Wait of a long-poll, seconds. */
  pollWaitS: number;
  /** Pause between plain reads, where the server offers no transport that waits. */
  plainMs: number;
  /** Characters of a cursor in a URL: proxies take 8 KiB and less. */
  cursorMax: number;
  /** A clock that is further on than its timer by this much means sleep. */
  clockJumpMs: number;
  /** Events an async iterator may be behind; then it reads again by its cursor. */
  iteratorMax: number;
  /** Commands that may wait. */
  outboxMax: number;
  /** An answer of the server, or of auth, may take this long. */
  requestMs: number;
}

export const defaults: Limits = {
  helloMs: 4_000,
  missedPings: 3,
  probeMs: 3_000,
  offlineMs: 500,
  baseMs: 250,
  maxMs: 20_000,
  climbMs: 60_000,
  failuresToStepDown: 2,
  rememberMs: 86_400_000,
  pollWaitS: 20,
  plainMs: 5_000,
  cursorMax: 6_000,
  clockJumpMs: 10_000,
  iteratorMax: 10_000,
  outboxMax: 1_000,
  requestMs: 30_000,
};
