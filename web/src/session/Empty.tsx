import type { Problem } from '@konlog/client';
import { useState } from 'preact/hooks';
import { writeTrouble } from '../account/account';
import { connection } from '../app/connection';
import { Command } from '../parts/Command';
import { Icon } from '../parts/Icon';
import { refusal } from './answers';

/** Until the first page is there. */
export function Skeleton() {
  return (
    <div class="skeleton" role="status" data-testid="conversation" data-phase="loading">
      <span class="visually-hidden">Loading the conversation</span>
      <i />
      <i />
      <i />
    </div>
  );
}

/** There is no such session, yet. */
export function Missing({ session, onMade }: { session: string; onMade: () => void }) {
  const [trouble, setTrouble] = useState('');
  const [busy, setBusy] = useState(false);
  const why = writeTrouble(session);
  const make = async () => {
    setBusy(true);
    try {
      await connection.request('PUT', `/v1/sessions/${encodeURIComponent(session)}`);
      onMade();
    } catch (reason) {
      setTrouble(refusal(reason));
      setBusy(false);
    }
  };
  return (
    <div class="empty" data-testid="conversation" data-phase="missing">
      <Icon name="search" />
      <h2>There is no session “{session}”</h2>
      {why ? (
        <p>It was deleted, nobody has written to it yet, or your access does not reach it.</p>
      ) : (
        <>
          <p>It was deleted, or nobody has written to it yet. The first event makes it:</p>
          <Command text={`konlog append ${quoted(session)} --server ${connection.url.origin} --type text --data '{"text":"Hello"}'`} />
        </>
      )}
      <p class="empty-actions">
        {!why && (
          <button type="button" class="button primary" disabled={busy} onClick={make}>
            Make it now
          </button>
        )}
        <a class="button" href="#/">
          All sessions
        </a>
      </p>
      {trouble && (
        <p class="problem" role="alert">
          {trouble}
        </p>
      )}
    </div>
  );
}

function quoted(word: string): string {
  return /^[\w.:-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** The session cannot be read. */
export function Trouble({ problem, onAgain }: { problem: Problem | undefined; onAgain: () => void }) {
  return (
    <div class="problem session-trouble" role="alert">
      <Icon name="warning" />
      <span>
        {problem?.detail || problem?.title || 'The session cannot be read.'}{' '}
        <button type="button" class="button" onClick={onAgain}>
          Try again
        </button>
      </span>
    </div>
  );
}
