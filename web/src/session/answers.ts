// Answers and choices on their way: what was given here and what the log says
// of it. Whoever answered first counts, here or on another device.
import { ProblemError, type Ack, type LogEvent, type Pending } from '@konlog/client';

/** What became of something that was given here. */
export type Fate =
  | { state: 'none' }
  /** On its way; waiting: the server cannot be reached. */
  | { state: 'pending'; waiting: boolean; key: string }
  | { state: 'taken' }
  /** Somebody else was first, with something else: `data` of the event that counts. */
  | { state: 'late'; data: Record<string, unknown> }
  | { state: 'refused'; say: string; key: string | undefined };

/** The waiting command about a question or kontask, as it is in the outbox. */
export function pendingFate(pending: readonly Pending[], session: string, command: 'answer' | 'choose', id: string): (Fate & { body: Record<string, unknown> }) | undefined {
  const found = pending.find((p) => p.session === session && p.command === command && p.body[command === 'answer' ? 'requestId' : 'kontaskId'] === id);
  if (!found) return undefined;
  if (found.state === 'refused') return { state: 'refused', say: refusal(found.problem), key: found.key, body: found.body };
  return { state: 'pending', waiting: found.state === 'waiting', key: found.key, body: found.body };
}

/** What the server's answer means: a duplicate with other content is somebody else's. */
export function fateOf(ack: Ack, same: (first: Record<string, unknown>) => boolean): Fate {
  const data = ack.duplicate ? dataOf(ack.event as LogEvent | undefined) : undefined;
  return data && !same(data) ? { state: 'late', data } : { state: 'taken' };
}

function dataOf(event: LogEvent | undefined): Record<string, unknown> | undefined {
  return typeof event?.data === 'object' && event.data !== null ? (event.data as Record<string, unknown>) : undefined;
}

/** A refusal in words. */
export function refusal(reason: unknown): string {
  const problem = reason instanceof ProblemError ? reason.problem : (reason as { code?: string; detail?: string; title?: string } | undefined);
  if (!problem || typeof problem !== 'object') return 'The server refused it.';
  const say = words[problem.code ?? ''];
  if (say) return say;
  if (reason instanceof Error && !(reason instanceof ProblemError)) return reason.message;
  return problem.detail || problem.title || 'The server refused it.';
}

const words: Record<string, string> = {
  session_closed: 'The session is closed: it takes no more.',
  session_not_found: 'The session is no more.',
  question_not_found: 'Nobody asks this any more.',
  kontask_not_found: 'This kontask is no more.',
  choice_not_found: 'The kontask has changed and has no such choice any more.',
  turn_ended: 'The turn had ended before this came.',
  no_turn: 'Nothing was running any more.',
  too_many_prompts: 'A hundred prompts wait already. Stop some, or wait until they were worked off.',
  forbidden: 'Your access does not allow it.',
  event_too_large: 'It is too long for one prompt: make it shorter, or attach less.',
};

/** Who answers from here, as others will read it. */
export function byHere(): string {
  const platform = (navigator as { userAgentData?: { platform?: string } }).userAgentData?.platform || /iPhone|iPad|Android|Mac|Windows|Linux/.exec(navigator.userAgent)?.[0] || '';
  return platform ? `console on ${platform}` : 'console';
}
