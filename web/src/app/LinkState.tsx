import type { ConnectionState } from '@konlog/client';
import { useSignal } from '@preact/signals';
import { useId, useRef } from 'preact/hooks';
import { Icon } from '../parts/Icon';
import { place } from '../parts/Menu';
import { seconds } from '../parts/clock';
import { count } from '../parts/format';
import { connection, connectionState, pending } from './connection';
import { calm, downgradeWords, positions, stateWords, transportNames, transportShort } from './linkstate';
import { route } from './route';

/** The connection at one look, and all about it at a press. Never says anything of turns. */
export function LinkState() {
  const id = useId();
  const button = useRef<HTMLButtonElement>(null);
  const pop = useRef<HTMLDivElement>(null);
  const open = useSignal(false);
  const { transport, phase } = connectionState.value;
  const quiet = calm.value;
  return (
    <>
      <button
        ref={button}
        type="button"
        class="link-state"
        data-phase={phase}
        data-calm={quiet ? 'yes' : 'no'}
        popovertarget={id}
      >
        <span class="link-dot" />
        <span class="visually-hidden">Connection: {stateWords.value}, </span>
        <span data-testid="transport" data-transport={transport} data-phase={phase}>
          {transportShort[transport]}
        </span>
        {!quiet && <span data-testid="reconnecting">{phase === 'offline' ? 'Offline' : 'Reconnecting'}</span>}
      </button>
      <div
        ref={pop}
        id={id}
        popover="auto"
        class="menu link-pop"
        role="dialog"
        aria-label="Connection"
        onToggle={(e) => {
          open.value = e.newState === 'open';
          if (open.value) place(button.current, pop.current);
        }}
      >
        {open.value && <LinkDetails />}
      </div>
    </>
  );
}

function troubleWords({ phase, trouble, problem }: ConnectionState): string | undefined {
  if (phase === 'unauthorized') return `${problem?.detail} What you send is kept, and goes out when you have signed in.`;
  return phase === 'live' ? undefined : trouble;
}

function LinkDetails() {
  const { transport, phase, attempt, retryAt, downgrade } = connectionState.value;
  const trouble = troubleWords(connectionState.value);
  const at = route.value;
  const session = 'session' in at ? at.session : '';
  const position = positions.get(session);
  const left = retryAt === undefined ? 0 : Math.max(0, Math.ceil((retryAt - seconds.value) / 1000));
  const waiting = pending.value.length;
  return (
    <>
      <h2>{stateWords.value}</h2>
      {downgrade && <p>{downgradeWords(downgrade)} It is tried again from time to time.</p>}
      {trouble && <p>{trouble}</p>}
      {phase === 'offline' && <p>What you send is kept, and goes out when the device is online again.</p>}
      <dl>
        <dt>Transport</dt>
        <dd>{transportNames[transport]}</dd>
        {position && (
          <>
            <dt>Last event</dt>
            <dd data-volatile>
              {count(position.last)} of {count(position.head)}
              {position.head > position.last && `, ${count(position.head - position.last)} to come`}
            </dd>
          </>
        )}
        {phase !== 'live' && attempt > 0 && (
          <>
            <dt>Attempts</dt>
            <dd>{count(attempt)}</dd>
          </>
        )}
        {phase === 'waiting' && (
          <>
            <dt>Next try</dt>
            <dd data-volatile>{left > 0 ? `in ${left} s` : 'now'}</dd>
          </>
        )}
        {waiting > 0 && (
          <>
            <dt>To be sent</dt>
            <dd>{count(waiting)}</dd>
          </>
        )}
      </dl>
      <div class="row">
        {phase !== 'live' && phase !== 'unauthorized' && (
          <button type="button" class="button primary" onClick={() => connection.reconnect()}>
            <Icon name="refresh" />
            Retry now
          </button>
        )}
        <a class="button" href="#/diagnostics">
          <Icon name="pulse" />
          Diagnostics
        </a>
      </div>
    </>
  );
}
