// A terminal: its screen, and in words whether one can type into it.
import type { RefObject } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { me, writeTrouble } from '../account/account';
import { connection } from '../app/connection';
import { link } from '../app/route';
import { offer, reopenTerminal, troubleWords } from '../sessions/actions';
import { exitWords, TerminalSession, type TerminalState } from './follow';
import { control, TerminalKeys } from './Keys';
import { openScreen, type Screen } from './screen';
import './terminal.css';

/** The room is measured so long after it changed. */
const RESIZE_MS = 200;

/** What a screen says by itself, to a program that asks or wants to know of the focus: two that took the size with each answer would never rest. */
const answers = /^\x1b(?:[\]P]|\[[?>]?[\d;]*\$?[RcnytIO])/;

export function TerminalView({ session }: { session: string }) {
  const place = useRef<HTMLDivElement>(null);
  const screen = useRef<Screen | undefined>(undefined);
  const log = useRef<TerminalSession | undefined>(undefined);
  const [state, setState] = useState<TerminalState>({ phase: 'loading', fresh: true, trouble: '' });
  /** Somebody types here. */
  const [mine, setMine] = useState(false);
  /** Ctrl is held for the next character; drawn and asked for where the screen hears of it. */
  const [held, setHeld] = useState(false);
  const ctrl = useRef(false);
  ctrl.current = held;
  const fit = () => {
    const size = screen.current?.fits();
    if (size) log.current?.resize(size.cols, size.rows);
  };
  const type = (text: string) => {
    if (!answers.test(text)) {
      setMine(true);
      fit(); // somebody else may have typed since
    }
    const under = ctrl.current ? control(text) : undefined;
    if (ctrl.current) setHeld(false);
    log.current?.type(under ?? text);
  };
  const why = trouble(session, useOffered());
  useEffect(() => {
    const drawn = openScreen(place.current!, type);
    const follower = new TerminalSession(connection, session, drawn, () => setState(follower.state));
    screen.current = drawn;
    log.current = follower;
    return () => {
      follower.close();
      drawn.close();
      screen.current = log.current = undefined;
    };
  }, [session]);
  const typing = state.phase === 'live' && why === '';
  // Keys wait for what is still to be drawn: they are asked for without waiting for a frame too.
  useLayoutEffect(() => {
    screen.current?.takes(typing);
    if (typing) screen.current?.focus();
  }, [typing]);
  // Whoever typed last decides how large it is; others see it at that size.
  useRoom(typing && (mine || state.fresh), place, fit);
  return (
    <div class="terminal" data-testid="terminal" data-phase={state.phase}>
      <div class="terminal-screen" ref={place} />
      {typing && <TerminalKeys held={held} hold={setHeld} type={type} arrow={(letter) => screen.current!.arrow(letter)} />}
      <p class="terminal-foot" role="status">
        {footWords(state, why)} {state.phase === 'failed' && <a href={link(session, 'events')}>All that it printed so far</a>}
        {state.phase === 'over' && state.exit?.reason !== 'closed' && why === '' && <Again session={session} state={state} />}
      </p>
    </div>
  );
}

/** Starts the same program once more. */
function Again({ session, state }: { session: string; state: TerminalState }) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState('');
  const run = async () => {
    setBusy(true);
    setProblem('');
    try {
      await reopenTerminal(session, state.program ?? { command: [], dir: '' });
    } catch (error) {
      setProblem(troubleWords(error));
    }
    setBusy(false);
  };
  return (
    <>
      <button type="button" class="button" disabled={busy} onClick={run} data-testid="terminal-again">
        Start it again
      </button>
      {problem && <span class="problem"> {problem}</span>}
    </>
  );
}

/** Whether the server opens terminals; yes until it says otherwise. */
function useOffered(): boolean {
  const [on, setOn] = useState(true);
  useEffect(() => {
    const ended = new AbortController();
    offer(ended.signal).then(({ shells }) => setOn(shells), () => undefined);
    return () => ended.abort();
  }, []);
  return on;
}

/** Calls fit now, and when the room of the element has changed and rests. */
function useRoom(wanted: boolean, place: RefObject<HTMLElement | null>, fit: () => void): void {
  useEffect(() => {
    if (!wanted) return;
    let timer = 0;
    const watch = new ResizeObserver(() => {
      clearTimeout(timer);
      timer = window.setTimeout(fit, RESIZE_MS);
    });
    watch.observe(place.current!);
    return () => {
      clearTimeout(timer);
      watch.disconnect();
    };
  }, [wanted]);
}

/** Why one cannot type here, '' when one can. */
function trouble(session: string, on: boolean): string {
  if (!on) return 'Terminals are switched off on this server (ENABLE_SHELL_REALTIME): what was printed is shown, and nothing can be typed.';
  if (me.value && !me.value.shell) return 'You watch: your access does not include shells.';
  return writeTrouble(session);
}

function footWords(state: TerminalState, why: string): string {
  switch (state.phase) {
    case 'loading':
      return why || 'Loading…';
    case 'failed':
      return state.problem?.detail || state.problem?.title || 'The terminal cannot be shown.';
    case 'over':
      return exitWords(state.exit!);
  }
  return state.trouble || why || 'What is typed is kept in the log, passwords too.';
}
