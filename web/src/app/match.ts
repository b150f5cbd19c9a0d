// Finding a session by a few letters of its name.

export interface Match {
  score: number;
  /** Places in the text that were found, ascending. */
  at: readonly number[];
}

/**
 * The letters of the query occur in the text in this order; undefined when they do not. A run of letters counts more
 * than single ones, the beginning of a word more than its middle, and an exact part most.
 */
export function match(query: string, text: string): Match | undefined {
  const q = query.trim().toLowerCase();
  const t = text.toLowerCase();
  if (!q) return { score: 0, at: [] };
  const part = partAt(t, q);
  if (part >= 0) return { score: 1_000 + (begins(t, part) ? 200 : 0) - Math.min(part, 100) - t.length / 100, at: [...q].map((_, i) => part + i) };
  return scattered(q.replace(/\s+/g, ''), t);
}

/** Where q stands in t; at the beginning of a word if it does so anywhere. */
function partAt(t: string, q: string): number {
  for (let i = t.indexOf(q); i >= 0; i = t.indexOf(q, i + 1)) if (begins(t, i)) return i;
  return t.indexOf(q);
}

function begins(t: string, i: number): boolean {
  return i === 0 || !/[\p{L}\p{N}]/u.test(t[i - 1] ?? '');
}

function scattered(q: string, t: string): Match | undefined {
  const at: number[] = [];
  let score = 0;
  let from = 0;
  for (const letter of q) {
    const i = t.indexOf(letter, from);
    if (i < 0) return undefined;
    if (at.length > 0 && i === (at.at(-1) ?? -2) + 1) score += 12;
    if (begins(t, i)) score += 8;
    score -= Math.min(i - from, 10);
    at.push(i);
    from = i + 1;
  }
  return { score: score - t.length / 100, at };
}

/** The text in parts, found and not, to be drawn. */
export function parts(text: string, at: readonly number[]): { text: string; hit: boolean }[] {
  const hits = new Set(at);
  const out: { text: string; hit: boolean }[] = [];
  for (let i = 0; i < text.length; i++) {
    const hit = hits.has(i);
    const last = out.at(-1);
    if (last && last.hit === hit) last.text += text[i];
    else out.push({ text: text[i] ?? '', hit });
  }
  return out;
}
