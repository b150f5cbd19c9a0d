import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { connection } from '../app/connection';
import { EventList, type Row } from './eventlist';
import type { Filter } from './filter';
import { failureText, pagesOf } from './wire';

/** An event list as a component holds it. */
export interface Inspector {
  list: EventList;
  /** Changes with every change of the list. */
  version: number;
  busy: '' | 'older' | 'newer' | 'open';
  trouble: string;
  follow: boolean;
  setFollow(follow: boolean): void;
  open(id?: number): void;
  older(): void;
  newer(): void;
  /** Something new is in the log. */
  wake(): void;
  retry(): void;
  /** The id of the row beside this one, read from the server when it is not held. */
  neighbour(id: number | undefined, by: 1 | -1): Promise<number | undefined>;
}

/** The text filter waits for the end of a word. */
const TYPING_MS = 250;

type Run = (what: Inspector['busy'], work: (signal: AbortSignal) => Promise<void>) => Promise<void>;

/** Does what is asked of a list one after the other: each begins where the one before it came to. */
function useQueue(list: EventList) {
  const [version, setVersion] = useState(0);
  const [busy, setBusy] = useState<Inspector['busy']>('open');
  const [trouble, setTrouble] = useState('');
  const queue = useRef(Promise.resolve());
  const stop = useRef(new AbortController());
  const last = useRef(() => {});
  const run: Run = (what, work) => {
    const { signal } = stop.current;
    last.current = () => void run(what, work);
    const next = queue.current.then(async () => {
      if (signal.aborted) return;
      setBusy(what);
      setTrouble('');
      try {
        await work(signal);
        if (list.replaced) await list.open(undefined, signal);
      } catch (error) {
        if (!signal.aborted) setTrouble(failureText(error));
      }
      if (signal.aborted) return;
      setBusy('');
      setVersion((v) => v + 1);
    });
    queue.current = next;
    return next;
  };
  return { version, busy, trouble, run, stop, retry: () => last.current() };
}

/** Opens the list at the id, or follows its end, and opens it anew for another filter. */
export function useEventList(session: string, filter: Filter, id: number | undefined): Inspector {
  const settled = useSettled(filter);
  const list = useMemo(() => new EventList(pagesOf(connection.url), session, settled), [session, settled]);
  const { version, busy, trouble, run, stop, retry } = useQueue(list);
  const [follow, setFollow] = useState(id === undefined);
  const near = useRef<number | undefined>(id);

  const open = (to?: number) => {
    setFollow(to === undefined);
    near.current = to;
    void run('open', (signal) => list.open(to, signal));
  };
  useEffect(() => {
    stop.current = new AbortController();
    void run('open', (signal) => list.open(near.current, signal));
    return () => stop.current.abort();
  }, [list]);

  // News that comes while a page is read may be missing in that page, and nothing may follow it.
  const woken = useRef(false);
  const wake = () => {
    woken.current = busy !== '';
    if (busy === '' && (follow || list.end.newer)) void step('newer');
  };
  useEffect(() => {
    if (woken.current) wake();
  }, [busy]);

  const step = (way: 'older' | 'newer') => run(way, (signal) => list.step(way, signal));
  return {
    list,
    version,
    busy,
    trouble,
    follow,
    setFollow: (on) => {
      setFollow(on);
      if (on && !list.end.newer) open();
    },
    open,
    older: () => void (busy === '' && !list.end.older && step('older')),
    newer: () => void (busy === '' && step('newer')),
    wake,
    retry,
    async neighbour(from, by) {
      const find = () => beside(list.rows, from, by);
      const way = by === 1 ? 'newer' : 'older';
      if (find() === undefined && !list.end[way]) await step(way);
      return find();
    },
  };
}

function beside(rows: readonly Row[], id: number | undefined, by: 1 | -1): number | undefined {
  if (id === undefined) return (by === 1 ? rows[0] : rows.at(-1))?.id;
  const next = by === 1 ? rows.find((r) => r.id > id) : rows.findLast((r) => r.id < id);
  return next?.id;
}

function useSettled(filter: Filter): Filter {
  const [settled, settle] = useState(filter);
  useEffect(() => {
    if (filter === settled) return;
    const timer = setTimeout(() => settle(filter), filter.q === settled.q ? 0 : TYPING_MS);
    return () => clearTimeout(timer);
  }, [filter]);
  return settled;
}
