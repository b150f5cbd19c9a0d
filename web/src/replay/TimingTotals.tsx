import { cost, count, duration, percent } from '../parts/format';
import { PARTS, PART_NAMES, type Totals as Sums } from './timing';

/** The sums over all turns that were read. */
export function Totals({ totals, whole }: { totals: Sums; whole: boolean }) {
  const { parts, tokens } = totals;
  const facts: [label: string, value: string, note: string][] = [
    ['Turns', count(totals.turns), totals.failed > 0 ? `${count(totals.failed)} failed` : ''],
    ['Time in turns', duration(totals.totalMs), ''],
    ['First event', duration(parts.ttfe), percent(parts.ttfe, totals.totalMs)],
    ['Thinking and text', duration(parts.thinking), percent(parts.thinking, totals.totalMs)],
    ['Tools', duration(parts.tools), `${percent(parts.tools, totals.totalMs)}, ${count(totals.toolCalls)} calls`],
    ['Waiting', duration(parts.waiting), percent(parts.waiting, totals.totalMs)],
    ['Cost', totals.costUsd === undefined ? '–' : cost(totals.costUsd), totals.costUsd === undefined ? 'not told' : ''],
    ['Tokens in', optional(tokens.input), tokens.cacheRead === undefined ? '' : `${count(tokens.cacheRead)} from cache`],
    ['Tokens out', optional(tokens.output), ''],
  ];
  return (
    <section aria-label={whole ? 'Totals' : 'Totals of the turns that were read'}>
      <dl class="timing-totals card">
        {facts.map(([label, value, note]) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd class="num">{value}</dd>
            <dd class="timing-note num">{note}</dd>
          </div>
        ))}
      </dl>
      {!whole && <p class="timing-note">Of the {count(totals.turns)} newest turns. Older ones are not in these numbers.</p>}
    </section>
  );
}

function optional(n: number | undefined): string {
  return n === undefined ? '–' : count(n);
}

/** Which colour is which part. */
export function Legend() {
  return (
    <ul class="timing-legend" aria-label="Parts of a turn">
      {PARTS.map((part) => (
        <li key={part}>
          <svg viewBox="0 0 10 10" aria-hidden="true">
            <rect class={`part-${part}`} width="10" height="10" rx="2" />
          </svg>
          {PART_NAMES[part]}
        </li>
      ))}
    </ul>
  );
}
