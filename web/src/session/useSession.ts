// One session on the page: its view from open to close, as state of a component.
import type { Connection } from '@konlog/client';
import { openSession, type SessionView, type ViewSnapshot } from '@konlog/client/view';
import { useEffect, useRef, useState } from 'preact/hooks';
import { announce } from '../app/announce';
import { clip } from '../parts/format';
import { inputShort } from './tooltext';

export interface OpenSession {
  snapshot: ViewSnapshot | undefined;
  loadEarlier: () => void;
  loadThrough: (id: number) => Promise<boolean>;
  /** Opens it anew, after it was missing or failed. */
  reopen: () => void;
}

/** Opens the session while the component is there, and says aloud what somebody who does not look should know. */
export function useSession(connection: Connection, session: string): OpenSession {
  const view = useRef<SessionView | undefined>(undefined);
  const [snapshot, setSnapshot] = useState<ViewSnapshot>();
  const [times, setTimes] = useState(0);
  useEffect(() => {
    const opened = openSession(connection, session);
    view.current = opened;
    setSnapshot(opened.snapshot);
    const end = opened.subscribe(() => setSnapshot(opened.snapshot));
    return () => {
      end();
      opened.close();
      view.current = undefined;
    };
  }, [connection, session, times]);
  useAnnouncements(snapshot);
  return {
    snapshot,
    // Refusals show in the snapshot (problem); a press tries again.
    loadEarlier: () => void view.current?.loadEarlier().catch(() => undefined),
    loadThrough: (id) => view.current?.loadThrough(id).catch(() => false) ?? Promise.resolve(false),
    reopen: () => setTimes((n) => n + 1),
  };
}

/** What changed between two snapshots in words, '' when nothing that must be said. */
export function changeWords(before: ViewSnapshot, now: ViewSnapshot): string {
  const asked = fresh(before.conversation.questions, now.conversation.questions, (q) => q.requestId);
  if (asked) return `Question: may it use ${asked.tool || 'a tool'}? ${clip(inputShort(asked.input), 100)}`;
  const card = fresh(before.conversation.kontasks, now.conversation.kontasks, (k) => k.kontaskId);
  if (card) return `Kontask: ${card.record.title || 'without a title'}`;
  const open = before.conversation.openTurn;
  if (open && now.conversation.openTurn?.turn !== open.turn) {
    const ended = now.conversation.sections.findLast((s) => s.turn === open.turn);
    if (!ended || ended.state !== 'ended') return '';
    return ended.reason === 'stopped' ? 'The turn was stopped' : ended.success === false ? `The turn failed. ${clip(ended.error, 120)}` : 'The turn is done';
  }
  if (!open && now.conversation.openTurn) return 'Working';
  return '';
}

/** The first that was not there before. There may be thousands, and this is asked at every frame. */
function fresh<T>(before: readonly T[], now: readonly T[], name: (one: T) => string): T | undefined {
  if (before === now) return undefined;
  const known = new Set(before.map(name));
  return now.find((one) => !known.has(name(one)));
}

function useAnnouncements(snapshot: ViewSnapshot | undefined): void {
  const before = useRef<ViewSnapshot | undefined>(undefined);
  useEffect(() => {
    const last = before.current;
    before.current = snapshot;
    // History that is read in is no news.
    if (!last || !snapshot || last.phase !== 'live' || snapshot.phase !== 'live' || last.conversation === snapshot.conversation) return;
    const words = changeWords(last, snapshot);
    if (words) announce(words);
  }, [snapshot]);
}
