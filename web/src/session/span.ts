// Which rows are in the document: a span of bounded length that follows the
// end, or stays with what is read.
import type { Layout } from './layout';

/** Rows from start to end, end not included. */
export interface Span {
  start: number;
  end: number;
}

/** Rows that are ever in the document at once. */
export const spanMax = 160;
/** Rows that are kept when older ones are released: as far below the bound that this is rare. */
export const spanKeep = 100;
/** Rows that are added when one of its ends is reached. */
export const spanStep = 30;

/** The last rows. */
export function tail(total: number): Span {
  return { start: Math.max(0, total - spanKeep), end: total };
}

/** The rows around one of them. */
export function around(index: number, total: number): Span {
  const start = Math.max(0, Math.min(index - spanKeep / 2, total - spanKeep));
  return { start, end: Math.min(total, start + spanKeep) };
}

/** A step further, releasing at the other end. */
export function grow(span: Span, total: number, way: 'up' | 'down'): Span {
  if (way === 'up') {
    const start = Math.max(0, span.start - spanStep);
    return { start, end: Math.min(span.end, start + spanMax) };
  }
  const end = Math.min(total, span.end + spanStep);
  return { start: Math.max(span.start, end - spanMax), end };
}

/** The span of the same rows in another layout; one that follows goes to the end. */
export function carry(span: Span, before: Layout, now: Layout, follow: boolean): Span {
  if (span.end === 0 || now.total === 0) return tail(now.total);
  const start = find(span, before, now);
  if (start < 0) return tail(now.total);
  if (follow) return now.total - start <= spanMax ? { start, end: now.total } : tail(now.total);
  const length = span.end - span.start;
  if (span.end === before.total) return { start, end: Math.min(now.total, start + spanMax) };
  return { start, end: Math.min(now.total, start + length) };
}

/** Where the span's first row is now, or would be. */
function find(span: Span, before: Layout, now: Layout): number {
  const shift = now.total - before.total;
  for (let i = span.start; i < span.end; i++) {
    const row = before.at(i);
    // The head of a turn stays before all of it: it does not say where its items went.
    if (!row || row.kind === 'head') continue;
    const guess = now.at(i)?.key === row.key ? i : i + shift;
    const at = now.indexOf(row.key, guess);
    if (at >= 0) return Math.max(0, at - (i - span.start));
  }
  return -1;
}
