// Markdown of agents and people as blocks of safe HTML. Text that is still
// coming is parsed in pieces: a block that nothing can change any more is
// rendered once, and only what follows it is parsed again.
import { Marked, type Token, type Tokens } from 'marked';
import { plainTags } from './rawhtml';
import { clean, escapeHTML } from './sanitize';

/** One block: code, which is drawn by a component, or HTML that was made safe. */
export type MarkdownBlock = { kind: 'html'; html: string } | { kind: 'code'; text: string; language: string };

/** Characters that are parsed at all; a longer text is shown as it is, since no reader needs it laid out. */
export const markdownMax = 1 << 20;
/** Blocks inside of blocks that are followed; deeper text is shown as it is. The parser is recursive. */
const depthMax = 24;
/** Markers of emphasis in one paragraph that are read as such; of more they stay as they are. Each is compared with all others. */
const emphasisMax = 200;

/** The paragraph that was looked at last, and whether its emphasis is read: it is asked at each of its markers. */
let counted = { source: '', few: true };

function fewMarkers(source: string): boolean {
  if (source !== counted.source) counted = { source, few: (source.match(/[*_]+/g)?.length ?? 0) <= emphasisMax };
  return counted.few;
}

const parser = new Marked({
  gfm: true,
  tokenizer: {
    // false: as the parser does it by itself. undefined: there is no emphasis here.
    emStrong(_rest, paragraph) {
      return fewMarkers(paragraph) ? false : undefined;
    },
  },
  renderer: {
    // No image is fetched because a text says so: it is a link to it.
    image({ href, text }) {
      return `<a href="${escapeHTML(href)}">${escapeHTML(text || 'image')}</a>`;
    },
    html({ text }) {
      return plainTags(text);
    },
    checkbox({ checked }) {
      return checked ? '☑ ' : '☐ ';
    },
  },
});

/** The blocks of a whole text. */
export function renderMarkdown(text: string): MarkdownBlock[] {
  const source = plain(text);
  if (source.length > markdownMax || tooDeep(source)) return [asIs(source)];
  return blocks(parser.lexer(source));
}

function blocks(tokens: readonly Token[]): MarkdownBlock[] {
  const made: MarkdownBlock[] = [];
  for (const token of tokens) {
    const block = render(token);
    if (block) made.push(block);
  }
  return made;
}

/** One block is cleaned by itself, so that what it leaves open cannot swallow the next ones. */
function render(token: Token): MarkdownBlock | undefined {
  if (token.type === 'space' || token.type === 'def') return undefined;
  if (token.type === 'code') return { kind: 'code', text: (token as Tokens.Code).text, language: (token as Tokens.Code).lang ?? '' };
  const html = clean(parser.parser([token]));
  return html.trim() === '' ? undefined : { kind: 'html', html };
}

function asIs(text: string): MarkdownBlock {
  return { kind: 'code', text, language: '' };
}

function plain(text: string): string {
  return text.includes('\r') ? text.replace(/\r\n?/g, '\n') : text;
}

/** Markers of quotes, lists and emphasis without end make the parser recurse without end. */
function tooDeep(text: string): boolean {
  return deep.test(text);
}
const deep = new RegExp(`^(?:[ \\t]*(?:>|[-*+][ \\t]|\\d{1,9}[.)][ \\t])){${depthMax},}|[\\[(*_~\`!<]{400,}`, 'm');

/** A text that grows. `update` gives its blocks; those at the start are the same objects from call to call. */
export class MarkdownStream {
  /** Blocks that cannot change by more text. */
  private settled: MarkdownBlock[] = [];
  /** How much of the text they are. */
  private settledTo = 0;
  private source = '';
  private shown: MarkdownBlock[] = [];

  /** The blocks of the text so far. Once it is complete they are those of the whole text. */
  update(text: string, complete: boolean): readonly MarkdownBlock[] {
    const source = plain(text);
    if (!source.startsWith(this.source)) this.reset();
    this.source = source;
    const fresh = complete ? renderMarkdown(source) : this.partial(source);
    this.shown = keepSame(fresh, this.shown);
    return this.shown;
  }

  /** Characters that are settled, for tests and measurements. */
  get settledLength(): number {
    return this.settledTo;
  }

  private reset(): void {
    this.settled = [];
    this.settledTo = 0;
  }

  private partial(source: string): MarkdownBlock[] {
    const rest = calm(source.slice(this.settledTo));
    if (source.length > markdownMax || tooDeep(rest)) return [...this.settled, asIs(source.slice(this.settledTo))];
    const tokens = parser.lexer(rest);
    const last = settledTokens(tokens, rest);
    const done = tokens.slice(0, last);
    this.settled.push(...blocks(done));
    this.settledTo += done.reduce((n, t) => n + t.raw.length, 0);
    return [...this.settled, ...blocks(tokens.slice(last))];
  }
}

/** How many of the tokens at the start no further text can change. */
function settledTokens(tokens: readonly Token[], source: string): number {
  let last = tokens.length - 1;
  while (last > 0 && tokens[last]!.type === 'space') last--;
  // Some rules rewrite their source: then places in it cannot be told.
  let at = 0;
  for (let i = 0; i < last; i++) {
    if (!source.startsWith(tokens[i]!.raw, at)) return 0;
    at += tokens[i]!.raw.length;
  }
  return last;
}

/**
 * Leaves out a last line that may only be the beginning of one: "-" would make the text above a heading for a moment, and
 * whether it goes on with the list above shows when more of it is there.
 */
function calm(text: string): string {
  return text.replace(/\n[ \t]{0,3}(?:-+|=+|[*+]|\d{1,9}[.)]?|#{1,6}|`{1,2}|~{1,2}|\|)[ \t]*$/, '\n');
}

function keepSame(fresh: MarkdownBlock[], before: readonly MarkdownBlock[]): MarkdownBlock[] {
  return fresh.map((block, i) => {
    const old = before[i];
    return old && same(old, block) ? old : block;
  });
}

function same(a: MarkdownBlock, b: MarkdownBlock): boolean {
  if (a === b) return true;
  if (a.kind === 'html') return b.kind === 'html' && a.html === b.html;
  return b.kind === 'code' && a.text === b.text && a.language === b.language;
}
