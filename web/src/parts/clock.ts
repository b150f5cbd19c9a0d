// One ticking clock for the whole page. It runs only while somebody looks, so
// that an idle page does no work.
import { signal, type ReadonlySignal } from '@preact/signals';

function ticker(ms: number): ReadonlySignal<number> {
  let timer: ReturnType<typeof setInterval> | undefined;
  const now = signal(Date.now(), {
    watched() {
      now.value = Date.now();
      timer = setInterval(() => (now.value = Date.now()), ms);
    },
    unwatched() {
      clearInterval(timer);
      timer = undefined;
    },
  });
  return now;
}

/** Date.now, moved on every second while it is watched. */
export const seconds = ticker(1_000);
/** Date.now, moved on four times a minute while it is watched. */
export const quarters = ticker(15_000);
