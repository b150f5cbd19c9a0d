// Keeps what is read in its place: at the end while the reader is at the end,
// else the first row that can be seen, whatever is added above or grows.

import { isHead } from './layout';

/** Pixels from the end that still count as the end. */
const endSlack = 12;
/** Pixels from either end of the rows at which more of them are wanted: a page of a large screen. */
const edge = 900;
/** Rows that are remembered, should the first of them go. */
const anchorsMax = 12;

export interface ScrollerHooks {
  /** Rows are wanted at one side. */
  want(way: 'up' | 'down'): void;
  /** At the end of the log or away from it. */
  following(follow: boolean): void;
  /** Whether the last row of the document is the last one there is. */
  atTail(): boolean;
}

export class Scroller {
  /** The reader is at the end and stays there. */
  follow = true;
  private element: HTMLElement | undefined;
  private list: HTMLElement | undefined;
  private anchors: { key: string; top: number }[] = [];
  private top = 0;
  private observer: ResizeObserver | undefined;

  constructor(private readonly hooks: ScrollerHooks) {}

  /** Begins to look after a scrolling element and the list in it. */
  attach(element: HTMLElement, list: HTMLElement): () => void {
    this.element = element;
    this.list = list;
    const scrolled = () => this.scrolled();
    element.addEventListener('scroll', scrolled, { passive: true });
    this.observer = typeof ResizeObserver === 'undefined' ? undefined : new ResizeObserver(() => this.settle());
    this.observer?.observe(element);
    this.observer?.observe(list);
    return () => {
      element.removeEventListener('scroll', scrolled);
      this.observer?.disconnect();
      this.element = this.list = undefined;
    };
  }

  /** To be called when rows have changed: puts back what was seen. */
  settle(): void {
    const { element } = this;
    if (!element) return;
    if (this.follow && this.hooks.atTail()) this.move(element.scrollHeight);
    else this.restore(element);
    this.remember();
    this.wants();
  }

  /** Whether there is more than the screen shows, and some to scroll. */
  fills(): boolean {
    return this.element !== undefined && this.element.scrollHeight > this.element.clientHeight * 1.5;
  }

  /** Follows the end again if it is still in view. */
  resume(): void {
    if (this.atEnd() && this.hooks.atTail()) this.setFollow(true);
  }

  private atEnd(): boolean {
    const { element } = this;
    return element !== undefined && element.scrollHeight - element.scrollTop - element.clientHeight <= endSlack;
  }

  /** Brings a row into view, a third from the top, and stays there. */
  reveal(key: string): boolean {
    const row = this.row(key);
    if (!row || !this.element) return false;
    this.setFollow(false);
    const box = this.element.getBoundingClientRect();
    this.move(this.element.scrollTop + row.getBoundingClientRect().top - box.top - box.height / 4);
    this.remember();
    return true;
  }

  private scrolled(): void {
    const { element } = this;
    if (!element) return;
    const up = element.scrollTop < this.top - 1;
    this.top = element.scrollTop;
    if (this.atEnd() && this.hooks.atTail()) this.setFollow(true);
    else if (up) this.setFollow(false);
    this.remember();
    this.wants();
  }

  private setFollow(follow: boolean): void {
    if (follow === this.follow) return;
    this.follow = follow;
    this.hooks.following(follow);
  }

  private wants(): void {
    const { element } = this;
    if (!element || element.clientHeight === 0) return;
    if (element.scrollTop < edge) this.hooks.want('up');
    if (!this.follow && element.scrollHeight - element.scrollTop - element.clientHeight < edge) this.hooks.want('down');
  }

  private move(top: number): void {
    const { element } = this;
    if (!element) return;
    if (Math.abs(element.scrollTop - top) >= 1) element.scrollTop = top;
    this.top = element.scrollTop;
  }

  private restore(element: HTMLElement): void {
    for (const anchor of this.anchors) {
      const row = this.row(anchor.key);
      if (!row) continue;
      const off = row.getBoundingClientRect().top - element.getBoundingClientRect().top - anchor.top;
      if (Math.abs(off) >= 1) this.move(element.scrollTop + off);
      return;
    }
  }

  private remember(): void {
    const { element, list } = this;
    if (!element || !list) return;
    const from = element.getBoundingClientRect().top;
    const rows = [...list.querySelectorAll<HTMLElement>('[data-key]')];
    // Rows are in the order of their place: the first that reaches into view.
    let low = 0;
    let high = rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (rows[middle]!.getBoundingClientRect().bottom <= from + 1) low = middle + 1;
      else high = middle;
    }
    const seen = rows.slice(low, low + anchorsMax).map((row) => ({ key: row.dataset.key!, top: row.getBoundingClientRect().top - from }));
    // The head of a turn holds no place: what came earlier in the turn is put behind it.
    this.anchors = [...seen.filter((a) => !isHead(a.key)), ...seen.filter((a) => isHead(a.key))];
  }

  private row(key: string): HTMLElement | null {
    return this.list?.querySelector<HTMLElement>(`[data-key="${CSS.escape(key)}"]`) ?? null;
  }
}
