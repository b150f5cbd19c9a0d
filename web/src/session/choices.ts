// The quick actions of a kontask, as they are offered.

/** One quick action. */
export interface Choice {
  label: string;
  /** The prompt that it stands for, and what it is chosen by: a place may be another's when the card has changed meanwhile. */
  value: string;
  primary: boolean;
}

/** The choices that can be shown, the primary one first. Of several that claim to be that it is the first. */
export function choicesOf(choices: unknown): Choice[] {
  const all = (Array.isArray(choices) ? choices : []).filter((c): c is Record<string, unknown> => typeof c === 'object' && c !== null);
  const made = all.map((c, i) => ({ label: String(c.label || c.value || `Choice ${i + 1}`), value: String(c.value || c.label || i), primary: c.primary === true }));
  const first = made.findIndex((c) => c.primary);
  const marked = made.map((c, i) => ({ ...c, primary: i === first }));
  return first > 0 ? [marked[first]!, ...marked.filter((_, i) => i !== first)] : marked;
}
