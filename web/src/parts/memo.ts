import { Component, createElement, type FunctionComponent } from 'preact';

/** A component that is drawn again only when one of its props is another value (===). */
export function memo<P extends object>(draw: FunctionComponent<P>): FunctionComponent<P> {
  class Memo extends Component<P> {
    override shouldComponentUpdate(next: Readonly<P>): boolean {
      const now = this.props as Record<string, unknown>;
      const then = next as Record<string, unknown>;
      const names = Object.keys(then);
      return names.length !== Object.keys(now).length || names.some((name) => now[name] !== then[name]);
    }
    render() {
      return createElement(draw, this.props as P);
    }
  }
  return Memo as unknown as FunctionComponent<P>;
}
