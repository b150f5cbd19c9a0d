import type { Ack, Pending } from '@konlog/client';
import type { Section } from '@konlog/client/view';
import { useState } from 'preact/hooks';
import { clip, plural } from '../parts/format';
import { Icon } from '../parts/Icon';
import { refusal } from './answers';
import type { Actions } from './context';

/** Prompts in the queue that are listed. */
const queueShown = 20;

interface OutboxProps {
  session: string;
  actions: Actions;
  /** Taken by the server, not seen in the log yet. */
  landing: readonly { ack: Ack; text: string }[];
}

/** Prompts that the log does not have yet: on their way, waiting for the server, or refused by it. */
export function Outbox({ session, actions, landing }: OutboxProps) {
  const mine = actions.pending.value.filter((p) => p.session === session && p.command === 'prompt');
  if (mine.length === 0 && landing.length === 0) return null;
  return (
    <ul class="outbox" aria-label="Prompts on their way">
      {landing.map(({ ack, text }) => (
        <li key={`landed${ack.id}`} class="pending" data-testid="pending" data-state="sent">
          <span class="pending-text">{clip(text, 200)}</span>
          <span class="pending-state">sent</span>
        </li>
      ))}
      {mine.map((p) => (
        <PendingRow key={p.key} pending={p} actions={actions} />
      ))}
    </ul>
  );
}

const states = { waiting: 'waits for the server', signedOut: 'waits for your sign-in', sending: 'sending…', refused: 'refused' } as const;

function PendingRow({ pending, actions }: { pending: Pending; actions: Actions }) {
  const { body, state, problem, session, key } = pending;
  const images = Array.isArray(body.images) ? body.images.length : 0;
  const steered = state === 'refused' && typeof body.requestId === 'string' && problem?.code === 'turn_ended';
  const anew = () => {
    const { requestId: _turn, source: _source, ...rest } = body;
    actions.drop(key);
    void actions.send({ session, command: 'prompt', body: rest }).catch(() => undefined);
  };
  return (
    <li class={`pending ${state}`} data-testid="pending" data-state={state} data-stored={pending.stored === true}>
      <span class="pending-text">
        {clip(String(body.text ?? ''), 200)}
        {images > 0 && <span class="dim"> {plural(images, 'image')}</span>}
      </span>
      <span class="pending-state">
        {states[state === 'waiting' && actions.signedOut?.value ? 'signedOut' : state]}
        {state === 'refused' && `: ${refusal(problem)}`}
      </span>
      {state === 'refused' && (
        <span class="pending-actions">
          {steered ? (
            <button type="button" class="button" onClick={anew}>
              Send as a new prompt
            </button>
          ) : (
            <button type="button" class="button" onClick={() => actions.retry(key)}>
              Try again
            </button>
          )}
        </span>
      )}
      {state !== 'sending' && (
        <button type="button" class="icon-button" aria-label="Drop this prompt" title="Drop this prompt" onClick={() => actions.drop(key)}>
          <Icon name="close" />
        </button>
      )}
    </li>
  );
}

/** Prompts in the log that wait for their turn; each can still be taken back. */
export function Queue({ session, actions, queued, total }: { session: string; actions: Actions; queued: readonly Section[]; total: number }) {
  const all = Math.max(total, queued.length);
  if (all === 0) return null;
  return (
    <details class="queue" data-testid="queued" data-count={all}>
      <summary>{plural(all, 'prompt')} in the queue</summary>
      <ol>
        {queued.slice(0, queueShown).map((section) => (
          <Queued key={section.turn} section={section} session={session} actions={actions} />
        ))}
      </ol>
      {all > Math.min(queued.length, queueShown) && <p class="dim">{plural(all - Math.min(queued.length, queueShown), 'further prompt')} behind them or further back.</p>}
    </details>
  );
}

function Queued({ section, session, actions }: { section: Section; session: string; actions: Actions }) {
  const [state, setState] = useState<'' | 'asked' | string>('');
  const why = actions.why?.(session) ?? '';
  const cancel = () => {
    setState('asked');
    actions.send({ session, command: 'stop', body: { requestId: section.turn } }).catch((reason) => setState(refusal(reason)));
  };
  return (
    <li data-turn={section.turn}>
      <span>{clip(section.prompt, 160) || 'A prompt without text'}</span>
      {state && state !== 'asked' && <span class="bad">{state}</span>}
      <button type="button" class="button" disabled={state === 'asked' || why !== ''} title={why} onClick={cancel}>
        {state === 'asked' ? 'Taking back…' : 'Take back'}
      </button>
    </li>
  );
}
