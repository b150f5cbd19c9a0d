// What was typed and not sent, per session and user, in this browser. A storage that is
// full or forbidden costs the drafts, not the page.

import { owner } from '../account/owner';

const prefix = 'konlog.draft:';
/** Drafts that are kept; beyond it the oldest go. */
export const draftsMax = 50;
/** Characters of one draft that are kept. */
export const draftMax = 100_000;

/** What a draft is kept under: a session, of a user where there are some. No id of a session has a slash in it. */
export function draftName(session: string): string {
  return owner.value ? `${owner.value}/${session}` : session;
}

export function loadDraft(name: string): string {
  const own = read(name);
  const session = name.slice(name.lastIndexOf('/') + 1);
  if (own || session === name) return own;
  // What was typed before it was known who does: theirs from here on.
  const early = read(session);
  if (early) {
    saveDraft(session, '');
    saveDraft(name, early);
  }
  return early;
}

function read(name: string): string {
  try {
    const kept = JSON.parse(localStorage.getItem(prefix + name) ?? 'null') as { text?: unknown } | null;
    return typeof kept?.text === 'string' ? kept.text : '';
  } catch {
    return '';
  }
}

/** Keeps the text, an empty one by forgetting it. */
export function saveDraft(name: string, text: string, now = Date.now()): void {
  try {
    if (text === '') return localStorage.removeItem(prefix + name);
    localStorage.setItem(prefix + name, JSON.stringify({ time: now, text: text.slice(0, draftMax) }));
    prune();
  } catch {
    // No storage: the text is in the field.
  }
}

function prune(): void {
  const names = Array.from({ length: localStorage.length }, (_, i) => localStorage.key(i) ?? '').filter((n) => n.startsWith(prefix));
  if (names.length <= draftsMax) return;
  const byAge = names.map((name) => ({ name, time: timeOf(name) })).sort((a, b) => a.time - b.time);
  for (const { name } of byAge.slice(0, names.length - draftsMax)) localStorage.removeItem(name);
}

function timeOf(name: string): number {
  try {
    return Number((JSON.parse(localStorage.getItem(name) ?? '{}') as { time?: unknown }).time) || 0;
  } catch {
    return 0;
  }
}
