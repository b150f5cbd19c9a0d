// What the items of a conversation share, whatever page shows them.
import type { Ack, Command, Connection, Pending } from '@konlog/client';
import type { Conversation } from '@konlog/client/view';
import { signal, type ReadonlySignal, type Signal } from '@preact/signals';
import { createContext } from 'preact';

/** What a person can do; a page that only shows has none. */
export interface Actions {
  send(command: Command): Promise<Ack>;
  get: Connection['get'];
  retry(key: string): void;
  drop(key: string): void;
  pending: ReadonlySignal<readonly Pending[]>;
  /** Why nothing can be written to the session, '' when it can; left out: nothing is known against it. */
  why?: (session: string) => string;
  /** What is sent waits until somebody has signed in. */
  signedOut?: ReadonlySignal<boolean>;
}

/** What is said of a command that waits. */
export function waitingWords({ signedOut }: Pick<Actions, 'signedOut'>): string {
  return signedOut?.value ? 'Kept here; it is sent when you have signed in.' : 'Kept here; it is sent when the server is back.';
}

export interface ViewContext {
  session: string;
  /** The end of the log is shown and moves. */
  live: boolean;
  /** undefined: look, do not touch. */
  actions: Actions | undefined;
  folds: Folds;
  /** What is shown now, for what looks further than its own item. */
  conversation: () => Conversation | undefined;
}

export const View = createContext<ViewContext | undefined>(undefined);

/** Choices of open or closed that are remembered; beyond it those that were drawn longest ago are forgotten. */
const foldsMax = 5_000;

/** What is open and what is closed, kept while rows come and go. */
export class Folds {
  private readonly chosen = new Map<string, Signal<boolean | undefined>>();
  /** What was said of all of them last; undefined: each as it is by itself. */
  private readonly all = signal<boolean | undefined>(undefined);

  isOpen(key: string, byItself: boolean): boolean {
    return this.of(key).value ?? this.all.value ?? byItself;
  }

  set(key: string, open: boolean): void {
    this.of(key).value = open;
  }

  /** Opens or closes all, also those that come. */
  setAll(open: boolean): void {
    for (const one of this.chosen.values()) one.value = undefined;
    this.all.value = open;
  }

  get allOpen(): boolean {
    return this.all.value === true;
  }

  private of(key: string): Signal<boolean | undefined> {
    const one = this.chosen.get(key) ?? signal<boolean | undefined>(undefined);
    // To the end: a card that is drawn still listens to its signal, and must not be the one that is forgotten.
    this.chosen.delete(key);
    this.chosen.set(key, one);
    if (this.chosen.size > foldsMax) this.chosen.delete(this.chosen.keys().next().value as string);
    return one;
  }
}
