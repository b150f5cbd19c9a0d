// What was typed and not sent, per session, in this browser. A storage that is
// full or forbidden costs the drafts, not the page.

const prefix = 'konlog.draft:';
/** Drafts that are kept; beyond it the oldest go. */
export const draftsMax = 50;
/** Characters of one draft that are kept. */
export const draftMax = 100_000;

export function loadDraft(session: string): string {
  try {
    const kept = JSON.parse(localStorage.getItem(prefix + session) ?? 'null') as { text?: unknown } | null;
    return typeof kept?.text === 'string' ? kept.text : '';
  } catch {
    return '';
  }
}

/** Keeps the text, an empty one by forgetting it. */
export function saveDraft(session: string, text: string, now = Date.now()): void {
  try {
    if (text === '') return localStorage.removeItem(prefix + session);
    localStorage.setItem(prefix + session, JSON.stringify({ time: now, text: text.slice(0, draftMax) }));
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
