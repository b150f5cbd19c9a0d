import type { QuestionItem } from '@konlog/client/view';
import { useState } from 'preact/hooks';
import { announce } from '../app/announce';
import { Code } from '../parts/Code';
import { Diff, Patch } from '../parts/Diff';
import { clip, moment, timeOfDay } from '../parts/format';
import { Icon } from '../parts/Icon';
import { Json } from '../parts/Json';
import { Markdown } from '../parts/Markdown';
import { byHere, fateOf, pendingFate, refusal, type Fate } from './answers';
import { askedShort, askedTexts } from './asked';
import { waitingWords, type Actions } from './context';
import { editsOf, record } from './edits';
import { useFold, useView } from './hooks';
import { Permalink } from './Permalink';
import { commandOf, inputShort } from './tooltext';

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
      {item.open || !item.answer ? <Asked item={item} /> : <AskedOnce item={item} />}
      {item.answer ? <Given item={item} answer={item.answer} /> : item.open ? actions ? <Ask item={item} actions={actions} /> : <p class="answer">Not answered yet.</p> : <p class="answer">The turn ended without an answer.</p>}
    </article>
  );
}

/** What it had wanted to do: a line, and all of it when it is opened. */
function AskedOnce({ item }: { item: QuestionItem }) {
  const [open, toggle] = useFold(`i${item.id}`, false);
  const short = clip(askedShort(item.input) || inputShort(item.input), 200);
  if (!short || short === '{}') return item.redacted ? <Asked item={item} /> : null;
  return (
    <>
      <button type="button" class="fold" data-fold aria-expanded={open} aria-label={`${open ? 'Hide' : 'Show'} what was asked: ${short}`} onClick={toggle}>
        <Icon name={open ? 'up' : 'down'} />
        <span class="fold-short">{short}</span>
      </button>
      {open && <Asked item={item} />}
    </>
  );
}

/** What it wants to do. */
function Asked({ item }: { item: QuestionItem }) {
  const edits = editsOf(item.tool, item.input, undefined);
  const command = commandOf(item.input);
  const said = record(item.input)?.description;
  const words = edits.length === 0 && command === undefined ? askedTexts(item.input) : undefined;
  return (
    <div class="question-input">
      {item.redacted && <p class="tool-note">What it asked was redacted.</p>}
      {typeof said === 'string' && <p class="tool-note">{said}</p>}
      {edits.length > 0
        ? edits.map((edit, i) => ('patch' in edit ? <Patch key={i} patch={edit.patch} path={edit.path} /> : <Diff key={i} before={edit.before} after={edit.after} path={edit.path} />))
        : command !== undefined
          ? <Code text={command} language="bash" />
          : words && <Words {...words} />}
    </div>
  );
}

/** A question in words, with the answers that it names; what else there is as it came. */
function Words({ asked, rest }: ReturnType<typeof askedTexts>) {
  return (
    <>
      {asked.map((q, i) => (
        <div key={i} data-asked>
          <Markdown text={q.text} />
          {q.options.length > 0 && (
            <ul>
              {q.options.map((o, n) => (
                <li key={n}>
                  {o.label}
                  {o.description && <span class="dim"> – {o.description}</span>}
                </li>
              ))}
            </ul>
          )}
        </div>
      ))}
      {rest !== undefined && rest !== null && <Json value={rest} open={3} />}
    </>
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
  const why = actions.why?.(session) ?? '';
  const busy = now.state === 'pending' || now.state === 'taken' || why !== '';
  return (
    <div class="ask" onKeyDown={(e) => askKeys(e, give, busy)}>
      <Buttons item={item} busy={busy} give={give} deny={() => setDenying(true)} denying={denying} />
      {denying && !busy && <Deny give={give} cancel={() => setDenying(false)} />}
      <p class="ask-state" role="status">
        {now.state === 'pending' && (now.waiting ? waitingWords(actions) : 'Sending…')}
        {now.state === 'taken' && 'Sent.'}
        {now.state === 'refused' && now.say}
        {now.state === 'none' && why}
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
  const yes = item.options.filter((o) => !o.denies);
  const no = item.options.filter((o) => o.denies);
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

function same(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a ?? null) === JSON.stringify(b ?? null);
}
