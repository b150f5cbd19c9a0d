import type { Ack, Problem } from '@konlog/client';
import { conversationMarkdown, type Section, type ViewSnapshot } from '@konlog/client/view';
import { useComputed } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { signedOut, writeTrouble } from '../account/account';
import { announce } from '../app/announce';
import { connection, connectionState, pending } from '../app/connection';
import { lazy } from '../app/lazy';
import { link } from '../app/route';
import { ExportMenu } from '../export/ExportMenu';
import { copy } from '../parts/copy';
import { memo } from '../parts/memo';
import { Menu, type MenuItem } from '../parts/Menu';
import { sessionMenu } from '../sessions/actions';
import { isTerminal, markSeen, peek, rowOf, want } from '../sessions/store';
import { Composer } from './Composer';
import type { Actions } from './context';
import { ConversationView } from './ConversationView';
import { Missing, Skeleton, Trouble } from './Empty';
import { SessionTabs } from './SessionTabs';
import { StatusBar } from './StatusBar';
import { Tray } from './Tray';
import { useFocus } from './useFocus';
import { useSession } from './useSession';
import { Outbox, Queue } from './Waiting';
import './session.css';

/** What a person can do here goes through the page's one connection and its outbox. */
const actions: Actions = {
  send: (command) => connection.send(command),
  get: (path, init) => connection.get(path, init),
  retry: (key) => connection.retryPending(key),
  drop: (key) => connection.dropPending(key),
  pending,
  why: writeTrouble,
  signedOut,
};
const upload = (content: Blob) => connection.upload(content);

const TerminalView = lazy(async () => (await import('../terminal/TerminalView')).TerminalView, { ahead: false });

/** A session: a terminal, or a conversation. */
export function SessionPage({ session, id }: { session: string; id?: number }) {
  useEffect(() => void want(session), [session]);
  if (!isTerminal(session)) return <ConversationPage session={session} id={id} />;
  return (
    <Frame session={session}>
      <TerminalView key={session} session={session} />
    </Frame>
  );
}

/** A conversation live, what it does, and the box to say something. */
function ConversationPage({ session, id }: { session: string; id?: number }) {
  const { snapshot, loadEarlier, loadThrough, reopen } = useSession(connection, session);
  const { focus, focusTimes, note, goTo } = useFocus(id, snapshot, loadThrough);
  const [follow, setFollow] = useState(id === undefined);
  const [endTimes, setEndTimes] = useState(0);
  const toEnd = useCallback(() => setEndTimes((n) => n + 1), []);
  useSeen(session, snapshot, follow);
  useEffect(() => void want(session), [session, snapshot?.phase === 'live']);
  if (!snapshot || snapshot.phase === 'loading') {
    // What waits to be sent is there also while the server cannot be reached.
    return (
      <Frame session={session}>
        <Skeleton />
        <Note problem={snapshot?.problem} />
        <Foot key="foot" session={session} snapshot={snapshot} onSend={toEnd} />
      </Frame>
    );
  }
  if (snapshot.phase === 'missing') return <Frame session={session}>{<Missing session={session} onMade={reopen} />}</Frame>;
  if (snapshot.phase === 'failed' && snapshot.conversation.last === 0) return <Frame session={session}>{<Trouble problem={snapshot.problem} onAgain={reopen} />}</Frame>;
  const { conversation } = snapshot;
  return (
    <Frame session={session} snapshot={snapshot} tray={<Tray questions={conversation.questions} kontasks={conversation.kontasks} onGo={goTo} />}>
      <StatusBar snapshot={snapshot} />
      {note ? (
        <p class="session-note" role="status">
          {note}
        </p>
      ) : (
        snapshot.phase !== 'failed' && <Note problem={snapshot.problem} />
      )}
      {snapshot.phase === 'failed' && <Trouble problem={snapshot.problem} onAgain={reopen} />}
      <ConversationView
        conversation={conversation}
        session={session}
        live
        actions={actions}
        phase={snapshot.phase}
        focus={focus}
        focusTimes={focusTimes}
        hasEarlier={snapshot.hasEarlier}
        loadingEarlier={snapshot.loadingEarlier}
        onEarlier={loadEarlier}
        onFollow={setFollow}
        endTimes={endTimes}
      />
      <Foot key="foot" session={session} snapshot={snapshot} onSend={toEnd} />
    </Frame>
  );
}

