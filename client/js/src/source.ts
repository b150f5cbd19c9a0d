// Where a subscription's messages come from: this tab's own link to the
// server (link.ts), or the tab that has one (share.ts).
import type { ConnectionState, SubscribeOptions } from './api.js';
import type { Frame, LogEvent, Problem } from './types.js';

export interface Source {
  readonly state: ConnectionState;
  onState(listen: (state: ConnectionState) => void): () => void;
  /** Reads for a subscription from its position, again and again until the returned function is called. */
  follow(reader: Reader): () => void;
  /** Tries again now instead of waiting. */
  reconnect(): void;
  /** The server asks for other credentials: nothing is tried until reconnect, and every reader stays where it is. */
  deny(problem: Problem): unknown;
  close(): void;
}

/** A subscription as its source sees it. */
export interface Reader {
  readonly session: string;
  /** Where to go on; asked anew at each attach. */
  position(): SubscribeOptions;
  /** What came, in order. false: something is missing in between, attach again at position(). */
  deliver(batch: readonly (LogEvent | Frame)[]): boolean;
}
