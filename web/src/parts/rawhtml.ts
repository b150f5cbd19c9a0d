// Raw HTML in Markdown, brought down to the few tags that are allowed before
// anything parses it: a parser would report (and a careless one would load)
// what the policy of the page forbids. The gate is sanitize.ts, which comes after.
import { escapeHTML } from './sanitize';

const allowed = new Set(
  'a abbr b blockquote br code dd del details div dl dt em h1 h2 h3 h4 h5 h6 hr i ins kbd li mark ol p pre q s samp small span strong sub summary sup table tbody td tfoot th thead tr u ul var'.split(' '),
);
const attributes = new Set(['href', 'title', 'align', 'colspan', 'rowspan', 'start', 'open']);
// Each part can be read in one way only, or a tag that never ends would be tried in as many ways as it has spaces or slashes,
// to their power: a value without quotes goes up to a space or the end, and nothing but a value in quotes holds a "<".
const tag = /<(\/?)([a-z][a-z0-9]*)((?:[\s/]+[^\s=<>"'/]+(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'<>]+(?=[\s>])))?)*[\s/]*)>/gi;
const attribute = /([^\s=<>"'/]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'<>]+)))?/g;

/** The HTML with allowed tags and attributes only; an image becomes a link to it. All else is text, for nothing that was written should vanish. */
export function plainTags(html: string): string {
  let made = '';
  let at = 0;
  for (const found of html.matchAll(tag)) {
    made += text(html.slice(at, found.index)) + (rewritten(found[1]!, found[2]!.toLowerCase(), found[3]!) ?? text(found[0]));
    at = found.index + found[0].length;
  }
  return made + text(html.slice(at));
}

/** Its entities stay what they are. */
function text(part: string): string {
  return part.replace(/[<>]/g, (c) => (c === '<' ? '&lt;' : '&gt;'));
}

/** undefined: the tag is none that may stand here. */
function rewritten(slash: string, name: string, rest: string): string | undefined {
  if (name === 'img') return imageLink(rest);
  if (!allowed.has(name)) return undefined;
  if (slash) return `</${name}>`;
  let made = `<${name}`;
  for (const [, key, a, b, c] of rest.matchAll(attribute)) {
    if (attributes.has(key!.toLowerCase())) made += ` ${key!.toLowerCase()}="${quoted(a ?? b ?? c ?? '')}"`;
  }
  return `${made}>`;
}

function imageLink(rest: string): string {
  const values = new Map([...rest.matchAll(attribute)].map(([, key, a, b, c]) => [key!.toLowerCase(), a ?? b ?? c ?? '']));
  return `<a href="${quoted(values.get('src') ?? '')}">${quoted(values.get('alt') || 'image')}</a>`;
}

function quoted(value: string): string {
  return value.replace(/["'<>]/g, escapeHTML);
}
