// Which event of a session is brought into view, and when.
import type { ViewSnapshot } from '@konlog/client/view';
import { useEffect, useRef, useState } from 'preact/hooks';
import { count } from '../parts/format';

/** The event that is shown: the one of the address, or one that was asked for here; read in first when it must be. */
export function useFocus(id: number | undefined, snapshot: ViewSnapshot | undefined, loadThrough: (id: number) => Promise<boolean>) {
  const [at, setAt] = useState<{ focus: number | undefined; focusTimes: number }>({ focus: undefined, focusTimes: 0 });
  const [note, setNote] = useState('');
  const ready = snapshot !== undefined && snapshot.phase === 'live';
  const latest = useRef(snapshot);
  latest.current = snapshot;
  const asked = useRef(0);
  const gone = useRef<number | undefined>(undefined);
  const goTo = async (to: number) => {
    const mine = ++asked.current;
    setNote(`Going to event ${count(to)}…`);
    const there = await loadThrough(to);
    if (mine !== asked.current) return; // another one was asked for meanwhile
    // What hindered it is said by itself.
    setNote(there || latest.current?.problem ? '' : `Event ${count(to)} can no longer be read, or never was.`);
    if (there) setAt((was) => ({ focus: to, focusTimes: was.focusTimes + 1 }));
  };
  useEffect(() => {
    // Once: a reconnect must not take the reader back to where the link had led.
    if (id === gone.current || (id !== undefined && !ready)) return;
    gone.current = id;
    if (id !== undefined) void goTo(id);
  }, [id, ready]);
  return { ...at, note, goTo };
}
