import { ProblemError } from '@konlog/client';
import { useComputed, useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { announce } from '../app/announce';
import { useShortcuts } from '../app/shortcuts';
import { count, plural } from '../parts/format';
import { Icon } from '../parts/Icon';
import { inboxVersion, markAllSeen, readInbox } from '../sessions/store';
import { EntryRow } from './EntryRow';
import './inbox.css';
import { entries, type Entry, type Item } from './items';

/** Readings of the inbox are at least this far apart. */
const READ_MS = 300;
/** After a reading that failed. */
const RETRY_MS = 5_000;
/** Rows that are drawn at first, and more at a press. */
const SHOWN = 100;

const groups: { kind: Entry['kind']; title: string }[] = [
  { kind: 'question', title: 'Questions' },
  { kind: 'kontask', title: 'Kontasks' },
  { kind: 'failed', title: 'Failed turns' },
  { kind: 'ended', title: 'Finished turns' },
];

/** Everything that waits for a person, over all sessions. */
export function InboxPage(_: Record<string, never>) {
  const { items, trouble } = useInbox();
  const shown = useSignal(SHOWN);
  const list = useComputed(() => entries(items.value ?? [])).value;
  const { seeable, marking, unmarked, all } = useMarkAll(items.value ?? []);
  return (
    <div class="sheet inbox" data-testid="inbox">
      <header class="sheet-head">
        <h1>Inbox</h1>
        {seeable > 0 && (
          <button type="button" class="button" disabled={marking !== undefined} onClick={() => void all()}>
            <Icon name="check" />
            {marking ? `Marked ${count(marking.done)} of ${count(marking.of)} …` : 'Mark all as seen'}
          </button>
        )}
      </header>
      <Problem text={trouble.value} />
      <Problem text={unmarked} />
      {items.value === undefined && !trouble.value && <p class="dim">Loading …</p>}
      {items.value !== undefined && list.length === 0 && (
        <div class="empty">
          <Icon name="check" />
          <h2>Nothing waits for you</h2>
          <p>Questions of agents, kontasks and ended turns come here.</p>
        </div>
      )}
      {groups.map((group) => (
        <Group key={group.kind} title={group.title} count={list.filter((e) => e.kind === group.kind).length} shown={list.slice(0, shown.value).filter((e) => e.kind === group.kind)} />
      ))}
      {list.length > shown.value && (
        <button type="button" class="button" onClick={() => (shown.value += SHOWN)}>
          Show {plural(Math.min(SHOWN, list.length - shown.value), 'more', 'more')}
        </button>
      )}
    </div>
  );
}

function Problem({ text }: { text: string }) {
  if (!text) return null;
  return (
    <p class="problem" role="alert">
      <Icon name="warning" />
      {text}
    </p>
  );
}

/** Entries of one kind: those that are shown, under the number of all. */
function Group({ title, count: all, shown }: { title: string; count: number; shown: readonly Entry[] }) {
  if (!shown.length) return null;
  return (
    <section aria-label={title}>
      <h2 class="inbox-group">
        {title} <span class="num dim">{count(all)}</span>
      </h2>
      <ul class="card inbox-list">
        {shown.map((entry) => (
          <EntryRow key={entry.key} entry={entry} />
        ))}
      </ul>
    </section>
  );
}

/** Marks what was read everywhere, and says how far it is and what could not be marked. */
function useMarkAll(items: readonly Item[]) {
  const seeable = items.filter((i) => i.ended || i.kontasks.length > 0);
  const marking = useSignal<{ done: number; of: number } | undefined>(undefined);
  const unmarked = useSignal('');
  const all = async () => {
    const of = seeable.length;
    if (marking.value || of === 0) return;
    [marking.value, unmarked.value] = [{ done: 0, of }, ''];
    const done = await markAllSeen(
      seeable.map((i) => ({ session: i.session.id, id: i.session.head })),
      (done) => (marking.value = { done, of }),
    );
    marking.value = undefined;
    if (done === of) announce('All marked as seen');
    else unmarked.value = `${count(done)} of ${count(of)} marked as seen; try again for the others.`;
  };
  useShortcuts([['shift+u', 'Inbox: mark all as seen', () => void all()]], [items]);
  return { seeable: seeable.length, marking: marking.value, unmarked: unmarked.value, all };
}

/** The inbox, read when it may be another; never two readings at once. */
function useInbox() {
  const items = useSignal<Item[] | undefined>(undefined);
  const trouble = useSignal('');
  const state = useRef({ busy: false, again: false, here: true, timer: undefined as ReturnType<typeof setTimeout> | undefined }).current;
  const read = async () => {
    state.timer = undefined;
    state.busy = true;
    let failed = false;
    try {
      const now = await readInbox<Item>();
      if (state.here) [items.value, trouble.value] = [now, ''];
    } catch (error) {
      // A sign-in is news by itself.
      failed = !(error instanceof ProblemError && error.problem.status === 401);
      trouble.value = error instanceof ProblemError && error.problem.status > 0 ? error.message : 'The server does not answer. What is here may be old; it is read again when it does.';
    } finally {
      state.busy = false;
      if ((state.again || failed) && state.here) state.timer = setTimeout(() => void read(), failed ? RETRY_MS : READ_MS);
      state.again = false;
    }
  };
  const version = inboxVersion.value;
  useEffect(() => {
    if (state.busy) state.again = true;
    else state.timer ??= setTimeout(() => void read(), items.value ? READ_MS : 0);
  }, [version]);
  useEffect(() => {
    state.here = true;
    return () => {
      state.here = false;
      clearTimeout(state.timer);
    };
  }, []);
  return { items, trouble };
}
