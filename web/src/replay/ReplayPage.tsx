// A session as it came: any moment of it, at any pace, by the same reading as
// live.
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { connection } from '../app/connection';
import { link } from '../app/route';
import { ExportMenu } from '../export/ExportMenu';
import { CopyButton } from '../parts/CopyButton';
import { count } from '../parts/format';
import { ConversationView } from '../session/ConversationView';
import { Controls } from './Controls';
import { Head, Trouble } from './Head';
import { serverLog } from './log';
import { Replay } from './replay';
import { useReplay } from './useReplay';
import { useReplayKeys } from './useReplayKeys';
import { useWake } from './wake';
import { pagesOf } from './wire';
import './replay.css';

/** New events of a live session are read at most so often. */
const WAKE_MS = 300;
/** The address follows the place at most so often: browsers allow 100 changes in 30 s. */
const ADDRESS_MS = 500;

export function ReplayPage({ session, id }: { session: string; id?: number }) {
  const replay = useMemo(() => new Replay(serverLog(pagesOf(connection.url), session), session, id ?? 'begin'), [session]);
  const signal = useReplay(replay);
  const place = useAddress(replay, session);
  useEffect(() => {
    if (id !== undefined && id !== place.current) replay.goTo(id, signal.current);
  }, [id]);
  useWake(session, () => void replay.load(signal.current), WAKE_MS);
  useReplayKeys(replay);
  const { log, player } = replay;
  return (
    <div class="replay">
      <Head session={session} view="replay">
        <CopyButton label="Copy a link to this moment" text={() => new URL(link(session, 'replay', { id: log.line.id(player.place) }), location.href).href} />
        <ExportMenu session={session} conversation={replay.conversation} turn={replay.conversation.sections.at(-1)?.turn} />
      </Head>
      <Notes replay={replay} onRetry={() => void replay.load(signal.current)} onMore={() => void replay.fromHere(signal.current)} />
      <div class="replay-stage">
        <ConversationView conversation={replay.conversation} session={session} live={false} readonly phase={replay.busy ? 'seeking' : 'replay'} />
      </div>
      <Controls replay={replay} />
    </div>
  );
}

// The address names the event, so that it can be sent and a reload stays.
function useAddress(replay: Replay, session: string) {
  const shown = useRef<number | undefined>(undefined);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const id = replay.log.line.id(replay.player.place);
  useEffect(() => {
    if (id === 0) return;
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      shown.current = replay.log.line.id(replay.player.place);
      history.replaceState(history.state, '', link(session, 'replay', { id: shown.current }));
    }, ADDRESS_MS);
  }, [id]);
  useEffect(() => () => clearTimeout(timer.current), []);
  return shown;
}

function Notes({ replay, onRetry, onMore }: { replay: Replay; onRetry: () => void; onMore: () => void }) {
  const { log, trouble, loading } = replay;
  return (
    <div class="replay-notes">
      {trouble && <Trouble text={trouble} onRetry={onRetry} />}
      {loading && log.head > 0 && !log.complete && log.line.length > 0 && (
        <p class="replay-note" role="status" data-testid="replay-loading">
          <span class="spinner" />
          <span class="num">{count(log.after())} of {count(log.head)} events read</span>
        </p>
      )}
      {log.full && (
        <p class="replay-note">
          This log is larger than a page can hold. It is shown up to event {count(log.after())}.
          <button type="button" class="button" onClick={onMore}>Go on from there</button>
        </p>
      )}
      {log.complete && log.line.length === 0 && <p class="replay-note">This session has no events that could be replayed.</p>}
      {!trouble && log.line.length === 0 && !log.complete && <p class="replay-note"><span class="spinner" /> Loading…</p>}
    </div>
  );
}
