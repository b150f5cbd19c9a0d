// A name for a session out of what was asked for first.

/** Characters of a title that is made from a prompt. */
export const titleMax = 80;
/** Of a line as long as a book only its beginning is looked at. */
const lineMax = 1_000;

/** The first line of the prompt that says something, as plain text; '' when none does. At most titleMax characters, never half of one. */
export function titleOf(prompt: string): string {
  for (const line of prompt.split(/[\r\n\u2028\u2029]+/)) {
    const said = plain(line.slice(0, lineMax));
    if (!said) continue;
    const characters = [...said];
    return characters.length <= titleMax ? said : `${characters.slice(0, titleMax - 1).join('').trimEnd()}…`;
  }
  return '';
}

/** Opens a block of code or rules a line: no words. */
const noWords = /^\s*(?:(?:`{3,}|~{3,})[^`]*|(?:[-*_=]\s*){3,})$/;
/** Headings, quotes, lists and boxes to tick. */
const leading = /^(?:\s*(?:#{1,6}(?=\s|$)|>|[-*+](?=\s|$)|\d{1,9}[.)](?=\s|$)|\[[ xX]\](?=\s)))+/;
const links = /!?\[([^[\]]*)\]\([^()]*\)/g;
/** Only around whole words: snake_case, *.go and 2 * 3 are no emphasis. */
const emphasis = /(^|[\s("'])(\*{1,3}|_{1,3}|~~)(?=[^\s*_~])(.*?[^\s*_~])\2(?=$|[\s,:;!?)"']|\.(?!\w))/g;
/** Control characters, halves of pairs, and marks that turn the direction of what stands after the title. */
const unseen = /[\p{Cs}\u200E\u200F\u061C\u202A-\u202E\u2066-\u2069\uFEFF]/gu;

function plain(line: string): string {
  const clean = line.replace(/\p{Cc}/gu, ' ').replace(unseen, '');
  if (noWords.test(clean)) return '';
  return clean.replace(leading, '').replace(links, '$1').replace(emphasis, '$1$3').replace(/`+/g, '').replace(/\s+/g, ' ').trim();
}
