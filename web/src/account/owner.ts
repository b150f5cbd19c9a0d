// Whose drafts are shown: each user of a browser has their own. The name is
// remembered, so that a reload has the draft at once; it is no secret.
import { signal } from '@preact/signals';

const KEY = 'konlog.subject';

/** '' for a server without users. */
export const owner = signal(remembered());

function remembered(): string {
  try {
    return localStorage.getItem(KEY) ?? '';
  } catch {
    return ''; // storage is forbidden here
  }
}

export function setOwner(subject: string): void {
  if (owner.peek() === subject) return;
  owner.value = subject;
  try {
    if (subject) localStorage.setItem(KEY, subject);
    else localStorage.removeItem(KEY);
  } catch {
    // it holds for this page then
  }
}
