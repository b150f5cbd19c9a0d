// What a transport is to the rest of the client. There are three: ws, sse,
// poll. Each carries several sessions, and knows neither back-off nor who reads.
import type { Environment } from '../environment.js';
import type { Limits } from '../limits.js';
import type { Rest } from '../rest.js';
import type { Frame, LogEvent, Problem } from '../types.js';

/** What comes from the server: events have data, frames never do. */
export type Item = LogEvent | Frame;

/** Where one session is read from. */
export interface Place {
  session: string;
  after: number;
  /** Begin this many events before the head instead of at `after`. A transport of several sessions is given it only over ws. */
  tail?: number;
  fold?: boolean;
}

export interface Ending {
  /**
   * refused: somebody on the way, or the server, does not let this transport through. unsupported: the platform cannot do it.
   * silent: nothing came. denied: the server said no to something else. failed: all else.
   */
  kind: 'refused' | 'unsupported' | 'silent' | 'denied' | 'failed';
  /** For people. */
  detail: string;
  /** The server's word when to come back. */
  retryMs?: number;
  /** What the server said; of status 401, that it asks for other credentials. */
  problem?: Problem;
}

/** How a carrier tells what it has. */
export interface Sink {
  /** Items in the order of the wire; none is a sign of life. */
  items(batch: readonly Item[]): void;
  /** The carrier is gone; once, and last. */
  end(ending: Ending): void;
}

/** One connection, or what stands for it. */
export interface Carrier {
  /** Reads a session from another place, or no longer. Left out where that takes a new carrier. */
  change?(session: string, place: Place | undefined): void;
  /** Makes the server say something. Left out where that takes a new carrier. */
  ping?(): void;
  close(): void;
}

export interface Credentials {
  /**
   * Asks for a token anew, at each connect; undefined: none is needed, or a cookie does. ticket: what a WebSocket, which has no headers
   * in a browser, adds to its address instead.
   */
  token(ticket?: true): Promise<string | undefined>;
}

/** What carriers work with. */
export interface Net {
  /** Address of the server, without a slash at its end. */
  base: string;
  env: Environment;
  limits: Limits;
  rest: Credentials & Pick<Rest, 'request'>;
}

/** Opens a carrier. It says nothing to the sink before this has returned. */
export type Transport = (net: Net, places: readonly Place[], sink: Sink) => Carrier;
