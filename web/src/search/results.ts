// Pages of a search, the newest question's only.
import { ProblemError } from '@konlog/client';
import { signal, type Signal } from '@preact/signals';

interface Page<T> {
  items: T[];
  next?: string | undefined;
  partial?: boolean | undefined;
}

/** Empty pages that are read through in a row: the server bounds the work of one request, not what there is. */
const EMPTY_MAX = 10;

export class Results<T> {
  readonly items: Signal<readonly T[]> = signal([]);
  /** idle before the first question. */
  readonly phase = signal<'idle' | 'busy' | 'done' | 'failed'>('idle');
  readonly trouble = signal('');
  readonly partial = signal(false);
  readonly next = signal<string | undefined>(undefined);
  #asked = 0;

  constructor(readonly read: (cursor: string) => Promise<Page<T>>) {}

  /** Asks anew: the items of before stay until the first page is here. */
  start(): Promise<void> {
    return this.#page('', true);
  }

  /** The page after the last one. */
  more(): Promise<void> {
    if (this.phase.value === 'busy' || this.next.value === undefined) return Promise.resolve();
    return this.#page(this.next.value, false);
  }

  clear(): void {
    this.#asked++;
    this.items.value = [];
    this.phase.value = 'idle';
    this.next.value = undefined;
  }

  async #page(cursor: string, anew: boolean): Promise<void> {
    const mine = ++this.#asked;
    this.phase.value = 'busy';
    this.trouble.value = '';
    try {
      let page = await this.read(cursor);
      for (let n = 0; n < EMPTY_MAX && page.items.length === 0 && page.next && mine === this.#asked; n++) page = await this.read(page.next);
      if (mine !== this.#asked) return;
      this.items.value = anew ? page.items : [...this.items.value, ...page.items];
      this.next.value = page.next || undefined;
      this.partial.value = page.partial === true;
      this.phase.value = 'done';
    } catch (error) {
      if (mine !== this.#asked) return;
      if (anew) this.items.value = [];
      this.phase.value = 'failed';
      this.trouble.value = error instanceof ProblemError && error.problem.status > 0 ? error.message : 'The server does not answer. Try again.';
    }
  }
}
