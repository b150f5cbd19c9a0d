/** Rows that are drawn beyond the edges, so that a scroll does not show white. */
const OVER = 8;

/** Which rows of a long list are drawn: from (included) to (not included). */
export function span(rows: number, row: number, top: number, height: number): { from: number; to: number } {
  const first = Math.floor(Math.max(0, top) / row);
  const from = Math.max(0, Math.min(first, rows) - OVER);
  const to = Math.min(rows, Math.max(from, first + Math.ceil(Math.max(0, height) / row) + OVER));
  return { from, to };
}
