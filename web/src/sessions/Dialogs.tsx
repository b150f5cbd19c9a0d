import type { SessionInfo } from '@konlog/client';
import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect } from 'preact/hooks';
import { me, newIds } from '../account/account';
import { connection } from '../app/connection';
import { Confirm, Dialog } from '../parts/Dialog';
import { asking, close, create, fork, offer, openTerminal, remove, rename, troubleWords, type ActionRow, type Offer } from './actions';

const done = () => (asking.value = undefined);

/** The questions about sessions, one at a time. */
export function SessionDialogs() {
  const now = asking.value;
  if (!now) return null;
  if (now.kind === 'new') return <New />;
  const { kind, row } = now;
  const name = row.title || row.id;
  switch (kind) {
    case 'rename':
      return <Form key={row.id} title="Rename session" action="Rename" fields={[{ name: 'title', label: 'Title', value: row.title, max: 512, hint: 'Empty: its id is shown.' }]} run={(v) => rename(row.id, v.title ?? '')} />;
    case 'fork':
      return (
        <Form key={row.id} title="Fork session" action="Fork" fields={[{ name: 'title', label: 'Title of the new session', value: row.title ? `${row.title} (fork)` : '', max: 512 }]} run={(v) => forkHere(row, v.title ?? '')}>
          <p class="dim">The new session has the same history, with the same ids, and goes on by itself.</p>
        </Form>
      );
    case 'close':
      return <Ask title="Close this session?" action="Close session" run={() => close(row.id)} say={<p>{name} takes no more events then. It stays readable. {row.turn && 'The turn that runs is ended.'}</p>} />;
    case 'delete':
      return <Ask title="Delete this session?" action="Delete for good" run={() => remove(row.id)} say={<p>All events of <b>{name}</b> are removed from the log. This cannot be taken back.</p>} />;
  }
}

/** The list may not know the newest head. */
async function forkHere(row: ActionRow, title: string): Promise<void> {
  const { head } = await connection.get<SessionInfo>(`/v1/sessions/${encodeURIComponent(row.id)}`);
  await fork(row.id, head, title);
}

function Ask({ title, action, say, run }: { title: string; action: string; say: ComponentChildren; run: () => Promise<void> }) {
  const task = useTask(run);
  return <Confirm open title={title} action={action} busy={task.busy} onClose={done} onYes={() => task.start({})} say={<>{say}{task.trouble && <p class="problem">{task.trouble}</p>}</>} />;
}

interface FieldSpec {
  name: string;
  label: string;
  value?: string;
  max: number;
  hint?: string;
  rows?: number;
  pattern?: string;
}

function New() {
  const offered = useSignal<Offer>({ agents: [], shells: false });
  useEffect(() => {
    const ended = new AbortController();
    // Without an answer the session is made all the same, for somebody else to run.
    offer(ended.signal).then((all) => (offered.value = all), () => undefined);
    return () => ended.abort();
  }, []);
  const { agents, shells } = offered.value;
  return (
    <Form
      title="New session"
      action="Create"
      fields={[
        { name: 'prompt', label: 'First prompt', max: 100_000, rows: 4, hint: 'It waits in the log until an agent takes it. May be empty.' },
        { name: 'title', label: 'Title', max: 512, hint: 'Empty: the first line of the prompt.' },
        { name: 'id', label: 'Id', max: 128, pattern: '[A-Za-z0-9][A-Za-z0-9._:\\-]{0,127}', hint: newIds.value ? `Like ${newIds.value}: that is what your access makes.` : 'Letters, digits, . _ : - ; one is made when it is empty.' },
      ]}
      run={(v) => create({ id: v.id ?? '', title: v.title ?? '', prompt: v.prompt ?? '', agent: v.agent ?? '' })}
      after={<OpenTerminal shells={shells} />}
    >
      {agents.length > 0 && (
        <label class="label">
          Agent
          <select class="field" name="agent" defaultValue={agents[0]}>
            {agents.map((name) => (
              <option key={name}>{name}</option>
            ))}
            <option value="">None: somebody else runs it</option>
          </select>
        </label>
      )}
    </Form>
  );
}

/** A session of another kind; where there can be none, why. */
function OpenTerminal({ shells }: { shells: boolean }) {
  const task = useTask(() => openTerminal(''));
  const why = !shells ? 'Terminals are off on this server; ENABLE_SHELL_REALTIME=true switches them on.' : me.value && !me.value.shell ? 'Your access does not include terminals.' : '';
  return (
    <div class="label">
      <button type="button" class="button" disabled={why !== '' || task.busy} onClick={() => void task.start({})} data-testid="open-terminal">
        Open a terminal instead
      </button>
      {(task.trouble || why) && <small class={task.trouble ? 'problem' : 'dim'}>{task.trouble || why}</small>}
    </div>
  );
}

function Form({ title, action, fields, run, after, children }: { title: string; action: string; fields: FieldSpec[]; run: (values: Record<string, string>) => Promise<void>; after?: ComponentChildren; children?: ComponentChildren }) {
  const task = useTask(run);
  const submit = (e: SubmitEvent) => {
    e.preventDefault();
    const values = Object.fromEntries([...new FormData(e.currentTarget as HTMLFormElement)].map(([k, v]) => [k, String(v).trim()]));
    void task.start(values);
  };
  return (
    <Dialog open title={title} onClose={done}>
      <form class="form" onSubmit={submit}>
        {children}
        {fields.map((f, i) => (
          <label class="label" key={f.name}>
            {f.label}
            {f.rows ? <textarea class="field" name={f.name} rows={f.rows} maxLength={f.max} autoFocus={i === 0} /> : <input class="field" name={f.name} defaultValue={f.value} maxLength={f.max} pattern={f.pattern} autoFocus={i === 0} autocomplete="off" />}
            {f.hint && <small class="dim">{f.hint}</small>}
          </label>
        ))}
        {after}
        {task.trouble && <p class="problem" role="alert">{task.trouble}</p>}
        <div class="dialog-actions">
          <button type="button" class="button" onClick={done}>Cancel</button>
          <button type="submit" class="button primary" disabled={task.busy}>{action}</button>
        </div>
      </form>
    </Dialog>
  );
}

/** Runs what was asked for; closes the question when it worked, says why when it did not. */
function useTask(run: (values: Record<string, string>) => Promise<void>) {
  const busy = useSignal(false);
  const trouble = useSignal('');
  return {
    busy: busy.value,
    trouble: trouble.value,
    async start(values: Record<string, string>) {
      busy.value = true;
      trouble.value = '';
      try {
        const mine = asking.peek();
        await run(values);
        // It may have been put away meanwhile, and another be asked.
        if (asking.peek() === mine) done();
      } catch (error) {
        trouble.value = troubleWords(error);
      } finally {
        busy.value = false;
      }
    },
  };
}
