// How numbers and times are written, everywhere the same.

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A length of time: 0 ms, 340 ms, 2.4 s, 41 s, 3 min 5 s, 2 h 4 min, 3 d 1 h. */
export function duration(ms: number): string {
  if (!Number.isFinite(ms)) return '–';
  const n = Math.max(0, ms);
  if (n < 999.5) return `${Math.round(n)} ms`;
  if (n < 9_950) return `${(n / SECOND).toFixed(1)} s`;
  if (n < MINUTE - 500) return `${Math.round(n / SECOND)} s`;
  // From here on in whole units of the smaller one, so that no "60 s" is written.
  if (n < HOUR - 500) return two(Math.round(n / SECOND), 60, 'min', 's');
  if (n < DAY - 30 * SECOND) return two(Math.round(n / MINUTE), 60, 'h', 'min');
  return two(Math.round(n / HOUR), 24, 'd', 'h');
}

function two(small: number, per: number, big: string, little: string): string {
  const rest = small % per;
  return `${Math.floor(small / per)} ${big}${rest ? ` ${rest} ${little}` : ''}`;
}

/** A length of time that is counted on screen: 0:07, 12:40, 1:02:03. */
export function counter(ms: number): string {
  const s = Math.max(0, Math.floor(ms / SECOND));
  const two = (n: number) => String(n).padStart(2, '0');
  const minutes = Math.floor(s / 60) % 60;
  return s < 3600 ? `${minutes}:${two(s % 60)}` : `${Math.floor(s / 3600)}:${two(minutes)}:${two(s % 60)}`;
}

/** How long ago: now, 5 min, 3 h, 6 d, else the date. */
export function ago(time: number, now: number): string {
  const past = now - time;
  if (!Number.isFinite(past)) return '';
  if (past < 45 * SECOND) return 'now';
  if (past < HOUR) return `${Math.max(1, Math.round(past / MINUTE))} min`.replace('60 min', '1 h');
  if (past < DAY) return `${Math.min(23, Math.round(past / HOUR))} h`;
  if (past < 7 * DAY) return `${Math.floor(past / DAY)} d`;
  const then = new Date(time);
  const sameYear = then.getFullYear() === new Date(now).getFullYear();
  return then.toLocaleDateString(undefined, { day: 'numeric', month: 'short', ...(sameYear ? {} : { year: 'numeric' }) });
}

/** Date and time to the second, as people here write them. */
export function moment(time: number | string): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? '' : date.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
}

/** The time of day: 14:03:07. */
export function timeOfDay(time: number | string): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? '' : date.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
}

/** A size: 512 B, 1.4 KB, 23 MB. */
export function bytes(n: number): string {
  if (!Number.isFinite(n)) return '–';
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let value = Math.max(0, n);
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 9.95 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** A number of things, grouped: 1,240. */
export function count(n: number): string {
  return Number.isFinite(n) ? Math.round(n).toLocaleString('en-US') : '–';
}

/** A number in little room: 999, 1.2k, 34k, 5.6M. */
export function short(n: number): string {
  if (!Number.isFinite(n)) return '–';
  if (n < 1000) return String(Math.round(n));
  if (n < 9_950) return `${(n / 1000).toFixed(1)}k`;
  if (n < 999_500) return `${Math.round(n / 1000)}k`;
  return `${(n / 1e6).toFixed(n < 9.95e6 ? 1 : 0)}M`;
}

/** The number and its noun: plural(1, 'event') is "1 event". */
export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** An amount of US dollars: $0.0042, $0.31, $12.40. */
export function cost(usd: number): string {
  if (!Number.isFinite(usd)) return '–';
  if (usd === 0) return '$0';
  if (usd < 0.00005) return '<$0.0001';
  if (usd < 0.1) return `$${usd.toFixed(4).replace(/0{1,2}$/, '')}`;
  return `$${usd.toFixed(2)}`;
}

/** A share of a whole, 0 to 100. */
export function percent(part: number, whole: number): string {
  return whole > 0 ? `${Math.round((100 * part) / whole)} %` : '–';
}

/**
 * The text with what turns the order of letters around written out: a command that somebody is asked to allow must read as it
 * runs. Scripts that go from right to left need none of these.
 */
export function inOrder(text: string): string {
  return text.replace(/[\u202a-\u202e\u2066-\u2069]/g, (c) => `‹U+${c.charCodeAt(0).toString(16).toUpperCase()}›`);
}

/** At most so many characters, on one line, with an ellipsis. Never half a surrogate pair. */
export function clip(text: string, max: number): string {
  const line = inOrder(text.slice(0, max * 4)).replace(/\s+/g, ' ').trim();
  if (line.length <= max) return line;
  const end = /[\uD800-\uDBFF]/.test(line[max - 2] ?? '') ? max - 2 : max - 1;
  return `${line.slice(0, end).trimEnd()}…`;
}
