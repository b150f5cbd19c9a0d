import { createTrouble } from '../account/account';
import { KeyNames } from '../app/Keys';
import { plural } from '../parts/format';
import { Icon } from '../parts/Icon';
import { FirstRun } from './FirstRun';
import { listState, needsYou, tally, total } from './store';
import { asking } from './actions';

/** The main area while no session is open. */
export function Home() {
  if (listState.value.phase !== 'ready') return null;
  if (total.value === 0) return <FirstRun />;
  const waiting = needsYou.value;
  const { working, unread } = tally.value;
  return (
    <div class="empty home">
      <Icon name={waiting ? 'question' : 'terminal'} />
      <h2>{waiting ? `${plural(waiting, 'session')} ${waiting === 1 ? 'needs' : 'need'} you` : 'No session is open'}</h2>
      <p>
        {working > 0 ? `${plural(working, 'session')} working. ` : ''}
        {unread > 0 ? `${plural(unread, 'session')} unread.` : ''}
        {!working && !unread && 'Choose one from the list.'}
      </p>
      <p class="row">
        {waiting + unread > 0 && (
          <a class="button primary" href="#/inbox">
            <Icon name="inbox" />
            Open the inbox
          </a>
        )}
        <button type="button" class="button" disabled={createTrouble.value !== ''} title={createTrouble.value} onClick={() => (asking.value = { kind: 'new' })}>
          <Icon name="plus" />
          New session
        </button>
      </p>
      {createTrouble.value && <p class="dim">{createTrouble.value}</p>}
      <p class="home-keys">
        <span>
          <KeyNames keys="j" /> <KeyNames keys="k" /> move
        </span>
        <span>
          <KeyNames keys="mod+k" /> go to
        </span>
        <span>
          <KeyNames keys="/" /> search
        </span>
        <span>
          <KeyNames keys="?" /> all keys
        </span>
      </p>
    </div>
  );
}
