// Ways to take a session along.
import type { Conversation } from '@konlog/client/view';
import { useEffect, useRef, useState } from 'preact/hooks';
import { connection } from '../app/connection';
import { Command } from '../parts/Command';
import { copy } from '../parts/copy';
import { Dialog } from '../parts/Dialog';
import { count, plural } from '../parts/format';
import { Icon } from '../parts/Icon';
import { failureText, pagesOf } from '../replay/wire';
import { exportOf } from './commands';
import { writeLines, writeTurns, type Progress, type Written } from './jsonl';
import { markdownOf } from './markdown';
import { fileName, openFile, type FileSink } from './save';
import './export.css';

interface Props {
  session: string;
  /** What is on the screen; without it nothing can be copied as Markdown. */
  conversation?: Conversation;
  /** The turn that is meant, when it is one. */
  turn?: string;
}

/** A button that offers the ways to export a session. */
export function ExportMenu(props: Props) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <button type="button" class="icon-button" aria-label="Export" title="Export" data-testid="export" onClick={() => setOpen(true)}>
        <Icon name="download" />
      </button>
      <ExportDialog {...props} open={open} onClose={() => setOpen(false)} />
    </>
  );
}

/** The same, for who has a button already. Closing it stops a download that goes on. */
export function ExportDialog({ session, conversation, turn, open, onClose }: Props & { open: boolean; onClose: () => void }) {
  const job = useJob();
  const close = () => {
    job.cancel();
    onClose();
  };
  return (
    <Dialog open={open} title="Export" class="wide" onClose={close}>
      <section class="export">
        {conversation && <Markdown session={session} conversation={conversation} turn={turn} />}
        <Choice title="JSON lines" text="All events in order, byte for byte, with the agents' own lines. konlog import reads the file." busy={job.busy} onSave={() => job.run(`${fileName(session, '.jsonl')}`, 'application/x-ndjson', (sink, tell, signal) => writeLines(pages(), session, sink, tell, signal))} />
        <Choice title="Turns as JSON" text="What was asked and answered in each turn, with its tools, timing, cost and tokens." busy={job.busy} onSave={() => job.run(`${fileName(session, '.turns.json')}`, 'application/json', (sink, tell, signal) => writeTurns(pages(), session, sink, tell, signal))} />
        <Running job={job} />
        <div class="export-choice">
          <div>
            <h3>A page to send</h3>
            <p class="dim">One HTML file that shows the session and replays it, without a server. The command line makes it:</p>
          </div>
          <Command text={exportOf(connection.url, session, 'html', fileName(session, '.html'))} />
        </div>
      </section>
    </Dialog>
  );
}

const pages = () => pagesOf(connection.url);

function Choice({ title, text, busy, onSave }: { title: string; text: string; busy: boolean; onSave: () => void }) {
  return (
    <div class="export-choice row">
      <div>
        <h3>{title}</h3>
        <p class="dim">{text}</p>
      </div>
      <button type="button" class="button" disabled={busy} onClick={onSave} aria-label={`Save ${title}`}>
        <Icon name="download" />
        Save
      </button>
    </div>
  );
}

function Markdown({ session, conversation, turn }: { session: string; conversation: Conversation; turn: string | undefined }) {
  const [told, setTold] = useState('');
  const take = async (only?: string) => setTold((await copy(markdownOf(conversation, session, only))) ? 'Copied.' : 'The browser does not allow it.');
  const shown = conversation.sections.some((s) => s.turn === turn);
  return (
    <div class="export-choice row">
      <div>
        <h3>Markdown</h3>
        <p class="dim">
          The conversation as far as it is loaded, as text with headings. <span role="status">{told}</span>
        </p>
      </div>
      <div class="export-buttons">
        {turn && shown && (
          <button type="button" class="button" onClick={() => take(turn)}>
            <Icon name="copy" />
            Copy turn
          </button>
        )}
        <button type="button" class="button" onClick={() => take()}>
          <Icon name="copy" />
          Copy all
        </button>
      </div>
    </div>
  );
}

type Work = (sink: FileSink, tell: (p: Progress) => void, signal: AbortSignal) => Promise<Written>;
type State = { at: 'idle' } | { at: 'running'; progress: Progress } | { at: 'done' | 'failed'; text: string };

interface Job {
  state: State;
  busy: boolean;
  run(name: string, type: string, work: Work): Promise<void>;
  cancel(): void;
}

function useJob(): Job {
  const [state, setState] = useState<State>({ at: 'idle' });
  const stop = useRef<AbortController | undefined>(undefined);
  useEffect(() => () => stop.current?.abort(), []);
  const run = async (name: string, type: string, work: Work) => {
    const sink = await openFile(name, type);
    if (!sink) return;
    const { signal } = (stop.current = new AbortController());
    setState({ at: 'running', progress: { done: 0, of: 0 } });
    try {
      const { events, what, missing } = await work(sink, (progress) => setState({ at: 'running', progress }), signal);
      await sink.done();
      setState({ at: 'done', text: `${plural(events, what)} written to ${name}.${missing ? ` ${plural(missing, 'event')} went while it was read, and are not in it.` : ''}` });
    } catch (error) {
      await sink.drop().catch(() => {}); // the first failure is the one to tell
      setState(signal.aborted ? { at: 'idle' } : { at: 'failed', text: failureText(error) });
    }
  };
  return { state, busy: state.at === 'running', run, cancel: () => stop.current?.abort() };
}

function Running({ job: { state, cancel } }: { job: Job }) {
  return (
    <div class="export-running" aria-live="polite">
      {state.at === 'running' && (
        <>
          <progress value={state.progress.done} max={Math.max(1, state.progress.of)} aria-label="Export" />
          <span class="num">{state.progress.of > 0 ? `${count(state.progress.done)} of ${count(state.progress.of)}` : count(state.progress.done)}</span>
          <button type="button" class="button" onClick={cancel}>
            Cancel
          </button>
        </>
      )}
      {state.at === 'done' && <p>{state.text}</p>}
      {state.at === 'failed' && <p class="problem">{state.text}</p>}
    </div>
  );
}
