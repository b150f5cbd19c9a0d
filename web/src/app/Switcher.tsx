import type { SessionInfo } from '@konlog/client';
import { computed, signal, useSignal } from '@preact/signals';
import { useEffect, useId, useRef } from 'preact/hooks';
import { Icon } from '../parts/Icon';
import { StateDot } from '../sessions/StateDot';
import { note, peek, visibleAll } from '../sessions/store';
import { connection } from './connection';
import { match, parts, type Match } from './match';
import { link } from './route';

/** True while the switcher is shown. */
export const switcherOpen = signal(false);

/** Rows that are shown; more letters find the rest. */
const SHOWN = 50;
/** After the last letter the server is asked as well. */
const ASK_MS = 180;

interface Found {
  id: string;
  title: string;
  at: Match;
  inTitle: boolean;
}

/** The sessions that the letters mean, the best first. */
export function find(query: string, rows: readonly { id: string; title: string }[]): Found[] {
  const out: Found[] = [];
  for (const { id, title } of rows) {
    const byTitle = title ? match(query, title) : undefined;
    const byId = match(query, id);
    if (!byTitle && !byId) continue;
    const inTitle = !!byTitle && byTitle.score >= (byId?.score ?? -Infinity) - 1;
    out.push({ id, title, at: (inTitle ? byTitle : byId) as Match, inTitle });
  }
  // The order of the list settles ties: sort is stable.
  return query.trim() ? out.sort((a, b) => b.at.score - a.at.score) : out;
}

/** Ctrl K: a few letters, Enter, there. */
export function Switcher() {
  const dialog = useRef<HTMLDialogElement>(null);
  const open = switcherOpen.value;
  useEffect(() => {
    if (!open || !dialog.current) return;
    const before = document.activeElement;
    dialog.current.showModal();
    const box = dialog.current;
    return () => {
      if (box.open) box.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, [open]);
  if (!open) return null;
  const close = () => (switcherOpen.value = false);
  return (
    <dialog ref={dialog} class="dialog switcher" data-testid="switcher" aria-label="Go to a session" onCancel={(e) => (e.preventDefault(), close())} onClick={(e) => e.target === dialog.current && close()}>
      <Finder close={close} />
    </dialog>
  );
}

function Finder({ close }: { close: () => void }) {
  const query = useSignal('');
  const chosen = useSignal(0);
  const id = useId();
  const found = useRef(computed(() => find(query.value, visibleAll.value).slice(0, SHOWN))).current;
  useServer(query.value);
  const list = found.value;
  const at = Math.min(chosen.value, list.length - 1);
  const go = (session: string | undefined) => {
    if (session === undefined) return;
    close();
    location.hash = link(session);
  };
  const onKeyDown = (e: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[e.key];
    if (step) {
      e.preventDefault();
      chosen.value = (at + step + list.length) % Math.max(1, list.length);
      document.getElementById(`${id}-${chosen.value}`)?.scrollIntoView({ block: 'nearest' });
    } else if (e.key === 'Enter' && !e.isComposing) {
      e.preventDefault();
      go(list[at]?.id);
    }
  };
  return (
    <>
      <div class="switcher-field">
        <Icon name="search" />
        <input
          autoFocus
          role="combobox"
          aria-expanded="true"
          aria-controls={`${id}-list`}
          aria-activedescendant={list.length ? `${id}-${at}` : undefined}
          aria-label="Title or id of a session"
          placeholder="Title or id of a session"
          autocomplete="off"
          spellcheck={false}
          onKeyDown={onKeyDown}
          onInput={(e) => {
            query.value = e.currentTarget.value;
            chosen.value = 0;
          }}
        />
      </div>
      {list.length === 0 && <p class="switcher-none">No session has this in its title or id.</p>}
      <Hits id={id} list={list} at={at} choose={(i) => (chosen.value = i)} go={go} />
      <Foot />
    </>
  );
}

function Hits({ id, list, at, choose, go }: { id: string; list: readonly Found[]; at: number; choose: (i: number) => void; go: (session: string) => void }) {
  return (
    <ul class="switcher-list" id={`${id}-list`} role="listbox" aria-label="Sessions" hidden={list.length === 0}>
      {list.map((hit, i) => (
        <li key={hit.id} id={`${id}-${i}`} role="option" aria-selected={i === at} data-session={hit.id} onClick={() => go(hit.id)} onPointerMove={() => i !== at && choose(i)}>
          <StateDot row={peek(hit.id)} />
          <span class="what">{hit.inTitle ? <Marked text={hit.title} at={hit.at} /> : hit.title || <Marked text={hit.id} at={hit.at} />}</span>
          {hit.title && <span class="id">{hit.inTitle ? hit.id : <Marked text={hit.id} at={hit.at} />}</span>}
        </li>
      ))}
    </ul>
  );
}

function Foot() {
  return (
    <p class="switcher-foot">
      <span>
        <kbd class="kbd">↑</kbd> <kbd class="kbd">↓</kbd> choose
      </span>
      <span>
        <kbd class="kbd">Enter</kbd> open
      </span>
      <span>
        <kbd class="kbd">Esc</kbd> close
      </span>
    </p>
  );
}

/** What the page does not hold the server may: its hits join the list. */
function useServer(query: string): void {
  useEffect(() => {
    const q = query.trim();
    if (q.length < 2) return;
    const timer = setTimeout(async () => {
      const page = await connection.get<{ sessions: SessionInfo[] }>(`/v1/sessions?limit=${SHOWN}&q=${encodeURIComponent(q)}`).catch(() => ({ sessions: [] }));
      note(page.sessions);
    }, ASK_MS);
    return () => clearTimeout(timer);
  }, [query]);
}

function Marked({ text, at }: { text: string; at: Match }) {
  return (
    <>
      {parts(text, at.at).map((p) => (p.hit ? <b>{p.text}</b> : p.text))}
    </>
  );
}
