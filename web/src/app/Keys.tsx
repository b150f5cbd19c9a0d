import { signal } from '@preact/signals';
import { Dialog } from '../parts/Dialog';
import { shortcuts, useShortcuts } from './shortcuts';
import { switcherOpen } from './Switcher';

/** True while the help is shown. */
export const helpOpen = signal(false);

const go = (hash: string) => () => {
  location.hash = hash;
};

/** The keys of every page, and the help that lists all there are. */
export function Keys() {
  useShortcuts([
    ['mod+k', 'Go to a session', () => (switcherOpen.value = true)],
    ['g i', 'Inbox', go('#/inbox')],
    ['g s', 'Sessions', go('#/')],
    ['g d', 'Diagnostics', go('#/diagnostics')],
    ['/', 'Search', go('#/search')],
    ['?', 'These shortcuts', () => (helpOpen.value = true)],
  ]);
  const close = () => (helpOpen.value = false);
  // Of the same keys the newest holds.
  const list = [...new Map(shortcuts.value.map((s) => [s.keys, s])).values()];
  return (
    <Dialog open={helpOpen.value} title="Keyboard shortcuts" onClose={close}>
      <ul class="keys">
        {list.map((s) => (
          <li key={s.keys}>
            {s.label}
            <KeyNames keys={s.keys} />
          </li>
        ))}
      </ul>
    </Dialog>
  );
}

const names: Record<string, string> = { mod: /mac|iphone|ipad/i.test(navigator.platform) ? '⌘' : 'Ctrl', shift: 'Shift', alt: 'Alt', ArrowDown: '↓', ArrowUp: '↑', ArrowLeft: '←', ArrowRight: '→', Escape: 'Esc', ' ': 'Space' };

/** Keys as they stand on a keyboard. */
export function KeyNames({ keys }: { keys: string }) {
  const steps = keys === ' ' ? [' '] : keys.split(' ');
  return (
    <span>
      {steps.map((step, i) => (
        <>
          {i > 0 && <span class="then">then</span>}
          {step.split('+').map((key) => (
            <kbd class="kbd">{names[key] ?? (key.length === 1 ? key.toUpperCase() : key)}</kbd>
          ))}
        </>
      ))}
    </span>
  );
}