/** What could not be read, while the rest of the page goes on. */
function Note({ problem }: { problem: Problem | undefined }) {
  if (!problem) return null;
  return (
    <p class="session-note" role="status" data-testid="session-problem">
      {problem.detail || problem.title}
    </p>
  );
}

function Frame({ session, snapshot, tray, children }: { session: string; snapshot?: ViewSnapshot; tray?: ComponentChildren; children: ComponentChildren }) {
  const latest = useRef(snapshot);
  latest.current = snapshot;
  const title = rowOf(session).value?.title || session;
  return (
    <div class="session">
      <header class="session-head">
        <h1 title={session}>{title}</h1>
        <SessionTabs session={session} now="" />
        {tray}
        <ExportMenu session={session} conversation={snapshot?.conversation} />
        <SessionMenu session={session} title={title} latest={latest} />
      </header>
      {children}
    </div>
  );
}

const SessionMenu = memo(({ session, title, latest }: { session: string; title: string; latest: { current: ViewSnapshot | undefined } }) => (
  <Menu
    label="Actions of the session"
    items={() => [
      { label: 'Copy link', icon: 'link', run: () => void copied(location.href.split('#')[0] + link(session), 'The link was copied') },
      { label: 'Copy what is loaded as Markdown', icon: 'copy', run: () => void copied(latest.current ? conversationMarkdown(latest.current.conversation, title) : '', 'The conversation was copied') },
      ...ofList(session),
    ]}
  />
));

/** The same as in the list; of what no list has, there is only the id. */
function ofList(session: string): MenuItem[] {
  const row = peek(session);
  return row ? sessionMenu(row) : [{ label: 'Copy id', icon: 'copy', run: () => void copied(session, 'Id copied') }];
}

async function copied(text: string, said: string): Promise<void> {
  announce((await copy(text)) ? said : 'Copying is not allowed here');
}

/** Prompts on their way, the queue and the box. Drawn again only when one of them is concerned. */
function Foot({ session, snapshot, onSend }: { session: string; snapshot: ViewSnapshot | undefined; onSend: () => void }) {
  const { conversation, status } = snapshot ?? {};
  const last = conversation?.last ?? 0;
  const [sent, setSent] = useState<readonly { ack: Ack; text: string }[]>([]);
  const landing = useMemo(() => sent.filter((s) => s.ack.id > last), [sent, last]);
  useEffect(() => {
    if (landing.length < sent.length) setSent(landing);
  }, [landing]);
  const onSent = useCallback((ack: Ack, text: string) => setSent((all) => [...all, { ack, text }]), []);
  const online = useComputed(() => connectionState.value.phase === 'live');
  const turn = status?.turnActive ? (status.turn ?? '') : status ? '' : (conversation?.openTurn?.turn ?? '');
  return (
    <footer class="session-foot">
      <QueueRow session={session} actions={actions} queued={conversation?.queued ?? none} total={status?.queued ?? 0} />
      <Outbox session={session} actions={actions} landing={landing} />
      <ComposerRow session={session} actions={actions} upload={upload} turn={turn} closed={conversation?.closed || status?.state === 'closed'} online={online} onSend={onSend} onSent={onSent} />
    </footer>
  );
}

const none: readonly Section[] = [];
const QueueRow = memo(Queue);
const ComposerRow = memo(Composer);

/** Marks the session as seen while its end is before somebody's eyes. */
function useSeen(session: string, snapshot: ViewSnapshot | undefined, follow: boolean): void {
  const last = snapshot?.phase === 'live' ? snapshot.conversation.last : 0;
  useEffect(() => {
    const look = () => {
      if (follow && last > 0 && document.visibilityState === 'visible') markSeen(session, last);
    };
    look();
    document.addEventListener('visibilitychange', look);
    return () => document.removeEventListener('visibilitychange', look);
  }, [session, last, follow]);
}
