// What a credential allows, as far as the page can say it before the server
// has to: patterns of session ids, and words for what is not allowed. Pure.
import type { Me } from '@konlog/client';

/** Whether a pattern matches a session's id: * is any run of characters, ? is one, all others are themselves. */
export function matches(pattern: string, id: string): boolean {
  let [p, i, star, mark] = [0, 0, -1, 0];
  // Back to the last star only, so that no pattern takes long.
  while (i < id.length) {
    if (pattern[p] === '*') [star, mark] = [p++, i];
    else if (pattern[p] === '?' || pattern[p] === id[i]) [p, i] = [p + 1, i + 1];
    else if (star >= 0) [p, i] = [star + 1, ++mark];
    else return false;
  }
  while (pattern[p] === '*') p++;
  return p === pattern.length;
}

export const reaches = (patterns: readonly string[], id: string): boolean => patterns.some((one) => matches(one, id));

const readOnly = 'Your access is for reading only.';

/** Why nothing can be written to the session, '' when it can. Nobody known: the server has not said otherwise. */
export function whyNotWrite(me: Me | undefined, session: string): string {
  return !me || reaches(me.write, session) ? '' : me.write.length === 0 ? readOnly : 'You may read this session, but not write to it.';
}

/** Why no session can be made, '' when some can. */
export function whyNotCreate(me: Me | undefined): string {
  return !me || me.write.length > 0 ? '' : readOnly;
}

/** The ids that a new session may have, in words; '' when any will do. */
export function idsWords(me: Me | undefined): string {
  return !me || me.write.includes('*') ? '' : me.write.join(', ');
}

/** An id for a new session that who is here may write to, made of `any`, which is unique; undefined: they have to choose one. */
export function idFor(me: Me | undefined, any: string): string | undefined {
  if (!me || reaches(me.write, any)) return any;
  for (const pattern of me.write) {
    // What a star stands for may be anything; two of them would say it twice.
    const id = pattern.includes('?') ? '' : pattern.replace('*', any).replaceAll('*', '');
    if (id.includes(any) && id.length <= 128 && /^[A-Za-z0-9]/.test(id)) return id;
  }
  return undefined;
}

/** Which sessions patterns mean, in words. */
export function patternWords(patterns: readonly string[]): string {
  return patterns.length === 0 ? 'no session' : patterns.includes('*') ? 'every session' : patterns.join(', ');
}
