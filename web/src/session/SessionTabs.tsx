import { link } from '../app/route';
import { isTerminal } from '../sessions/store';

const views = [
  ['', 'Conversation'],
  ['events', 'Events'],
  ['timing', 'Timing'],
  ['replay', 'Replay'],
] as const;

/** The ways to look at a session. */
export function SessionTabs({ session, now }: { session: string; now: (typeof views)[number][0] }) {
  return (
    <nav class="session-tabs" aria-label="Views of the session">
      {views.map(([view, label]) => (
        <a key={view} href={link(session, view)} aria-current={view === now ? 'page' : undefined}>
          {view === '' && isTerminal(session) ? 'Terminal' : label}
        </a>
      ))}
    </nav>
  );
}
