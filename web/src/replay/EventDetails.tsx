import { useEffect, useState } from 'preact/hooks';
import { connection } from '../app/connection';
import { link } from '../app/route';
import { curlOf, tailOf } from '../export/commands';
import { copy } from '../parts/copy';
import { announce } from '../app/announce';
import { Icon } from '../parts/Icon';
import { Json } from '../parts/Json';
import { Menu } from '../parts/Menu';
import { bytes, moment } from '../parts/format';
import { Trouble } from './Head';
import { bytesOf, type Cut, type Hole } from './slice';
import { failureText, pagesOf, readPage } from './wire';

/** Exact text that is shown without being asked for all, in characters. */
const TEXT_MAX = 100_000;

type Shown = { event: Cut } | { hole: Hole } | { trouble: string } | undefined;
type Form = 'tree' | 'exact' | 'raw' | 'event';

interface Props {
  session: string;
  id: number;
  onStep: (by: 1 | -1) => void;
  onClose: () => void;
  onTurn: (turn: string) => void;
}

/** One event in full: as a tree, byte for byte, and the agent's own line. */
export function EventDetails(props: Props) {
  const { session, id, onStep, onClose } = props;
  const [shown, retry] = useEvent(session, id);
  return (
    <section class="event-details" aria-label={`Event ${id}`} data-testid="event-details" data-id={id}>
      <header class="event-details-head">
        <h2 class="num">#{id}</h2>
        <button type="button" class="icon-button" aria-label="Event before (k)" title="Event before (k)" onClick={() => onStep(-1)}><Icon name="up" /></button>
        <button type="button" class="icon-button" aria-label="Next event (j)" title="Next event (j)" onClick={() => onStep(1)}><Icon name="down" /></button>
        <span class="event-space" />
        <Copies session={session} id={id} event={shown && 'event' in shown ? shown.event : undefined} />
        <button type="button" class="icon-button" aria-label="Close the details" onClick={onClose}><Icon name="close" /></button>
      </header>
      {!shown && <p class="event-edge"><span class="spinner" /> Loading…</p>}
      {shown && 'trouble' in shown && <Trouble text={shown.trouble} onRetry={retry} />}
      {shown && 'hole' in shown && <Gone hole={shown.hole} />}
      {shown && 'event' in shown && <Whole {...props} event={shown.event} />}
    </section>
  );
}

function useEvent(session: string, id: number): [Shown, () => void] {
  const [shown, setShown] = useState<Shown>();
  const [tries, setTries] = useState(0);
  useEffect(() => {
    const { signal, abort } = controller();
    setShown(undefined);
    readPage(pagesOf(connection.url), session, { after: id - 1, until: id, limit: 1, raw: 1 }, signal).then(
      (page) => {
        const event = page.events.find((e) => e.id === id);
        if (event) setShown({ event });
        else if (page.gap && page.gap.from <= id && id <= page.gap.to) setShown({ hole: page.gap });
        else setShown({ trouble: `There is no event ${id}: the log goes from ${page.floor} to ${page.head}.` });
      },
      (error: unknown) => signal.aborted || setShown({ trouble: failureText(error) }),
    );
    return abort;
  }, [session, id, tries]);
  return [shown, () => setTries(tries + 1)];
}

function controller() {
  const c = new AbortController();
  return { signal: c.signal, abort: () => c.abort() };
}

function Gone({ hole }: { hole: Hole }) {
  const range = hole.from === hole.to ? `Event ${hole.from}` : `Events ${hole.from} to ${hole.to}`;
  return (
    <p class="event-gone">
      <Icon name="lock" />
      {hole.reason === 'redacted' ? `${range}: the content was removed for good. That there was an event stays.` : `${range}: no longer kept, by the server's retention.`}
    </p>
  );
}

