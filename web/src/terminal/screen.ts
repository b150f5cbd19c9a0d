// The screen of a terminal, drawn by xterm.js.
import { FitAddon } from '@xterm/addon-fit';
import { Terminal } from '@xterm/xterm';
import '@xterm/xterm/css/xterm.css';
import { quiet } from './document';
import type { Surface } from './follow';

/** Lines that can be scrolled back to. */
const SCROLLBACK = 10_000;

export interface Screen extends Surface {
  /** Whether keys do anything. */
  takes(keys: boolean): void;
  focus(): void;
  /** What the arrow key of that letter (A up, B down, C right, D left) sends to the program as it is now. */
  arrow(letter: string): string;
  /** The size that fits the room there is. */
  fits(): { cols: number; rows: number } | undefined;
  close(): void;
}

/** Draws into the element. What is typed goes to `typed`. */
export function openScreen(element: HTMLElement, typed: (text: string) => void): Screen {
  const style = getComputedStyle(element);
  const loud = quiet(document);
  const terminal = new Terminal({
    disableStdin: true,
    scrollback: SCROLLBACK,
    fontFamily: style.getPropertyValue('--mono').trim() || 'monospace',
    fontSize: 13,
    theme: { background: '#14161a', foreground: '#e6e6e6', cursor: '#e6e6e6' },
    screenReaderMode: matchMedia('(prefers-reduced-motion: reduce)').matches,
    linkHandler: null,
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(element);
  terminal.onData(typed);
  terminal.onBinary(typed);
  // write only queues: what acts at once has to wait until all before it is drawn.
  let here = true;
  const then = (run: () => void) => terminal.write('', () => here && run());
  return {
    write: (bytes) => terminal.write(bytes),
    size: (cols, rows) => then(() => terminal.resize(cols, rows)),
    reset: () => then(() => terminal.reset()),
    takes: (keys) => then(() => (terminal.options.disableStdin = !keys)),
    focus: () => terminal.focus(),
    arrow: (letter) => (terminal.modes.applicationCursorKeysMode ? '\x1bO' : '\x1b[') + letter,
    fits: () => fit.proposeDimensions(),
    close() {
      here = false;
      terminal.dispose();
      loud();
    },
  };
}
