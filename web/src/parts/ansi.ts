// What programs print to terminals: colours become classes, all other control
// sequences go.

export interface Piece {
  text: string;
  /** Classes of base styles: ansi-bold, ansi-red …; '' for none. */
  style: string;
}

/** Pieces with a style of their own; the rest of such a text is shown without colours. */
export const piecesMax = 5_000;

const colours = ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white'];
// CSI; OSC up to its end; other escapes of two characters; what is left of control characters.
const sequence = /\x1b\[([0-?]*)[ -/]*([@-~])|\x1b\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f\x9b]/g;

/** Whether there is anything to be read out of the text but itself. */
export function hasAnsi(text: string): boolean {
  return /[\x00-\x08\x0b-\x1f\x7f\x9b]/.test(text);
}

/** The text in pieces of one style each. */
export function pieces(text: string): Piece[] {
  const lines = overwritten(text);
  const made: Piece[] = [];
  const state = { bold: false, dim: false, italic: false, underline: false, colour: '' };
  let at = 0;
  const add = (part: string) => {
    if (part === '') return;
    const style = made.length < piecesMax ? styleOf(state) : '';
    const last = made.at(-1);
    if (last && last.style === style) last.text += part;
    else made.push({ text: part, style });
  };
  for (const found of lines.matchAll(sequence)) {
    add(lines.slice(at, found.index));
    at = found.index + found[0].length;
    if (found[2] === 'm') apply(state, found[1]!);
  }
  add(lines.slice(at));
  return made;
}

/** The text without any sequences. */
export function withoutAnsi(text: string): string {
  return hasAnsi(text) ? overwritten(text).replace(sequence, '') : text;
}

/** Progress bars write a line again and again: what was written last stays. */
function overwritten(text: string): string {
  if (!text.includes('\r')) return text;
  // By hand: the patterns for it take the square of the length of a line.
  return text.split('\n').map(lastWritten).join('\n');
}

function lastWritten(line: string): string {
  let end = line.length;
  while (line[end - 1] === '\r') end--;
  return line.slice(line.slice(0, end).lastIndexOf('\r') + 1, end);
}

type State = { bold: boolean; dim: boolean; italic: boolean; underline: boolean; colour: string };

function apply(state: State, codes: string): void {
  const list = codes.split(/[;:]/).map((c) => Number(c || 0));
  for (let i = 0; i < list.length; i++) {
    const code = list[i]!;
    if (code === 0) Object.assign(state, { bold: false, dim: false, italic: false, underline: false, colour: '' });
    else if (code === 1) state.bold = true;
    else if (code === 2) state.dim = true;
    else if (code === 3) state.italic = true;
    else if (code === 4) state.underline = true;
    else if (code === 22) state.bold = state.dim = false;
    else if (code === 23) state.italic = false;
    else if (code === 24) state.underline = false;
    else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) state.colour = colours[code % 10]!;
    else if (code === 39) state.colour = '';
    // Colours by number or by parts: those of the first sixteen have names, others are left plain.
    else if (code === 38 || code === 48) {
      const named = list[i + 1] === 5 && code === 38 ? colours[list[i + 2]! % 8] : undefined;
      if (code === 38) state.colour = list[i + 2]! < 16 && named ? named : '';
      i += list[i + 1] === 5 ? 2 : 4;
    }
  }
}

function styleOf(state: State): string {
  const names = [];
  if (state.bold) names.push('ansi-bold');
  if (state.dim) names.push('ansi-dim');
  if (state.italic) names.push('ansi-italic');
  if (state.underline) names.push('ansi-underline');
  if (state.colour) names.push(`ansi-${state.colour}`);
  return names.join(' ');
}
