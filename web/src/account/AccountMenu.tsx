import { useSignal } from '@preact/signals';
import { useId, useRef } from 'preact/hooks';
import { moment } from '../parts/format';
import { Icon } from '../parts/Icon';
import { place } from '../parts/Menu';
import { account, signedOut, signOut } from './account';
import { patternWords } from './may';

/** Who is signed in, what they may do, and the way out. Not there where the server asks nobody. */
export function AccountMenu() {
  const id = useId();
  const button = useRef<HTMLButtonElement>(null);
  const pop = useRef<HTMLDivElement>(null);
  const open = useSignal(false);
  const who = account.value;
  if (!who) return null;
  return (
    <>
      <button ref={button} type="button" class="icon-button" data-testid="account" aria-label={`Signed in as ${who.subject}`} title={`Signed in as ${who.subject}`} popovertarget={id}>
        <Icon name="user" />
      </button>
      <div
        ref={pop}
        id={id}
        popover="auto"
        class="menu link-pop account-pop"
        role="dialog"
        aria-label="Account"
        onToggle={(e) => {
          open.value = e.newState === 'open';
          if (open.value) place(button.current, pop.current);
        }}
      >
        {open.value && <Details close={() => pop.current?.hidePopover()} />}
      </div>
    </>
  );
}

function Details({ close }: { close: () => void }) {
  const busy = useSignal(false);
  const trouble = useSignal('');
  const who = account.value;
  if (!who) return null;
  const also = [who.admin && 'administration', who.metrics && 'metrics', who.shell && 'shells'].filter((word) => word !== false);
  const leave = async () => {
    [busy.value, trouble.value] = [true, ''];
    try {
      await signOut();
      close();
    } catch {
      trouble.value = 'The server is not reached, so you are still signed in. Try again when it is back.';
    } finally {
      busy.value = false;
    }
  };
  return (
    <>
      <h2>{who.subject}</h2>
      <dl>
        <dt>Reads</dt>
        <dd>{patternWords(who.read)}</dd>
        <dt>Writes</dt>
        <dd>{patternWords(who.write)}</dd>
        {also.length > 0 && (
          <>
            <dt>Also</dt>
            <dd>{also.join(', ')}</dd>
          </>
        )}
        {who.expiresAt && (
          <>
            <dt>Until</dt>
            <dd>{moment(who.expiresAt)}</dd>
          </>
        )}
      </dl>
      {trouble.value && (
        <p class="problem" role="alert">
          {trouble.value}
        </p>
      )}
      {!signedOut.value && (
        <button type="button" class="button" data-testid="sign-out" disabled={busy.value} onClick={leave}>
          Sign out
        </button>
      )}
    </>
  );
}
