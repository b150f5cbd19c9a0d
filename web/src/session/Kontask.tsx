import type { KontaskItem } from '@konlog/client/view';
import { useState } from 'preact/hooks';
import { announce } from '../app/announce';
import { Badge, type Tone } from '../parts/Badge';
import { moment, timeOfDay } from '../parts/format';
import { Icon } from '../parts/Icon';
import { fateOf, pendingFate, refusal, type Fate } from './answers';
import { choicesOf, type Choice } from './choices';
import { waitingWords, type Actions } from './context';
import { useView } from './hooks';
import { KontaskDetail } from './KontaskDetail';
import { Permalink } from './Permalink';

/** Tags that a card shows; the details have all. */
const tagsShown = 6;

/** A card that an agent delivered, with its choices. */
export function Kontask({ item }: { item: KontaskItem }) {
  const [details, setDetails] = useState(false);
  const { record } = item;
  const tags = list(record.tags);
  return (
    <article class={`kontask ${item.ready && !item.chosen ? 'ready' : ''}`} data-item="kontask" data-id={item.id} data-kontask={item.kontaskId} aria-label={`Kontask: ${record.title || item.kontaskId}`}>
      <header>
        <Icon name="kontask" />
        <span class="kontask-kind">Kontask</span>
        {record.status && <Badge tone={toneOf(record.status)}>{record.status}</Badge>}
        {record.type && <span class="dim">{record.type}</span>}
        <time dateTime={item.time} title={moment(item.time)}>
          {timeOfDay(item.time)}
        </time>
        <span class="item-actions">
          <Permalink id={item.id} />
        </span>
      </header>
      <h2>{record.title || 'Without a title'}</h2>
      {record.description && <p>{record.description}</p>}
      {(record.scope || tags.length > 0) && (
        <ul class="tags" aria-label="Scope and tags">
          {record.scope && <li class="scope">{record.scope}</li>}
          {tags.slice(0, tagsShown).map((tag) => (
            <li key={tag}>{tag}</li>
          ))}
          {tags.length > tagsShown && <li>+{tags.length - tagsShown}</li>}
        </ul>
      )}
      <Choices item={item} />
      <button type="button" class="button" onClick={() => setDetails(true)}>
        {record.context?.output ? 'Output and details' : 'Details'}
      </button>
      {details && <KontaskDetail item={item} onClose={() => setDetails(false)} />}
    </article>
  );
}

/** Quick actions: each is a prompt. What was chosen stays, on every device. */
export function Choices({ item }: { item: KontaskItem }) {
  const { actions } = useView();
  const choices = choicesOf(item.record.context?.choices);
  if (item.chosen) return <Chosen label={item.chosen.label || String(item.chosen.choice ?? '')} time={item.chosen.time} />;
  if (choices.length === 0) return <p class="kontask-note">{item.ready ? 'It asks for nothing.' : 'No quick actions yet.'}</p>;
  if (!actions) return <ChoiceButtons choices={choices} disabled chosen="" />;
  return <Choose item={item} actions={actions} choices={choices} />;
}

function Choose({ item, actions, choices }: { item: KontaskItem; actions: Actions; choices: readonly Choice[] }) {
  const { session } = useView();
  const [fate, setFate] = useState<Fate>({ state: 'none' });
  const [given, setGiven] = useState('');
  const kept = pendingFate(actions.pending.value, session, 'choose', item.kontaskId);
  const now: Fate = kept ?? fate;
  const choose = async (choice: Choice) => {
    if (now.state === 'pending') return;
    if (kept?.state === 'refused' && kept.key) actions.drop(kept.key);
    setGiven(choice.value);
    setFate({ state: 'pending', waiting: false, key: '' });
    try {
      const ack = await actions.send({ session, command: 'choose', body: { kontaskId: item.kontaskId, choice: choice.value } });
      const came = fateOf(ack, (first) => first.value === choice.value || first.label === choice.label);
      setFate(came);
      announce(came.state === 'late' ? 'Something else was chosen before' : `Chosen: ${choice.label}`);
    } catch (reason) {
      setFate({ state: 'refused', say: refusal(reason), key: undefined });
    }
  };
  if (now.state === 'late') {
    const label = String(now.data.label ?? now.data.value ?? '');
    return (
      <p class="answer late" role="status">
        <Icon name="info" />
        <span>
          Your choice came second and changed nothing. <b>{label}</b> was chosen before.
        </span>
      </p>
    );
  }
  const busy = now.state === 'pending' || now.state === 'taken';
  const why = actions.why?.(session) ?? '';
  return (
    <div class="choices">
      <ChoiceButtons choices={choices} disabled={busy || !item.ready || why !== ''} chosen={busy ? given || String(kept?.body.choice ?? '') : ''} choose={choose} />
      <p class="ask-state" role="status">
        {now.state === 'pending' && (now.waiting ? waitingWords(actions) : 'Sending…')}
        {now.state === 'taken' && 'Sent.'}
        {now.state === 'refused' && now.say}
        {now.state === 'none' && (item.ready ? why : 'It is not ready yet.')}
      </p>
    </div>
  );
}

function ChoiceButtons({ choices, disabled, chosen, choose }: { choices: readonly Choice[]; disabled: boolean; chosen: string; choose?: (choice: Choice) => void }) {
  return (
    <div class="ask-buttons" role="group" aria-label="Quick actions">
      {choices.map((choice, i) => (
        <button key={i} type="button" class={`button ${choice.primary ? 'primary' : ''}`} data-choice={choice.value} data-primary={choice.primary || undefined} title={choice.value} disabled={disabled} aria-pressed={chosen === choice.value ? 'true' : undefined} onClick={() => choose?.(choice)}>
          {choice.label}
          {choice.primary && <span class="visually-hidden"> (recommended)</span>}
        </button>
      ))}
    </div>
  );
}

function Chosen({ label, time }: { label: string; time: string }) {
  return (
    <p class="answer allowed" data-chosen={label}>
      <Icon name="check" />
      <span>
        <b>{label}</b> was chosen{' '}
        <time dateTime={time} title={moment(time)}>
          {timeOfDay(time)}
        </time>
      </span>
    </p>
  );
}

function toneOf(status: string): Tone {
  if (/fail|error|reject/i.test(status)) return 'bad';
  if (/complete|done|ready|success/i.test(status)) return 'ok';
  if (/run|work|progress|pend|queue|creat/i.test(status)) return 'accent';
  return 'neutral';
}

/** What should be a list, when it is one. */
export function list<T>(value: readonly T[] | undefined): readonly T[] {
  return Array.isArray(value) ? value : [];
}
