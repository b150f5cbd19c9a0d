import type { QuestionItem } from '@konlog/client/view';
import { useState } from 'preact/hooks';
import { announce } from '../app/announce';
import { Code } from '../parts/Code';
import { Diff, Patch } from '../parts/Diff';
import { moment, timeOfDay } from '../parts/format';
import { Icon } from '../parts/Icon';
import { Json } from '../parts/Json';
import { byHere, fateOf, pendingFate, refusal, type Fate } from './answers';
import type { Actions } from './context';
import { editsOf, record } from './edits';
import { useView } from './hooks';
import { Permalink } from './Permalink';
import { commandOf } from './tooltext';

/** Characters of the word that goes with a denial. */
const messageMax = 4_000;

interface Answer {
  allow: boolean;
  option?: unknown;
  message?: string;
}

/** A question of the agent, with its answer or the buttons to give one. */
export function Question({ item }: { item: QuestionItem }) {
  const { actions } = useView();
  return (
    <article class={`question ${item.open ? 'open' : ''}`} data-item="question" data-id={item.id} data-request={item.requestId} aria-label={`Permission: ${item.tool}`}>
      <header>
        <Icon name="question" />
        <span class="fold-name">{item.open ? 'May it do this?' : 'Permission'}</span>
        <code>{item.tool || 'tool'}</code>
        <time dateTime={item.time} title={moment(item.time)}>
          {timeOfDay(item.time)}
        </time>
        <span class="item-actions">
          <Permalink id={item.id} />
        </span>
      </header>
      {(item.open || !item.answer) && <Asked item={item} />}
      {item.answer ? <Given item={item} answer={item.answer} /> : item.open ? actions ? <Ask item={item} actions={actions} /> : <p class="answer">Not answered yet.</p> : <p class="answer">The turn ended without an answer.</p>}
    </article>
  );
}

/** What it wants to do. */
function Asked({ item }: { item: QuestionItem }) {
  const edits = editsOf(item.tool, item.input, undefined);
  const command = commandOf(item.input);
  const said = record(item.input)?.description;
  return (
    <div class="question-input">
      {item.redacted && <p class="tool-note">What it asked was redacted.</p>}
      {typeof said === 'string' && <p class="tool-note">{said}</p>}
      {edits.length > 0
        ? edits.map((edit, i) => ('patch' in edit ? <Patch key={i} patch={edit.patch} path={edit.path} /> : <Diff key={i} before={edit.before} after={edit.after} path={edit.path} />))
        : command !== undefined
          ? <Code text={command} language="bash" />
          : item.input !== undefined && item.input !== null && <Json value={item.input} open={3} />}
    </div>
  );
}

function Given({ item, answer }: { item: QuestionItem; answer: NonNullable<QuestionItem['answer']> }) {
  const chosen = item.options.find((o) => same(o.value, answer.option));
  return (
    <p class={`answer ${answer.allow ? 'allowed' : 'denied'}`} data-answer={answer.allow ? 'allow' : 'deny'}>
      <Icon name={answer.allow ? 'check' : 'close'} />
      <span>
        <b>{answer.allow ? 'Allowed' : 'Denied'}</b>
        {chosen && ` (${chosen.label})`}
        {answer.by && ` by ${answer.by}`}{' '}
        <time dateTime={answer.time} title={moment(answer.time)}>
          {timeOfDay(answer.time)}
        </time>
        {answer.message && <span class="answer-message">{answer.message}</span>}
      </span>
    </p>
  );
}

function Ask({ item, actions }: { item: QuestionItem; actions: Actions }) {
  const { session } = useView();
  const [fate, setFate] = useState<Fate>({ state: 'none' });
  const [denying, setDenying] = useState(false);
  const kept = pendingFate(actions.pending.value, session, 'answer', item.requestId);
  const now: Fate = kept ?? fate;
  const give = async (answer: Answer) => {
    if (now.state === 'pending') return;
    if (kept?.state === 'refused' && kept.key) actions.drop(kept.key);
    setFate({ state: 'pending', waiting: false, key: '' });
    try {
      const ack = await actions.send({ session, command: 'answer', body: { requestId: item.requestId, ...answer, by: byHere() } });
      const came = fateOf(ack, (first) => first.allow === answer.allow && same(first.option, answer.option));
      setFate(came);
      announce(came.state === 'late' ? 'Somebody else had answered first' : answer.allow ? 'Allowed' : 'Denied');
    } catch (reason) {
      setFate({ state: 'refused', say: refusal(reason), key: undefined });
    }
  };
  if (now.state === 'late') return <Late data={now.data} />;
  const busy = now.state === 'pending' || now.state === 'taken';
  return (
    <div class="ask" onKeyDown={(e) => askKeys(e, give, busy)}>
      <Buttons item={item} busy={busy} give={give} deny={() => setDenying(true)} denying={denying} />
      {denying && !busy && <Deny give={give} cancel={() => setDenying(false)} />}
      <p class="ask-state" role="status">
        {now.state === 'pending' && (now.waiting ? 'Kept here; it is sent when the server is back.' : 'Sending…')}
        {now.state === 'taken' && 'Sent.'}
        {now.state === 'refused' && now.say}
      </p>
    </div>
  );
}

