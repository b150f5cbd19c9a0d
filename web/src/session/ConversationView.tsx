import type { Conversation } from '@konlog/client/view';
import { useContext, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { announce } from '../app/announce';
import { Icon } from '../parts/Icon';
import { plural } from '../parts/format';
import { Folds, View, type Actions, type ViewContext } from './context';
import { Rows } from './Rows';
import { Layout } from './layout';
import { Scroller } from './scroller';
import { around, carry, grow, tail, type Span } from './span';
import './session.css';

export interface ConversationProps {
  conversation: Conversation;
  session: string;
  /** The end of the log is shown and moves: answers count, text may still stream. */
  live: boolean;
  /** Id of an event to show and to mark. Another value, or another `focusTimes`, goes there. */
  focus?: number;
  focusTimes?: number;
  /** Another value goes to the end and follows it, as after sending something. */
  endTimes?: number;
  hasEarlier?: boolean;
  loadingEarlier?: boolean;
  /** Asked for when the reader comes to the beginning of what is held. */
  onEarlier?: () => void;
  /** No actions, whatever is given. */
  readonly?: boolean;
  actions?: Actions;
  /** What the log is doing, for tests and styles. */
  phase?: string;
  /** Told when the reader comes to the end or leaves it. */
  onFollow?: (follow: boolean) => void;
}

/** A conversation on the screen: a bounded window of its rows that follows the end or keeps its place. */
export function ConversationView(props: ConversationProps) {
  const { conversation, session, live, focus, hasEarlier = false, loadingEarlier = false, readonly = false, actions, phase } = props;
  const view = useWindow(props);
  const parent = useContext(View);
  const folds = useMemo(() => parent?.folds ?? new Folds(), [session]);
  const latest = useRef(conversation);
  latest.current = conversation;
  const context = useMemo<ViewContext>(
    () => ({ session, live, actions: readonly ? undefined : actions, folds, conversation: () => latest.current }),
    [session, live, readonly, actions, folds],
  );
  return (
    <div class="conversation">
      <div
        ref={view.box}
        class="conversation-scroll"
        role="log"
        aria-live="off"
        aria-label="Conversation"
        tabIndex={0}
        data-testid="conversation"
        data-phase={phase}
        data-last={conversation.last}
        onKeyDown={(e) => keys(e, folds)}
      >
        <div ref={view.list} class="conversation-list" onFocusIn={view.focusIn} onFocusOut={view.focusOut}>
          <Earlier {...props} hidden={!hasEarlier || view.span.start > 0} busy={loadingEarlier} />
          <View.Provider value={context}>
            <Rows layout={view.layout} span={view.span} marked={view.marked} focus={focus} />
          </View.Provider>
        </div>
      </div>
      {!view.follow && (
        <button type="button" class="to-end" data-testid="to-end" onClick={view.toEnd}>
          <Icon name="arrowDown" />
          {view.fresh > 0 ? `${plural(view.fresh, 'new entry', 'new entries')}` : 'To the end'}
        </button>
      )}
    </div>
  );
}

function Earlier({ hidden, busy, onEarlier }: { hidden: boolean; busy: boolean; onEarlier?: () => void }) {
  if (hidden) return null;
  return (
    <button type="button" class="earlier" data-testid="earlier" disabled={busy} onClick={onEarlier}>
      {busy ? 'Loading earlier events…' : 'Earlier events'}
    </button>
  );
}

/** The window: its rows, what is marked, and whether it follows. */
function useWindow(props: ConversationProps) {
  const { conversation, focus, focusTimes, endTimes } = props;
  const box = useRef<HTMLDivElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const [, redraw] = useState(0);
  const state = useRef<WindowState>(undefined as unknown as WindowState);
  state.current ??= new WindowState(() => redraw((n) => n + 1));
  const now = state.current;
  now.props = props;
  now.take(conversation);

  useLayoutEffect(() => now.scroller.attach(box.current!, list.current!), []);
  useLayoutEffect(() => now.drawn());
  useEffect(() => {
    if (focus !== undefined) now.goTo(focus);
  }, [focus, focusTimes]);
  useEffect(() => {
    if (endTimes) now.toEnd();
  }, [endTimes]);
  const follow = now.scroller.follow;
  const { focusIn, focusOut } = now;
  return { box, list, focusIn, focusOut, layout: now.layout, span: now.span, marked: now.marked, follow, fresh: follow ? 0 : now.fresh(), toEnd: () => now.toEnd() };
}

class WindowState {
  props!: ConversationProps;
  layout = Layout.empty;
  span: Span = { start: 0, end: 0 };
  /** Key of the row that was asked for. */
  marked = '';
  readonly scroller: Scroller;
  private conversation: Conversation | undefined;
  /** Key of the last row when the reader left the end. */
  private left = '';
  private reveal = '';

  constructor(private readonly redraw: () => void) {
    this.scroller = new Scroller({
      want: (way) => this.want(way),
      following: (follow) => this.following(follow),
      atTail: () => this.span.end >= this.layout.total,
    });
  }

  take(conversation: Conversation): void {
    if (conversation === this.conversation) return;
    this.conversation = conversation;
    const before = this.layout;
    this.layout = Layout.of(conversation, before);
    this.span = carry(this.span, before, this.layout, this.scroller.follow);
  }

  drawn(): void {
    if (this.reveal && this.scroller.reveal(this.reveal)) this.reveal = '';
    else this.scroller.settle();
  }

  goTo(id: number): void {
    const index = this.layout.indexOfEvent(id);
    const row = this.layout.at(index);
    if (!row) return;
    this.span = around(index, this.layout.total);
    this.marked = this.reveal = row.key;
    this.scroller.follow = false;
    this.following(false);
  }

  toEnd(): void {
    this.span = tail(this.layout.total);
    this.marked = '';
    this.scroller.follow = true;
    this.following(true);
  }

  /** What is being written in a row, or is open over it, would be lost with the row: the window stays until that is done. */
  readonly focusIn = (e: FocusEvent): void => {
    if (!holdsRow(e.target) || !this.scroller.follow) return;
    this.scroller.follow = false;
    this.following(false);
  };

  readonly focusOut = (e: FocusEvent): void => {
    if (holdsRow(e.target) && !holdsRow(e.relatedTarget)) this.scroller.resume();
  };

  /** Rows that came since the reader left the end. */
  fresh(): number {
    const at = this.layout.indexOf(this.left, this.layout.total - 1);
    return at < 0 ? 0 : this.layout.total - 1 - at;
  }

  private following(follow: boolean): void {
    if (!follow) this.left = this.layout.at(this.layout.total - 1)?.key ?? '';
    this.props.onFollow?.(follow);
    this.redraw();
  }

  private want(way: 'up' | 'down'): void {
    const { total } = this.layout;
    // While the end is followed the rows above it are enough, if they fill the screen.
    if (way === 'up' && this.scroller.follow && this.scroller.fills()) return;
    if (way === 'up' && this.span.start === 0) {
      if (this.props.hasEarlier && !this.props.loadingEarlier) this.props.onEarlier?.();
      return;
    }
    if (way === 'down' && this.span.end >= total) return;
    this.span = grow(this.span, total, way);
    this.redraw();
  }
}

function holdsRow(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest('textarea, dialog') !== null;
}

/** Keys of the conversation, while the focus is in it and not in a field: e opens or closes the card at the focus, Shift+E all. */
function keys(e: KeyboardEvent, folds: Folds): void {
  const target = e.target as HTMLElement;
  if (e.ctrlKey || e.metaKey || e.altKey || target.closest('input, textarea, select, [contenteditable]')) return;
  if (e.key === 'E') {
    folds.setAll(!folds.allOpen);
    announce(folds.allOpen ? 'All details open' : 'All details closed');
  } else if (e.key === 'e') target.closest('[data-item]')?.querySelector<HTMLElement>('[data-fold]')?.click();
  else return;
  e.preventDefault();
}
