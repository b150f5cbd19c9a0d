// The wire's types, by the names that users of the client say. They come from
// the server's own description (schema.ts is generated from api/openapi.json).
import type { components } from './schema.js';

type Schemas = components['schemas'];

/** What `data` holds, by event type. Agents may leave members out: look before you use. */
export type EventData = { [T in keyof Schemas['eventData']]-?: Partial<NonNullable<Schemas['eventData'][T]>> };

/** A type of event that the server knows; all others are the application's own. */
export type KnownType = keyof EventData;

/** One event of a log, as it was appended. `from` is there when it stands for a run of deltas (fold). */
export type LogEvent = Omit<Schemas['event'], 'data'> & { data: unknown };

/** The control frames, by type. They are never stored and have no id of their own. */
export type Frames = { [T in keyof Schemas['frames']]-?: NonNullable<Schemas['frames'][T]> };
export type Frame = Frames[keyof Frames];

export type Status = Schemas['status'];
export type SessionInfo = Schemas['session'];
export type Page = Schemas['page'];
export type Turn = Schemas['turn'];
export type Kontask = Schemas['kontask'];
export type Hit = Schemas['hit'];
export type Blob = Schemas['blob'];
export type Ack = Schemas['command'];
/**
 * A refusal. Codes of the client's own: unreachable (konlog did not answer: no network, a timeout, a proxy's word), outbox_full,
 * dropped (the command was taken away before it was answered), view_full (a view holds all the events that it may).
 */
export type Problem = Omit<Schemas['problem'], 'code'> & {
  code: Schemas['problem']['code'] | 'unreachable' | 'outbox_full' | 'dropped' | 'view_full';
  /** Seconds after which the server wants to be asked again. */
  retryAfter?: number;
};
/** Whom the server takes a client for, and what it may do. read, write: patterns of session ids, * any run of characters, ? one. */
export interface Me {
  subject: string;
  read: string[];
  write: string[];
  admin: boolean;
  metrics: boolean;
  shell: boolean;
  /** When the credential ends; left out when it does not. */
  expiresAt?: string;
}
export type Realtime = Schemas['realtime'];
export type Draft = Schemas['draft'];

export type TransportName = 'ws' | 'sse' | 'poll';

/** The data of an event whose type was checked: `dataOf(e, 'text_delta').text`. Never null, so that a member can be asked for. */
export function dataOf<T extends KnownType>(event: LogEvent, _type: T): EventData[T] {
  return (typeof event.data === 'object' && event.data !== null ? event.data : {}) as EventData[T];
}
