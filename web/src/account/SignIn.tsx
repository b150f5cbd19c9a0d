import { useSignal } from '@preact/signals';
import { useEffect, useId, useRef } from 'preact/hooks';
import { announce } from '../app/announce';
import { connectionState } from '../app/connection';
import { Command } from '../parts/Command';
import { Icon } from '../parts/Icon';
import { SignInError, signIn } from './account';
import './account.css';

/** The whole page while nothing may be shown. The address keeps the place, which opens afterwards. */
export function SignInPage() {
  return (
    <main class="sign-in" data-testid="sign-in">
      <h1>
        <Icon name="lock" />
        Sign in to konlog
      </h1>
      <SignInForm />
    </main>
  );
}

/** Takes a token. It lives in the field alone, and goes from there when it was sent. */
export function SignInForm({ onDone }: { onDone?: () => void }) {
  const field = useRef<HTMLInputElement>(null);
  const busy = useSignal(false);
  const trouble = useSignal('');
  const ids = { say: useId(), trouble: useId() };
  useEffect(() => field.current?.focus(), []);
  const submit = async (e: Event) => {
    e.preventDefault();
    const input = field.current;
    if (!input || busy.value) return;
    if (input.value.trim() === '') {
      trouble.value = 'Paste a token first.';
      return input.focus();
    }
    [busy.value, trouble.value] = [true, ''];
    try {
      await signIn(input.value);
      input.value = '';
      onDone?.();
      announce('Signed in');
      // What had the focus is gone.
      requestAnimationFrame(() => document.getElementById('main')?.focus());
    } catch (error) {
      trouble.value = error instanceof SignInError ? error.message : 'The server does not answer. Try again when it is back.';
      input.select();
    } finally {
      busy.value = false;
    }
  };
  const said = connectionState.value.problem?.code === 'unauthorized' ? 'This server asks who you are.' : 'Something before the server asks who you are.';
  return (
    <form class="form sign-in-form" onSubmit={submit}>
      <p class="dim" id={ids.say}>
        {said} Paste an access token: it is exchanged for a cookie, and not kept by this page.
      </p>
      <label class="label">
        Access token
        <input ref={field} class="field" type="password" name="token" autocomplete="current-password" spellcheck={false} autocapitalize="off" aria-describedby={`${ids.say} ${ids.trouble}`} aria-invalid={trouble.value !== ''} data-testid="token" />
      </label>
      <p class={trouble.value ? 'problem' : ''} id={ids.trouble} role="alert">
        {trouble.value}
      </p>
      <button type="submit" class="button primary" disabled={busy.value}>
        {busy.value ? 'Signing in…' : 'Sign in'}
      </button>
      <details class="sign-in-how">
        <summary>How to make a token</summary>
        <p>Where the server runs, for somebody who may see and change every session:</p>
        <Command text="konlog token create --name me --read '*' --write '*'" />
        <p>To read only, leave out --write. Signed web tokens (JWT) work as well where the server is set up for them.</p>
      </details>
    </form>
  );
}
