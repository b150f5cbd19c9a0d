import { Icon, type IconName } from '../parts/Icon';
import { badges, type BadgeName } from './badges';
import type { Row } from './model';
import './sessions.css';

/** Each state has a word and a shape of its own: colour is never alone. */
export const states: Record<BadgeName, { label: string; icon: IconName | '' }> = {
  'needs-you': { label: 'Needs you', icon: 'question' },
  kontask: { label: 'Kontask waits', icon: 'kontask' },
  failed: { label: 'Failed', icon: 'warning' },
  unread: { label: 'Finished, unread', icon: '' },
  working: { label: 'Working', icon: '' },
};

/** The one state of a session that matters most. */
export function StateDot({ row }: { row: Row | undefined }) {
  const state = row ? (badges(row)[0] ?? (row.closed ? 'closed' : 'idle')) : 'idle';
  const known = state in states ? states[state as BadgeName] : undefined;
  const icon = state === 'closed' ? 'lock' : known?.icon;
  return (
    <span class="state-dot" data-state={state} title={known?.label ?? (state === 'closed' ? 'Closed' : 'Idle')}>
      {icon ? <Icon name={icon} /> : <i />}
      <span class="visually-hidden">{known?.label ?? (state === 'closed' ? 'Closed' : '')}</span>
    </span>
  );
}