/** Letters while the focus is in the question: y or a allows, n or d denies. */
function askKeys(e: KeyboardEvent, give: (answer: Answer) => void, busy: boolean): void {
  if (busy || e.ctrlKey || e.metaKey || e.altKey || (e.target as HTMLElement).closest('textarea, input')) return;
  if (e.key === 'y' || e.key === 'a') give({ allow: true });
  else if (e.key === 'n' || e.key === 'd') give({ allow: false });
  else return;
  e.preventDefault();
  e.stopPropagation();
}

interface ButtonsProps {
  item: QuestionItem;
  busy: boolean;
  give: (answer: Answer) => void;
  deny: () => void;
  denying: boolean;
}

function Buttons({ item, busy, give, deny, denying }: ButtonsProps) {
  const options = item.options.map((o) => ({ ...o, allow: !denies(o) }));
  const yes = options.filter((o) => o.allow);
  const no = options.filter((o) => !o.allow);
  return (
    <div class="ask-buttons">
      {yes.length === 0 && (
        <button type="button" class="button primary" data-testid="allow" disabled={busy} onClick={() => give({ allow: true })}>
          Allow
        </button>
      )}
      {yes.map((option, i) => (
        <button key={i} type="button" class={`button ${i === 0 ? 'primary' : ''}`} data-testid={i === 0 ? 'allow' : undefined} disabled={busy} onClick={() => give({ allow: true, option: option.value })}>
          {option.label}
        </button>
      ))}
      {no.length === 0 && (
        <button type="button" class="button" data-testid="deny" disabled={busy} onClick={() => give({ allow: false })}>
          Deny
        </button>
      )}
      {no.map((option, i) => (
        <button key={i} type="button" class="button" data-testid={i === 0 ? 'deny' : undefined} disabled={busy} onClick={() => give({ allow: false, option: option.value })}>
          {option.label}
        </button>
      ))}
      {!denying && (
        <button type="button" class="button quiet" disabled={busy} onClick={deny}>
          Deny, and say why…
        </button>
      )}
    </div>
  );
}

function Deny({ give, cancel }: { give: (answer: Answer) => void; cancel: () => void }) {
  const [message, setMessage] = useState('');
  return (
    <form
      class="ask-deny"
      onSubmit={(e) => {
        e.preventDefault();
        give({ allow: false, message: message.trim() || undefined });
      }}
    >
      <label class="label">
        What should it do instead?
        <textarea class="field" rows={2} maxLength={messageMax} value={message} autofocus onInput={(e) => setMessage(e.currentTarget.value)} />
      </label>
      <div class="ask-buttons">
        <button type="submit" class="button">
          Deny
        </button>
        <button type="button" class="button quiet" onClick={cancel}>
          Cancel
        </button>
      </div>
    </form>
  );
}

function Late({ data }: { data: Record<string, unknown> }) {
  return (
    <p class="answer late" role="status">
      <Icon name="info" />
      <span>
        Your answer came second and changed nothing. The first one counts: <b>{data.allow === true ? 'allowed' : 'denied'}</b>
        {typeof data.by === 'string' && data.by !== '' && ` by ${data.by}`}.
      </span>
    </p>
  );
}

/** Whether an option says no, by its kind or else its words. */
export function denies(option: { label: string; value: unknown }): boolean {
  const fields = record(option.value);
  const kind = [fields?.kind, fields?.behavior, fields?.optionId, fields?.id, option.value].find((v) => typeof v === 'string');
  const no = /^(reject|deny|denied|refuse|disallow|decline|cancel|abort|no)(\b|_|$)/i;
  return no.test(String(kind ?? '')) || no.test(option.label);
}

function same(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a ?? null) === JSON.stringify(b ?? null);
}
