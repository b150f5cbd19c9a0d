// Keys that a phone's keyboard lacks.
import type { ComponentChildren } from 'preact';

/** What the keys send; arrows as the program asked for them. */
const plain: [name: string, label: string, text: string][] = [
  ['Escape', 'Esc', '\x1b'],
  ['Tab', 'Tab', '\t'],
];
const arrows: [name: string, label: string, letter: string][] = [
  ['Arrow left', '←', 'D'],
  ['Arrow down', '↓', 'B'],
  ['Arrow up', '↑', 'A'],
  ['Arrow right', '→', 'C'],
];

/** The character that Ctrl makes of one: undefined where it makes none. */
export function control(text: string): string | undefined {
  if (!/^[@-_a-z]$/.test(text)) return undefined;
  return String.fromCharCode(text.toUpperCase().charCodeAt(0) & 0x1f);
}

interface Props {
  /** Ctrl is held for the next character. */
  held: boolean;
  hold(on: boolean): void;
  type(text: string): void;
  arrow(letter: string): string;
}

export function TerminalKeys({ held, hold, type, arrow }: Props) {
  return (
    <div class="terminal-keys" role="group" aria-label="Keys" data-testid="terminal-keys">
      {plain.map(([name, label, text]) => (
        <Key name={name} run={() => type(text)}>
          {label}
        </Key>
      ))}
      <Key name="Control" pressed={held} run={() => hold(!held)}>
        Ctrl
      </Key>
      {arrows.map(([name, label, letter]) => (
        <Key name={name} run={() => type(arrow(letter))}>
          {label}
        </Key>
      ))}
    </div>
  );
}

/** A key leaves the focus where it is, or the keyboard on the screen would go. */
function Key({ name, pressed, run, children }: { name: string; pressed?: boolean; run: () => void; children: ComponentChildren }) {
  return (
    <button type="button" class="terminal-key" aria-label={name} aria-pressed={pressed} onPointerDown={(e) => e.preventDefault()} onClick={run}>
      {children}
    </button>
  );
}
