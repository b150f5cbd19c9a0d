import { useEffect, useReducer, useRef } from 'preact/hooks';
import type { Replay } from './replay';

/** Loads, plays while it plays, and draws again with every change. Gives what ends all of it. */
export function useReplay(replay: Replay) {
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  const stop = useRef<AbortSignal | undefined>(undefined);
  useEffect(() => {
    const abort = new AbortController();
    stop.current = abort.signal;
    const quiet = replay.subscribe(() => redraw(undefined));
    void replay.load(abort.signal);
    return () => {
      quiet();
      abort.abort();
    };
  }, [replay]);
  const { playing } = replay.player;
  useEffect(() => {
    if (!playing) return;
    let frame = 0;
    let before = performance.now();
    const tick = (now: number) => {
      replay.tick(now - before, stop.current);
      before = now;
      frame = requestAnimationFrame(tick);
    };
    frame = requestAnimationFrame(tick);
    return () => cancelAnimationFrame(frame);
  }, [replay, playing]);
  return stop;
}
