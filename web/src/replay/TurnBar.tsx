import { duration } from '../parts/format';
import { PARTS, PART_NAMES, spanOf, timingLine, type TurnTimes } from './timing';

const WIDTH = 1000;
/** What is there is seen, however short. */
const THIN = 2;

/** A turn's time as one stacked bar. `scale`: what the whole width stands for; without it the turn itself. */
export function TurnBar({ times, scale }: { times: TurnTimes; scale: number | undefined }) {
  const full = Math.max(1, scale ?? spanOf(times));
  let x = 0;
  const pieces = PARTS.filter((p) => times.parts[p] > 0).map((part) => {
    const width = Math.max(THIN, (WIDTH * times.parts[part]) / full);
    const piece = { part, x, width };
    x += width;
    return piece;
  });
  const queue = times.parts.queue > 0 ? `, queue ${duration(times.parts.queue)}` : '';
  return (
    <svg class="turn-bar" viewBox={`0 0 ${WIDTH} 12`} preserveAspectRatio="none" role="img" aria-label={timingLine(times) + queue}>
      <rect class="turn-bar-ground" width={WIDTH} height="12" />
      {pieces.map(({ part, x, width }) => (
        <rect key={part} class={`part-${part}`} x={x} width={width} height="12">
          <title>{`${PART_NAMES[part]}: ${duration(times.parts[part])}`}</title>
        </rect>
      ))}
    </svg>
  );
}
