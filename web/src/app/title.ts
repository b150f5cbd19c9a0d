// The page's title and icon say how many sessions wait for a person.
import { computed, effect } from '@preact/signals';
import { locked } from '../account/account';
import { needsYou, rowOf } from '../sessions/store';
import { route } from './route';

const where = computed(() => {
  if (locked.value) return 'Sign in';
  const at = route.value;
  if ('session' in at) return rowOf(at.session).value?.title || at.session;
  return { home: '', inbox: 'Inbox', search: 'Search', diagnostics: 'Diagnostics' }[at.page];
});

/** Who is not signed in sees no number either. */
const waiting = computed(() => (locked.value ? 0 : needsYou.value));

/** The title of a page: (2) Fix the login · konlog. */
export function titleOf(place: string, waiting: number): string {
  return `${waiting > 0 ? `(${waiting}) ` : ''}${place ? `${place} · ` : ''}konlog`;
}

/** The icon, with a number over it when sessions wait. Drawn here, so that it is no request. */
export function iconOf(waiting: number): string {
  const lines = `<path d="M5 8h22M5 16h${waiting ? 8 : 15}M5 24h7" stroke="#3b74e8" stroke-width="4" stroke-linecap="round"/>`;
  const text = waiting > 9 ? '9+' : String(waiting);
  const badge = `<circle cx="21" cy="21" r="11" fill="#b3261e"/><text x="21" y="26.5" text-anchor="middle" font-family="sans-serif" font-weight="700" font-size="${waiting > 9 ? 13 : 16}" fill="#fff">${text}</text>`;
  const dot = '<circle cx="21" cy="24" r="2.5" fill="#3b74e8"/>';
  return `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">${lines}${waiting ? badge : dot}</svg>`)}`;
}

/** Keeps both up to date. */
export function watchTitle(): void {
  effect(() => {
    document.title = titleOf(where.value, waiting.value);
  });
  effect(() => {
    let link = document.querySelector<HTMLLinkElement>('link[rel=icon]');
    if (!link) document.head.append((link = Object.assign(document.createElement('link'), { rel: 'icon' })));
    link.href = iconOf(waiting.value);
  });
}
