// Keys of the whole page. Who has some registers them while it is mounted; the
// help (`?`) lists what is there, so it cannot say what is not so.
import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';

export interface Shortcut {
  /** `j`, `?`, `g i` (one after the other), `mod+k` (Ctrl, or Cmd on a Mac), `shift+n`, `Escape`. */
  keys: string;
  label: string;
  run: (e: KeyboardEvent) => void;
}

const all = new Set<Shortcut>();
/** What is registered, in the order in which it came, for the help. */
export const shortcuts = signal<readonly Shortcut[]>([]);

/** Registers keys for the page. The newest of the same keys wins. Returns what takes them back. */
export function shortcut(keys: string, label: string, run: (e: KeyboardEvent) => void): () => void {
  const entry: Shortcut = { keys, label, run };
  all.add(entry);
  shortcuts.value = [...all];
  return () => {
    all.delete(entry);
    shortcuts.value = [...all];
  };
}

/** Registers keys while the component is mounted: useShortcuts([['j', 'Next session', next], …]). */
export function useShortcuts(list: readonly (readonly [keys: string, label: string, run: (e: KeyboardEvent) => void])[], deps: unknown[] = []): void {
  useEffect(() => {
    const undo = list.map(([keys, label, run]) => shortcut(keys, label, run));
    return () => undo.forEach((take) => take());
  }, deps);
}

const SEQUENCE_MS = 1_200;
let first = '';
let firstAt = 0;

/** The name of a pressed key as it is registered, without Shift where it is in the character already. */
export function keyName(e: KeyboardEvent): string {
  const key = e.key.length === 1 ? e.key.toLowerCase() : e.key;
  const letter = /^[a-z]$/.test(key);
  const parts = [e.ctrlKey || e.metaKey ? 'mod' : '', e.altKey ? 'alt' : '', e.shiftKey && (letter || key.length > 1) ? 'shift' : '', key];
  return parts.filter(Boolean).join('+');
}

/** True where letters are text and not commands. */
export function typing(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement || (target instanceof HTMLInputElement && !['checkbox', 'radio', 'button', 'range', 'submit'].includes(target.type));
}

/** Finds what the key asks for and runs it; true when there was something. */
export function press(e: KeyboardEvent, now = Date.now()): boolean {
  if (e.defaultPrevented || e.isComposing || ['Shift', 'Control', 'Alt', 'Meta'].includes(e.key)) return false;
  const name = keyName(e);
  const plain = !name.includes('mod+');
  // Inside a field only commands with Ctrl count; in a dialog none that it has not registered itself.
  if (plain && (typing(e.target) || document.querySelector('dialog[open]'))) return false;
  const sequence = first && now - firstAt < SEQUENCE_MS ? `${first} ${name}` : '';
  first = '';
  const list = [...all].reverse();
  const hit = (sequence && list.find((s) => s.keys === sequence)) || list.find((s) => s.keys === name);
  if (!hit) {
    if (list.some((s) => s.keys.startsWith(`${name} `))) [first, firstAt] = [name, now];
    return false;
  }
  e.preventDefault();
  hit.run(e);
  return true;
}

/** Listens on the page; returns what ends it. */
export function listen(): () => void {
  const on = (e: KeyboardEvent) => void press(e);
  addEventListener('keydown', on);
  return () => removeEventListener('keydown', on);
}
