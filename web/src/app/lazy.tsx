// Pages that are not needed at once come with their own file, when they are asked for.
import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';

const loaders: (() => Promise<unknown>)[] = [];

/** Fetches all of them: so that every page is there when the server is not. A file that does not come is asked for again when it is drawn. */
export function prefetch(): void {
  for (const load of loaders) void load().catch(() => {});
}

/** A component that is fetched when it is first drawn; one that few need is not fetched ahead. A file that does not come is an error of that page alone. */
export function lazy<P extends object>(load: () => Promise<ComponentType<P>>, { ahead = true } = {}): ComponentType<P> {
  let ready: ComponentType<P> | undefined;
  if (ahead) loaders.push(async () => (ready = await load()));
  return function Lazy(props: P) {
    const [state, setState] = useState<{ error?: unknown; loaded: boolean }>({ loaded: ready !== undefined });
    useEffect(() => {
      if (ready) {
        setState((was) => (was.loaded ? was : { loaded: true })); // it was fetched ahead since this was drawn
        return;
      }
      let here = true;
      load().then(
        (component) => {
          ready = component;
          if (here) setState({ loaded: true });
        },
        (error: unknown) => here && setState({ loaded: false, error }),
      );
      return () => {
        here = false;
      };
    }, []);
    if (state.error !== undefined) throw new Error('A part of the console could not be loaded. The server may be a newer one now: reload the page.');
    const Page = ready;
    return Page ? <Page {...props} /> : <p class="empty" aria-busy="true"><span class="spinner" /></p>;
  };
}
