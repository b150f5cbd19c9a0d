import { questionOptions } from '@konlog/client/view';
import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { signedOut, writeTrouble } from '../account/account';
import { announce } from '../app/announce';
import { connection, pending } from '../app/connection';
import { link } from '../app/route';
import { Ago } from '../parts/Ago';
import { Badge } from '../parts/Badge';
import { clip } from '../parts/format';
import { Icon, type IconName } from '../parts/Icon';
import { byHere, pendingFate, refusal } from '../session/answers';
import { choicesOf } from '../session/choices';
import { waitingWords } from '../session/context';
import { markAllSeen } from '../sessions/store';
import { subject, type Card, type Entry, type Question } from './items';

const SUBJECT_MAX = 600;

/** One thing that waits. It goes when the feed says that it does not wait any more. */
export function EntryRow({ entry }: { entry: Entry }) {
  switch (entry.kind) {
    case 'question':
      return <QuestionRow entry={entry} question={entry.question} />;
    case 'kontask':
      return <KontaskRow entry={entry} card={entry.card} />;
    case 'failed':
    case 'ended': {
      const { success, reason, id } = entry.ended;
      const stopped = reason === 'stopped';
      return (
        <Row entry={entry} at={id} icon={success ? 'check' : stopped ? 'stop' : 'warning'} tone={success ? 'ok' : stopped ? '' : 'bad'} what={success ? 'Finished' : stopped ? 'Stopped' : `Failed${reason && reason !== 'error' ? `: ${reason}` : ''}`} brief>
          <button type="button" class="icon-button" aria-label="Mark as seen" title="Mark as seen" onClick={() => void markAllSeen([{ session: entry.session.id, id }])}>
            <Icon name="check" />
          </button>
        </Row>
      );
    }
  }
}

function QuestionRow({ entry, question }: { entry: Entry; question: Question }) {
  const send = useSend(entry.session.id, 'answer', question.requestId);
  const options = questionOptions(question.options);
  const yes = options.filter((o) => !o.denies);
  const no = options.filter((o) => o.denies);
  const about = subject(question.input);
  const answer = (allow: boolean, option?: unknown) => send.run({ requestId: question.requestId, allow, by: byHere(), ...(option !== undefined && { option }) }, allow ? 'Allowed' : 'Denied');
  return (
    <Row entry={entry} at={question.id} icon="question" tone="warn" what={question.tool ? `Asks to use ${question.tool}` : 'Asks you'} marks={{ 'data-item': 'question', 'data-request': question.requestId }}>
      {about && <pre class="inbox-about">{clip(about, SUBJECT_MAX)}</pre>}
      <div class="row">
        {(yes.length > 0 ? yes : [{ label: 'Allow', value: undefined }]).map((o, i) => (
          <button key={i} type="button" class={`button ${yes.length === 0 ? 'primary' : ''}`} data-testid={i === 0 ? 'allow' : undefined} disabled={send.busy} onClick={() => answer(true, o.value)}>
            {o.label}
          </button>
        ))}
        {(no.length > 0 ? no : [{ label: 'Deny', value: undefined }]).map((o, i) => (
          <button key={i} type="button" class="button danger" data-testid={i === 0 ? 'deny' : undefined} disabled={send.busy} onClick={() => answer(false, o.value)}>
            {o.label}
          </button>
        ))}
      </div>
      <Said send={send} />
    </Row>
  );
}

function KontaskRow({ entry, card }: { entry: Entry; card: Card }) {
  const send = useSend(entry.session.id, 'choose', card.kontaskId);
  return (
    <Row entry={entry} at={card.ready} icon="kontask" tone="accent" what={card.title || 'Kontask'} badge={card.status} marks={{ 'data-item': 'kontask', 'data-kontask': card.kontaskId }}>
      {card.description && <p class="dim">{clip(card.description, SUBJECT_MAX)}</p>}
      <div class="row">
        {choicesOf(card.choices).map((o, i) => (
          <button key={i} type="button" class={`button ${o.primary ? 'primary' : ''}`} data-choice={o.value} title={o.value} disabled={send.busy} onClick={() => send.run({ kontaskId: card.kontaskId, choice: o.value }, `Chosen: ${o.label}`)}>
            {o.label}
          </button>
        ))}
        <a class="button quiet" href={link(entry.session.id, '', { id: card.ready })}>
          Open the card
        </a>
      </div>
      <Said send={send} />
    </Row>
  );
}

interface RowProps {
  entry: Entry;
  /** The event to go to. */
  at: number;
  icon: IconName;
  tone: string;
  what: string;
  badge?: string | undefined;
  marks?: Record<string, string>;
  brief?: boolean;
  children: ComponentChildren;
}

/** brief: a result is told by its session's name, what asks for more by what it asks. */
function Row({ entry, at, icon, tone, what, badge, marks = {}, brief = false, children }: RowProps) {
  const { session, time } = entry;
  const name = (
    <a class="inbox-session" href={link(session.id, '', { id: at })}>
      {session.title || session.id}
    </a>
  );
  return (
    <li class={`inbox-row ${brief ? 'brief' : ''}`} data-session={session.id} {...marks}>
      <span class={`inbox-icon ${tone}`}>
        <Icon name={icon} />
      </span>
      <div class="inbox-body">
        <p class="inbox-line">
          {brief ? name : <b>{what}</b>}
          {badge && <Badge>{badge}</Badge>}
          <Ago time={time} />
        </p>
        {brief ? <span class="inbox-what">{what}</span> : name}
        {!brief && children}
      </div>
      {brief && children}
    </li>
  );
}

function Said({ send }: { send: Send }) {
  if (send.trouble) return <p class="problem" role="alert">{send.trouble}</p>;
  const say = send.waiting ? waitingWords({ signedOut }) : send.why;
  return say ? <p class="dim" role="status">{say}</p> : null;
}

type Send = ReturnType<typeof useSend>;

/** Sends a command once at a time, also when it waits since before a reload. The row stays until the feed takes it away, so nothing is claimed too early. */
function useSend(session: string, command: 'answer' | 'choose', about: string) {
  const sent = useSignal(false);
  const trouble = useSignal('');
  const kept = pendingFate(pending.value, session, command, about);
  const why = writeTrouble(session);
  return {
    busy: sent.value || kept?.state === 'pending' || why !== '',
    why,
    waiting: kept?.state === 'pending' && kept.waiting,
    trouble: trouble.value || (kept?.state === 'refused' ? kept.say : ''),
    async run(body: Record<string, unknown>, said: string) {
      if (kept?.state === 'refused' && kept.key) connection.dropPending(kept.key);
      sent.value = true;
      trouble.value = '';
      try {
        const { duplicate } = await connection.send({ session, command, body });
        announce(duplicate ? 'It was answered before, elsewhere' : said);
      } catch (error) {
        trouble.value = refusal(error);
        sent.value = false;
      }
    },
  };
}
