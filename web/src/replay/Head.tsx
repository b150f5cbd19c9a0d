import type { ComponentChildren } from 'preact';
import { useEffect } from 'preact/hooks';
import { link } from '../app/route';
import { Icon, type IconName } from '../parts/Icon';
import { isTerminal, rowOf, want } from '../sessions/store';
import './head.css';

const VIEWS: { view: '' | 'replay' | 'events' | 'timing'; label: string; icon: IconName }[] = [
  { view: '', label: 'Conversation', icon: 'question' },
  { view: 'events', label: 'Events', icon: 'list' },
  { view: 'timing', label: 'Timing', icon: 'chart' },
  { view: 'replay', label: 'Replay', icon: 'history' },
];

/** The head of a page about one session: which one, and the other ways to look at it. */
export function Head({ session, view, children }: { session: string; view: 'replay' | 'events' | 'timing'; children?: ComponentChildren }) {
  useEffect(() => void want(session), [session]);
  return (
    <header class="head">
      <h1 title={session}>{rowOf(session).value?.title || session}</h1>
      <nav class="head-views" aria-label="Views of the session">
        {VIEWS.map((v) => {
          const label = v.view === '' && isTerminal(session) ? 'Terminal' : v.label;
          return (
            <a key={v.view} href={link(session, v.view)} aria-current={v.view === view ? 'page' : undefined} title={label} aria-label={label}>
              <Icon name={v.icon} />
              <span class="head-label">{label}</span>
            </a>
          );
        })}
      </nav>
      {children && <div class="head-more">{children}</div>}
    </header>
  );
}

/** Something did not go; what it was and a way on. */
export function Trouble({ text, onRetry }: { text: string; onRetry?: () => void }) {
  return (
    <div class="problem" role="alert">
      <Icon name="warning" />
      <span class="head-trouble">{text}</span>
      {onRetry && (
        <button type="button" class="button" onClick={onRetry}>
          Try again
        </button>
      )}
    </div>
  );
}
