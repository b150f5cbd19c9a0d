import type { Section } from '@konlog/client/view';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { announcement } from '../app/announce';
import { parse } from '../app/route';
import { Icon } from '../parts/Icon';
import { clip, count, duration, moment, plural } from '../parts/format';
import { Controls } from '../replay/Controls';
import { Replay } from '../replay/replay';
import { useReplay } from '../replay/useReplay';
import { useReplayKeys } from '../replay/useReplayKeys';
import { ConversationView } from '../session/ConversationView';
import { Pictures } from './OfflineImage';
import { recordingLog, type Recording } from './recording';
import '../replay/replay.css';
import './page.css';

/** The title of a turn in the list, in characters. */
const TITLE_MAX = 120;

/** A recorded session, whole at first, to be replayed. */
export function ExportedPage({ recording }: { recording: Recording }) {
  const { session } = recording;
  const replay = useMemo(() => new Replay(recordingLog(recording), session.id, idOf(location.hash) ?? 'end'), [recording]);
  useReplay(replay);
  useReplayKeys(replay);
  const [focus, setFocus] = useState<{ id?: number; times: number }>({ times: 0 });
  const show = (id: number, until: number) => {
    if (replay.log.line.id(replay.player.place) < until) replay.goTo(until);
    setFocus({ id, times: focus.times + 1 });
  };
  useEffect(() => {
    const follow = () => {
      const id = idOf(location.hash);
      if (id !== undefined) show(id, id);
    };
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  });
  // Playing goes along with the end, wherever somebody looked before.
  const { playing } = replay.player;
  useEffect(() => void (playing && setFocus({ times: focus.times })), [playing]);
  return (
    <Pictures.Provider value={recording.images ?? {}}>
      <Facts recording={recording} replay={replay} />
      <div class="page-body">
        <Turns sections={replay.turnSections} now={replay.log.line.id(replay.player.place)} onShow={show} />
        <main class="page-main">
          {replay.trouble && <p class="problem" role="alert">{replay.trouble}</p>}
          {recording.events.length === 0 && <p class="empty">This session has no events.</p>}
          <ConversationView key={playing ? 'playing' : 'still'} conversation={replay.conversation} session={session.id} live={false} readonly focus={focus.id} focusTimes={focus.times} phase={replay.busy ? 'seeking' : 'replay'} />
        </main>
      </div>
      <Controls replay={replay} />
      <div class="visually-hidden" role="status" aria-live="polite">{announcement}</div>
    </Pictures.Provider>
  );
}

// Links of the conversation name a place of the console; here it is the same
// event of this page.
function idOf(hash: string): number | undefined {
  const at = parse(hash);
  return 'id' in at ? at.id : undefined;
}

function Facts({ recording: { session, missing = [] }, replay }: { recording: Recording; replay: Replay }) {
  const { line } = replay.log;
  const facts = [
    session.title ? session.id : '',
    plural(line.length, 'event'),
    session.state,
    session.scope ?? '',
    ...(session.tags ?? []).map((t) => `#${t}`),
    line.length > 0 ? `${moment(line.time(0))}, ${duration(line.total(false))}` : '',
  ];
  const gone = [...(session.floor > 1 ? [`Events before ${count(session.floor)} were no longer kept.`] : []), ...missing];
  return (
    <header class="page-head">
      <h1>{session.title || session.id}</h1>
      <p class="page-facts num">{facts.filter(Boolean).join(' · ')}</p>
      {gone.length > 0 && (
        <p class="page-missing">
          <Icon name="warning" /> {gone.join(' ')}
        </p>
      )}
    </header>
  );
}

function Turns({ sections, now, onShow }: { sections: readonly Section[]; now: number; onShow: (id: number, until: number) => void }) {
  const [open, setOpen] = useState(() => matchMedia('(min-width: 900px)').matches);
  if (sections.length === 0) return null;
  const current = sections.findLast((s) => s.id <= now);
  return (
    <details class="page-turns" open={open} onToggle={(e) => setOpen(e.currentTarget.open)}>
      <summary>Turns <span class="num">{count(sections.length)}</span></summary>
      <nav aria-label="Turns">
        {sections.map((s, i) => (
          <button key={s.id} type="button" aria-current={s === current ? 'step' : undefined} data-turn-link={s.turn} onClick={() => onShow(s.id, s.items.at(-1)?.last ?? s.id)}>
            <b>{i + 1}. {clip(s.prompt, TITLE_MAX) || 'Turn'}</b>
            <span>{[stateOf(s), s.startedAt && moment(s.startedAt)].filter(Boolean).join(' · ')}</span>
          </button>
        ))}
      </nav>
    </details>
  );
}

function stateOf(section: Section): string {
  if (section.state !== 'ended') return section.state;
  return `${section.success === false ? '✗' : '✓'} ${section.reason || 'done'}`;
}
