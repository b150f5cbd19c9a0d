import { useSignal } from '@preact/signals';
import { Dialog } from '../parts/Dialog';
import { Icon } from '../parts/Icon';
import { signedOut } from './account';
import { SignInForm } from './SignIn';

/** Says that nothing new comes, over what there is to read. */
export function SignedOut() {
  const open = useSignal(false);
  if (!signedOut.value) return null;
  return (
    <>
      <div class="banner" role="status" data-testid="signed-out">
        <Icon name="lock" />
        <span>Signed out: sign in to go on.</span>
        <button type="button" class="button" onClick={() => (open.value = true)}>
          Sign in
        </button>
      </div>
      <Dialog open={open.value} title="Sign in to go on" onClose={() => (open.value = false)}>
        <SignInForm onDone={() => (open.value = false)} />
      </Dialog>
    </>
  );
}
