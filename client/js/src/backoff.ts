import type { Limits } from './limits.js';

/** How long to wait before the next attempt: full jitter, so that many clients do not come back at once. */
export function backoff(limits: Limits, attempt: number, random: () => number): number {
  return random() * Math.min(limits.maxMs, limits.baseMs * 2 ** attempt);
}
