import { useShortcuts } from '../app/shortcuts';
import type { Replay } from './replay';

/** The keys of a replay: space, arrows, Home and End, speeds with + and -. */
export function useReplayKeys(replay: Replay) {
  useShortcuts(
    [
      [' ', 'Play or pause', (e) => onButton(e) || toggle(replay)],
      ['ArrowRight', 'Next event', () => replay.move((p) => p.step(1))],
      ['ArrowLeft', 'Event before', () => replay.move((p) => p.step(-1))],
      ['shift+ArrowRight', 'Next turn', () => replay.move((p) => p.stepTurn(1, replay.turns))],
      ['shift+ArrowLeft', 'Turn before', () => replay.move((p) => p.stepTurn(-1, replay.turns))],
      ['Home', 'To the first event', () => replay.move((p) => p.step(-Infinity))],
      ['End', 'To the last event', () => replay.move((p) => p.step(Infinity))],
    ],
    [replay],
  );
}

/** Plays, or pauses. */
export function toggle(replay: Replay) {
  replay.move((p) => (p.playing ? (p.playing = false) : p.play()));
}

// On a control that the space bar presses it presses that.
function onButton(e: KeyboardEvent): boolean {
  const control = e.target instanceof Element && e.target.closest('button, a, summary, select, input, [role=button]');
  if (control instanceof HTMLElement && !(control instanceof HTMLInputElement)) control.click();
  return !!control;
}
