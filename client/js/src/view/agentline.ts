// What a line of an agent's is called that has no neutral meaning.
import { bag, isBag, str, textOf, type Bag } from './values.js';

/** A line of text that has no form at all is its own label. */
const briefMax = 200;
const brief = (s: string): string => (s.length > briefMax ? s.slice(0, briefMax) + '…' : s);

/** A row for the line. Those with a form are bookkeeping of the agent's: what they say was said by the events beside them. */
export function lineRow(data: unknown): { label: string; minor: boolean } {
  if (!isBag(data)) return { label: brief(typeof data === 'string' ? data : 'line'), minor: false };
  const line = isBag(data.msg) ? data.msg : data;
  return { label: label(line), minor: true };
}

/** What the agent calls its line, the most telling word first. */
function label(m: Bag): string {
  const words = [m.subtype || bag(m.event).type || bag(bag(m.params).update).sessionUpdate || bag(m.item).type || bag(m.request).subtype, m.method, m.type];
  const said = words.map(str).filter((w) => w !== '');
  if (said.length === 0 && m.jsonrpc) return m.error ? 'error' : 'answer';
  return said.join(' · ') || brief(textOf(m)) || 'line';
}
