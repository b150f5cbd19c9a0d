import type { ComponentChildren } from 'preact';

export type Tone = 'neutral' | 'accent' | 'ok' | 'warn' | 'bad';

/** A short word in a coloured field. The word says it all: colour is never alone. */
export function Badge({ tone = 'neutral', children, ...rest }: { tone?: Tone; children: ComponentChildren; title?: string; 'data-badge'?: string }) {
  return (
    <span class={`badge ${tone}`} {...rest}>
      {children}
    </span>
  );
}
