import { AccountMenu } from '../account/AccountMenu';
import { Icon } from '../parts/Icon';
import { needsYou } from '../sessions/store';
import { LinkState } from './LinkState';
import { helpOpen } from './Keys';
import { route } from './route';
import { switcherOpen } from './Switcher';
import { nextTheme, theme } from './theme';

const themes = { system: ['system', 'as the system says'], light: ['sun', 'light'], dark: ['moon', 'dark'] } as const;
const mod = /mac|iphone|ipad/i.test(navigator.platform) ? '⌘' : 'Ctrl ';

/** Name, ways to the pages, the state of the connection. */
export function TopBar() {
  const at = route.value.page;
  const waiting = needsYou.value;
  const [icon, word] = themes[theme.value];
  return (
    <header class="topbar">
      <a class="icon-button topbar-back" href="#/" aria-label="Back to the sessions">
        <Icon name="back" />
      </a>
      <a class="brand" href="#/" title="All sessions">
        <Mark />
        <span class="text">konlog</span>
      </a>
      <nav class="topnav" aria-label="Pages">
        <a href="#/inbox" aria-current={at === 'inbox' ? 'page' : undefined}>
          <Icon name="inbox" />
          <span class="text">Inbox</span>
          {waiting > 0 && (
            <span class="badge warn">
              {waiting}
              <span class="visually-hidden"> need you</span>
            </span>
          )}
        </a>
        <a href="#/search" aria-current={at === 'search' ? 'page' : undefined}>
          <Icon name="search" />
          <span class="text">Search</span>
        </a>
        <a href="#/diagnostics" class="wide-only" aria-current={at === 'diagnostics' ? 'page' : undefined}>
          <Icon name="pulse" />
          <span class="text">Diagnostics</span>
        </a>
      </nav>
      <span class="topbar-space" />
      <button type="button" class="jump" onClick={() => (switcherOpen.value = true)}>
        Go to session <kbd class="kbd">{mod}K</kbd>
      </button>
      <LinkState />
      <AccountMenu />
      <button type="button" class="icon-button" aria-label={`Colours: ${word}. Change`} title={`Colours: ${word}`} onClick={nextTheme}>
        <Icon name={icon} />
      </button>
      <button type="button" class="icon-button wide-only" aria-label="Keyboard shortcuts" title="Keyboard shortcuts (?)" onClick={() => (helpOpen.value = true)}>
        <Icon name="help" />
      </button>
    </header>
  );
}

/** The mark: lines of a log, the last one still growing. */
function Mark() {
  return (
    <svg viewBox="0 0 24 24" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="3" stroke-linecap="round">
      <path d="M4 6h16M4 12h11M4 18h5" />
      <path d="M14.5 18h.01" />
    </svg>
  );
}
