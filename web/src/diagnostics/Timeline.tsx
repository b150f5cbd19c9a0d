import { duration } from '../parts/format';
import type { Walk } from './verdict';

const WIDTH = 320;
const HEIGHT = 34;
const EDGE = 6;

/** When frames were due (above) and when they came (below): a look shows buffering. */
export function Timeline({ walk }: { walk: Walk }) {
  const { arrivals } = walk;
  const first = arrivals[0];
  if (!first) return null;
  const due = arrivals.map((a) => a.atMs - first.atMs);
  const came = arrivals.map((a) => a.at - first.at);
  const longest = Math.max(1, ...due, ...came);
  const x = (ms: number) => EDGE + (ms / longest) * (WIDTH - 2 * EDGE);
  const label = `Frames were sent over ${duration(Math.max(...due))} and came over ${duration(Math.max(...came))}.`;
  return (
    <svg class="diag-timeline" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={label}>
      {arrivals.map((a, i) => (
        <g key={a.n}>
          <line x1={x(due[i] ?? 0)} y1={9} x2={x(came[i] ?? 0)} y2={25} />
          <circle class="due" cx={x(due[i] ?? 0)} cy={8} r={3.5} />
          <circle class="came" cx={x(came[i] ?? 0)} cy={26} r={4} />
        </g>
      ))}
    </svg>
  );
}
