// The turns of a session, newest first, as far as they were read; and whole
// ones, with their tools, on demand.
import type { Turn } from '@konlog/client';
import { queryText, type Pages } from './wire';

/** Turns of the first page, which is to be there fast, and of the ones after it. */
export const FIRST_PAGE = 100;
export const PAGE = 500;
/** Turns that are read without being asked for; more at the press of a button. */
export const TURNS_AT_ONCE = 2_000;
/** Whole turns that are kept. A turn's text may be 1 MiB, so it is dropped. */
export const WHOLE_MAX = 300;
const WHOLE_ABREAST = 4;
/** Pages that a refresh goes back until it meets a turn that is known. */
const REFRESH_PAGES = 4;

interface TurnPage {
  turns: Turn[];
  next?: string;
}

export class TurnStore {
  /** Newest first. Replaced, never changed. */
  turns: readonly Turn[] = [];
  /** There are older ones. */
  more = true;
  private cursor = '';
  private whole = new Map<string, Turn>();
  private readonly path: string;

  constructor(private readonly pages: Pages, readonly session: string) {
    this.path = `/v1/sessions/${encodeURIComponent(session)}/turns`;
  }

  /** Reads one page further back. */
  async loadMore(signal?: AbortSignal): Promise<void> {
    if (!this.more) return;
    const page = await this.read(this.turns.length === 0 ? FIRST_PAGE : PAGE, this.cursor, signal);
    const known = new Set(this.turns.map((t) => t.turn));
    this.turns = [...this.turns, ...page.turns.filter((t) => !known.has(t.turn))];
    this.cursor = page.next ?? '';
    this.more = this.cursor !== '';
  }

  /** Reads what is new, and the turns that had not ended. */
  async refresh(signal?: AbortSignal): Promise<void> {
    const known = new Map(this.turns.map((t) => [t.turn, t]));
    const fresh: Turn[] = [];
    let cursor = '';
    for (let i = 0; i < REFRESH_PAGES; i++) {
      const page = await this.read(FIRST_PAGE, cursor, signal);
      fresh.push(...page.turns);
      cursor = page.next ?? '';
      if (cursor === '' || page.turns.some((t) => known.has(t.turn))) break;
    }
    const seen = new Set(fresh.map((t) => t.turn));
    const open = await this.openOnes(fresh, signal);
    this.turns = [...fresh.map((t) => open.get(t.turn) ?? t), ...this.turns.filter((t) => !seen.has(t.turn))];
    for (const t of fresh) if (this.whole.get(t.turn)?.state !== 'ended') this.whole.delete(t.turn);
  }

  /** One turn with its tools, an open one as far as it is now. */
  async get(turn: string, signal?: AbortSignal): Promise<Turn> {
    const kept = this.whole.get(turn);
    if (kept?.state === 'ended') return kept;
    const got = JSON.parse(await this.pages.text(`${this.path}/${encodeURIComponent(turn)}`, signal)) as Turn;
    const { text: _, ...rest } = got;
    this.keep(rest as Turn);
    return rest as Turn;
  }

  /** Several, a few side by side; tell is called as they come. */
  async getAll(turns: readonly string[], tell: (done: number) => void, signal?: AbortSignal): Promise<Turn[]> {
    const got: Turn[] = [];
    for (let i = 0; i < turns.length; i += WHOLE_ABREAST) {
      got.push(...(await Promise.all(turns.slice(i, i + WHOLE_ABREAST).map((t) => this.get(t, signal)))));
      tell(got.length);
    }
    return got;
  }

  private keep(turn: Turn) {
    this.whole.delete(turn.turn);
    this.whole.set(turn.turn, turn);
    if (this.whole.size > WHOLE_MAX) this.whole.delete(this.whole.keys().next().value!);
  }

  // A list shows an open turn as it began; what it has done so far is in the
  // turn itself.
  private async openOnes(turns: readonly Turn[], signal?: AbortSignal): Promise<Map<string, Turn>> {
    const open = turns.filter((t) => t.state === 'open');
    return new Map((await Promise.all(open.map((t) => this.get(t.turn, signal)))).map((t) => [t.turn, t]));
  }

  private async read(limit: number, cursor: string, signal?: AbortSignal): Promise<TurnPage> {
    const page = JSON.parse(await this.pages.text(this.path + queryText({ limit, cursor }), signal)) as TurnPage;
    return page;
  }
}
