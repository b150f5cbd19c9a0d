// The surface of the client: what connect gives. Behaviour is in connect.ts.
import type { Ack, Blob, Draft, Frame, LogEvent, Me, Problem, Status, TransportName } from './types.js';

export interface ConnectOptions {
  /** The server, such as http://127.0.0.1:8787. In a browser the page's own origin when left out. */
  url?: string | URL;
  /** A session to follow at once; more with Connection.session. */
  session?: string;
  /** Where `session` begins: after this id. Default 0, all of it. */
  after?: number;
  /** auto (default) takes the best that works and climbs again. */
  transport?: 'auto' | TransportName;
  /** A bearer token, or what gives one; asked at every connect, when the server says that the one in use expires, and once again after a 401. */
  auth?: string | (() => string | Promise<string>);
  /**
   * One connection per browser, shared by tabs of the same origin. Default: true where Web Locks and BroadcastChannel are, and no `auth`
   * is given: tabs that share read as one user. With `auth` give a name of the user: tabs of the same name share.
   */
  share?: boolean | string;
  /** Where commands wait while they cannot be sent. Default: IndexedDB where it is, else memory. */
  outbox?: 'indexeddb' | 'memory';
  /** Limits and waits, milliseconds; the defaults are in limits.ts. For tests and unusual networks. */
  limits?: Partial<import('./limits.js').Limits>;
  /** The platform's, for tests. */
  fetch?: typeof fetch;
  WebSocket?: typeof WebSocket;
}

/** How the connection is. It says nothing about turns: that is `status` of a session. */
export interface ConnectionState {
  /**
   * live: the carrier stands and hello came. waiting: until retryAt. offline: the platform says so. unauthorized: the server asks for
   * other credentials (problem); nothing is tried until Connection.reconnect, and then all goes on where it was.
   */
  phase: 'connecting' | 'live' | 'waiting' | 'offline' | 'unauthorized' | 'closed';
  transport: TransportName;
  /** Failures in a row. */
  attempt: number;
  /** Of waiting: when it is tried again (Date.now). */
  retryAt?: number;
  /** Why the transport is not the best one, until it is again. */
  downgrade?: Downgrade;
  /** What went wrong last, for people. */
  trouble?: string;
  /** Of unauthorized: the server's word. */
  problem?: Problem;
  /** This tab reads through another tab's connection. */
  shared?: boolean;
}

export interface Downgrade {
  from: TransportName;
  to: TransportName;
  /** refused: the server or a proxy said no. silent: no data came in time. failing: it broke twice before hello. */
  reason: 'refused' | 'silent' | 'failing' | 'unsupported';
}

/** What a subscription hears, in order. Frames stand between the events where the server put them. */
export type Message = { kind: 'events'; session: string; events: LogEvent[]; live: boolean } | { kind: 'frame'; session: string; frame: Frame };

export interface SubscribeOptions {
  /** Events after this id. Default 0. */
  after?: number;
  /** Begin this many events before the head instead. */
  tail?: number;
  /** The epoch that `after` belongs to, when it is known. */
  epoch?: string;
  /** Fold the replay: runs of deltas as one event. */
  fold?: boolean;
}

/**
 * One session, followed. Also an EventTarget: `message` (detail Message), `reset`, `gap`, `status`, `caughtup`, `error`
 * (detail Problem: final, such as session_not_found), `close`. Several subscriptions to the same session have a cursor each; an
 * iterator has its own too, which begins at the subscription's of the moment in which it is made.
 */
export interface Subscription extends EventTarget, AsyncIterable<LogEvent> {
  readonly session: string;
  /** Id of the last event that was delivered; where it goes on. */
  readonly cursor: number;
  readonly epoch: string;
  readonly head: number;
  readonly floor: number;
  readonly caughtUp: boolean;
  /** The server's word about the session; undefined before the first hello. */
  readonly status: Status | undefined;
  onMessage(listen: (message: Message) => void): () => void;
  close(): void;
}

/** A command that is kept until the server has answered for it. */
export interface Pending {
  key: string;
  session: string;
  command: CommandName;
  body: Record<string, unknown>;
  /** When it was given (Date.now). */
  time: number;
  /** refused: the server said no for good (problem); it stays until it is retried or dropped. */
  state: 'waiting' | 'sending' | 'refused';
  problem?: Problem;
  /** It is on disk in this browser: it outlives the page. */
  stored?: boolean;
  /** Who gave it, where the server asks for credentials: it is sent as nobody else. */
  subject?: string;
}

export type CommandName = 'prompt' | 'stop' | 'answer' | 'choose' | 'seen';

/**
 * A command as it is given to send. `body` is that of the REST command (docs/PROTOCOL.md section 6), without key: the client makes one.
 * choose: {kontaskId, choice}. seen and stop are not kept over a reload.
 */
export interface Command {
  session: string;
  command: CommandName;
  body?: Record<string, unknown>;
}

/**
 * The connection to one server, for many sessions. Also an EventTarget: `state` (detail ConnectionState), `downgrade` (detail
 * Downgrade), `upgrade`, `pending` (detail Pending[]). The iterator and onMessage are those of the sessions that were subscribed to.
 */
export interface Connection extends EventTarget, AsyncIterable<LogEvent> {
  readonly url: URL;
  readonly state: ConnectionState;
  /** Follows one more session on this connection. */
  session(id: string, options?: SubscribeOptions): Subscription;
  onMessage(listen: (message: Message) => void): () => void;
  /** Keeps the command, sends it now or when the server is back, resolves with its answer; rejects with ProblemError when refused for good. */
  send(command: Command): Promise<Ack>;
  /** What was given and is not answered. */
  readonly pending: readonly Pending[];
  /** Sends a refused one again, or takes it away. */
  retryPending(key: string): void;
  dropPending(key: string): void;
  /** Appends events; with keys it may be called again. */
  append(session: string, events: Draft[]): Promise<{ first: number; last: number; duplicate: boolean }>;
  /** A REST call with auth and problems: `get('/v1/sessions?limit=5')`. Rejects with ProblemError. */
  get<T>(path: string, init?: Omit<RequestInit, 'method' | 'body'>): Promise<T>;
  /** The same with another method; `body` is sent as JSON: `request('PATCH', '/v1/sessions/s1', { body: { title: 'Release' } })`. */
  request<T>(method: string, path: string, init?: Omit<RequestInit, 'method' | 'body'> & { body?: unknown }): Promise<T>;
  upload(content: globalThis.Blob): Promise<Blob>;
  /** Whom the server takes this client for, and what it may do; asked anew at each call. */
  me(): Promise<Me>;
  /** Tries again now instead of waiting; after a sign-in too. */
  reconnect(): void;
  close(): void;
}

/** A refusal by the server: decide by problem.code. status 0: it was not reached. */
export class ProblemError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail || problem.title);
    this.name = 'ProblemError';
  }
}
