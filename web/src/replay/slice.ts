// A page of the server, cut where its members begin and end. JSON.parse would
// lose what a log promises to keep: duplicate keys, digits, escapes, white
// space. So an event's data is a part of the answer's own text.

/** One event of a page. `text` is the whole object; data and raw are parts of it. */
export interface Cut {
  id: number;
  /** Of a folded run: the id of its first event. */
  from: number | undefined;
  type: string;
  turn: string;
  parent: string;
  time: string;
  text: string;
  data: string;
  raw: string | undefined;
}

/** Events that will not come. */
export interface Hole {
  from: number;
  to: number;
  reason: string;
}

export interface CutPage {
  session: string;
  epoch: string;
  floor: number;
  head: number;
  next: number;
  caughtUp: boolean;
  gap: Hole | undefined;
  /** The history is another one than that of the epoch which was asked for. */
  reset: boolean;
  events: Cut[];
}

const QUOTE = 34;
const BACKSLASH = 92;

/** Cuts an answer of GET …/events. Throws when it is no such page. */
export function cutPage(text: string): CutPage {
  const page = membersOf(text);
  const number = (name: string) => Number(page.get(name) ?? 0);
  const list = page.get('events');
  if (list === undefined) throw new SyntaxError('the answer is no page of events');
  const gap = page.has('gap') ? (JSON.parse(page.get('gap')!) as Hole) : undefined;
  return {
    session: textOf(page.get('session')),
    epoch: textOf(page.get('epoch')),
    floor: number('floor'),
    head: number('head'),
    next: number('next'),
    caughtUp: page.get('caughtUp') === 'true',
    gap,
    reset: page.has('reset'),
    events: elementsOf(list).map(cutEvent),
  };
}

/** Cuts one event object. */
export function cutEvent(text: string): Cut {
  const event = membersOf(text);
  const from = event.get('from');
  return {
    id: Number(event.get('id')),
    from: from === undefined ? undefined : Number(from),
    type: textOf(event.get('type')),
    turn: textOf(event.get('turn')),
    parent: textOf(event.get('parent')),
    time: textOf(event.get('time')),
    text,
    data: event.get('data') ?? 'null',
    raw: event.get('raw'),
  };
}

/** The members of an object by name, each as it is written. Of two with a name the last one counts, as for JSON.parse. */
export function membersOf(text: string): Map<string, string> {
  const found = new Map<string, string>();
  let at = past(text, 0);
  if (text[at] !== '{') throw new SyntaxError('no object');
  at = past(text, at + 1);
  while (text[at] !== '}') {
    const name = valueEnd(text, at);
    const begin = past(text, past(text, name) + 1); // over the colon
    const end = valueEnd(text, begin);
    found.set(JSON.parse(text.slice(at, name)) as string, text.slice(begin, end));
    at = past(text, end);
    if (text[at] === ',') at = past(text, at + 1);
    else if (text[at] !== '}') throw new SyntaxError(`no end of the object at ${at}`);
  }
  return found;
}

/** The elements of an array, each as it is written. */
export function elementsOf(text: string): string[] {
  const found: string[] = [];
  let at = past(text, 0);
  if (text[at] !== '[') throw new SyntaxError('no array');
  at = past(text, at + 1);
  while (text[at] !== ']') {
    const end = valueEnd(text, at);
    found.push(text.slice(at, end));
    at = past(text, end);
    if (text[at] === ',') at = past(text, at + 1);
    else if (text[at] !== ']') throw new SyntaxError(`no end of the array at ${at}`);
  }
  return found;
}

function past(text: string, at: number): number {
  for (let c = text.charCodeAt(at); c === 32 || c === 9 || c === 10 || c === 13; c = text.charCodeAt(++at));
  return at;
}

function valueEnd(text: string, at: number): number {
  const first = text[at];
  if (first === '"') return stringEnd(text, at);
  if (first === '{' || first === '[') return nestedEnd(text, at);
  let end = at;
  while (end < text.length && !',]} \t\r\n'.includes(text[end]!)) end++;
  if (end === at) throw new SyntaxError(`no value at ${at}`);
  return end;
}

// A quote ends the string when the backslashes before it are even in number.
function stringEnd(text: string, at: number): number {
  for (let end = text.indexOf('"', at + 1); end > 0; end = text.indexOf('"', end + 1)) {
    let before = end - 1;
    while (text.charCodeAt(before) === BACKSLASH) before--;
    if ((end - before) % 2 === 1) return end + 1;
  }
  throw new SyntaxError(`no end of the string at ${at}`);
}

function nestedEnd(text: string, at: number): number {
  let depth = 0;
  for (let i = at; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === QUOTE) i = stringEnd(text, i) - 1;
    else if (c === 123 || c === 91) depth++;
    else if ((c === 125 || c === 93) && --depth === 0) return i + 1;
  }
  throw new SyntaxError(`no end of the value at ${at}`);
}

function textOf(json: string | undefined): string {
  const value: unknown = json === undefined ? '' : JSON.parse(json);
  return typeof value === 'string' ? value : '';
}

/** How many bytes a text is in UTF-8. */
export function bytesOf(text: string): number {
  return /^[\x00-\x7f]*$/.test(text) ? text.length : new TextEncoder().encode(text).length;
}
