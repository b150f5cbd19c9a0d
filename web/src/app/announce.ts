// What a screen reader is told, politely: one place for the whole page, so that
// streams of text are not read out fragment by fragment.
import { signal } from '@preact/signals';

/** The words in the live region (Announcer.tsx). */
export const announcement = signal('');

let timer: ReturnType<typeof setTimeout> | undefined;
const GAP_MS = 150;

/** Says a short text once: "Working", "Answered by another device". The last of several in a moment is said. */
export function announce(text: string): void {
  clearTimeout(timer);
  // Emptied first: the same words twice in a row are else not a change.
  announcement.value = '';
  timer = setTimeout(() => (announcement.value = text), GAP_MS);
}