function Whole({ session, event, onTurn }: Props & { event: Cut }) {
  const [form, setForm] = useState<Form>('tree');
  const forms: [Form, string, boolean][] = [
    ['tree', 'Data', true],
    ['exact', 'Exact bytes', true],
    ['raw', "Agent's line", event.raw !== undefined],
    ['event', 'Whole event', true],
  ];
  const text = { tree: '', exact: event.data, raw: event.raw ?? '', event: event.text }[form];
  return (
    <>
      <dl class="facts event-facts">
        <dt>Type</dt>
        <dd><code>{event.type}</code></dd>
        <dt>Time</dt>
        <dd class="num" title={moment(event.time)}>{event.time.replace('T', ' ').replace('Z', ' UTC')}</dd>
        {event.turn && (
          <>
            <dt>Turn</dt>
            <dd>
              {event.turn}{' '}
              <button type="button" class="event-only" onClick={() => onTurn(event.turn)}>only this turn</button>
            </dd>
          </>
        )}
        {event.parent && (
          <>
            <dt>Parent</dt>
            <dd>{event.parent}</dd>
          </>
        )}
        <dt>Size</dt>
        <dd class="num">
          {bytes(bytesOf(event.data))}
          {event.raw !== undefined && `, the agent's line ${bytes(bytesOf(event.raw))}`}
        </dd>
        <dt>Show in</dt>
        <dd class="event-links">
          <a href={link(session, '', { id: event.id })}>conversation</a> <a href={link(session, 'replay', { id: event.id })}>replay</a>
        </dd>
      </dl>
      <div class="chips" role="tablist" aria-label="Form">
        {forms.filter((f) => f[2]).map(([name, label]) => (
          <button key={name} type="button" role="tab" class="chip" aria-selected={form === name} data-form={name} onClick={() => setForm(name)}>
            {label}
          </button>
        ))}
      </div>
      <div class="event-content" role="tabpanel" tabIndex={0} aria-label={forms.find((f) => f[0] === form)![1]}>
        {form === 'tree' ? <Tree data={event.data} /> : <Exact key={form} text={text} />}
      </div>
    </>
  );
}

// A tree shows values. How they are written, such as 1.0, an escape or a key
// that is there twice, only the text shows.
function Tree({ data }: { data: string }) {
  const value: unknown = JSON.parse(data);
  return (
    <>
      <Json value={value} open={4} />
      {JSON.stringify(value) !== data && <p class="event-note">Written in another way than the tree shows. The exact bytes have it.</p>}
    </>
  );
}

function Exact({ text }: { text: string }) {
  const [all, setAll] = useState(text.length <= TEXT_MAX);
  return (
    <>
      <pre class="event-exact" data-testid="exact">{all ? text : text.slice(0, TEXT_MAX)}</pre>
      {!all && (
        <button type="button" class="button" onClick={() => setAll(true)}>
          Show all {bytes(bytesOf(text))}
        </button>
      )}
    </>
  );
}

function Copies({ session, id, event }: { session: string; id: number; event: Cut | undefined }) {
  const take = async (text: string) => announce((await copy(text)) ? 'Copied' : 'Copying is not allowed here');
  return (
    <Menu
      label="Copy"
      items={() => [
        { label: 'Copy data', icon: 'copy', disabled: !event, run: () => take(event!.data) },
        { label: 'Copy whole event', icon: 'copy', disabled: !event, run: () => take(event!.text) },
        ...(event?.raw === undefined ? [] : [{ label: "Copy agent's line", icon: 'copy' as const, run: () => void take(event.raw!) }]),
        { label: 'Copy as curl', icon: 'terminal', run: () => take(curlOf(connection.url, session, id)) },
        { label: 'Copy konlog command', icon: 'terminal', run: () => take(tailOf(connection.url, session, id)) },
        { label: 'Copy link', icon: 'link', run: () => take(new URL(link(session, 'events', { id }), location.href).href) },
      ]}
    >
      <Icon name="copy" />
    </Menu>
  );
}
