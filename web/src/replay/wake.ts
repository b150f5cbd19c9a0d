// When a session has something new. Only that is taken from the live
// connection; what it is, pages say, whose bytes are exact.
import { useEffect, useRef } from 'preact/hooks';
import { connection } from '../app/connection';

/** Calls `wake` when events came, at most once per `ms`, and after a connection that was away. */
export function useWake(session: string, wake: () => void, ms: number, enabled = true) {
  const latest = useRef(wake);
  latest.current = wake;
  useEffect(() => {
    if (!enabled) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const soon = () => {
      timer ??= setTimeout(() => {
        timer = undefined;
        latest.current();
      }, ms);
    };
    const subscription = connection.session(session, { tail: 0 });
    const stop = subscription.onMessage((message) => message.kind === 'events' && soon());
    for (const name of ['reset', 'caughtup'] as const) subscription.addEventListener(name, soon);
    return () => {
      clearTimeout(timer);
      stop();
      subscription.close();
    };
  }, [session, ms, enabled]);
}
