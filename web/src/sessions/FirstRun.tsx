import { useSignal } from '@preact/signals';
import { createTrouble } from '../account/account';
import { Command } from '../parts/Command';
import { Icon } from '../parts/Icon';
import { create, troubleWords } from './actions';

/** What is shown while there is no session at all: how to get the first one. */
export function FirstRun() {
  const text = useSignal('');
  const trouble = useSignal('');
  const send = async (e: Event) => {
    e.preventDefault();
    const prompt = text.value.trim();
    if (!prompt) return;
    try {
      await create({ id: '', title: '', prompt });
    } catch (error) {
      trouble.value = troubleWords(error);
    }
  };
  if (createTrouble.value) {
    return (
      <section class="first-run" aria-labelledby="first-run">
        <h2 id="first-run">Nothing here yet</h2>
        <p class="dim">There is no session that your access reaches. One that is made by somebody else is shown here as it comes.</p>
      </section>
    );
  }
  const curl = `curl ${location.origin}/v1/sessions/demo/events \\\n  -d '{"type":"text","data":{"text":"Hello"}}'`;
  return (
    <section class="first-run" aria-labelledby="first-run">
      <h2 id="first-run">Nothing here yet</h2>
      <p class="dim">Append the first event from any shell, and it is shown here as it comes:</p>
      <Command text={curl} />
      <p class="dim">Or feed it what an agent says, line by line:</p>
      <Command text={`claude -p "hello" --output-format stream-json --verbose | konlog ingest demo --server ${location.origin}`} />
      <p class="dim">Or look at all of it in half a minute:</p>
      <Command text="konlog demo --keep" />
      <form class="form" onSubmit={send}>
        <label class="label">
          Or begin with a prompt
          <textarea class="field" rows={3} value={text.value} onInput={(e) => (text.value = e.currentTarget.value)} placeholder="What should be done?" />
        </label>
        {trouble.value && (
          <p class="problem" role="alert">
            {trouble.value}
          </p>
        )}
        <div>
          <button type="submit" class="button primary" disabled={!text.value.trim()}>
            <Icon name="send" />
            Start a session
          </button>
        </div>
      </form>
    </section>
  );
}
