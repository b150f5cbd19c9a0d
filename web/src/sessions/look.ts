// What a person has before their eyes, told to the server: only when it makes
// a difference, since a streaming session would else send a mark per word.
import type { Row } from './model';

interface Hooks {
  /** Raises the mark in the list. */
  mark: (session: string, id: number) => void;
  send: (session: string, id: number) => Promise<unknown>;
  row: (session: string) => Row | undefined;
}

/** Marks of one session are at least this far apart. */
export const LOOK_MS = 400;
/** Sessions whose place is remembered; the ones looked at first are forgotten first. */
const PLACES_MAX = 1_000;

export class Look {
  /** How far each session was looked at. */
  #at = new Map<string, number>();
  /** Looked at while the page was hidden: it counts once it is not. */
  #hidden = new Map<string, number>();
  #due = new Map<string, ReturnType<typeof setTimeout>>();

  constructor(readonly hooks: Hooks) {
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) return;
      const held = [...this.#hidden];
      this.#hidden.clear();
      for (const [session, id] of held) this.at(session, id);
    });
  }

  /** The end of the session, up to id, is in view. */
  at(session: string, id: number): void {
    if (document.hidden) {
      this.#hidden.set(session, Math.max(id, this.#hidden.get(session) ?? 0));
      return;
    }
    if (id <= (this.#at.get(session) ?? 0)) return;
    this.#at.delete(session);
    this.#at.set(session, id);
    if (this.#at.size > PLACES_MAX) for (const [first] of this.#at) if (this.#at.delete(first)) break;
    const row = this.hooks.row(session);
    if (row) this.news(row);
  }

  /** The row is another: what came may have been looked at before the feed told of it. */
  news(row: Row): void {
    const id = this.#at.get(row.id) ?? 0;
    if (!notables(row).some((n) => n > row.seen && n <= id)) return;
    this.hooks.mark(row.id, id);
    if (this.#due.has(row.id)) return;
    const tell = () => {
      this.#due.delete(row.id);
      // A refusal is no harm: the next look, or the next list, tells again.
      void this.hooks.send(row.id, this.#at.get(row.id) ?? id).catch(() => undefined);
    };
    this.#due.set(row.id, setTimeout(tell, LOOK_MS));
  }

  /** The ids are another history's now. */
  forget(): void {
    this.#at.clear();
    this.#hidden.clear();
  }

  /** Marks at once, however it was looked at. The list has it when the server does, so that a refusal leaves nothing to take back. */
  async now(session: string, id: number): Promise<void> {
    await this.hooks.send(session, id);
    this.hooks.mark(session, id);
  }
}

/** The events of the row that ask to be seen. */
function notables(row: Row): number[] {
  return [...(row.ended ? [row.ended.id] : []), ...[...row.cards.values()].map((c) => c.ready)];
}
