import { useMemo, useRef } from 'preact/hooks';
import { counter, count, plural } from '../parts/format';
import { memo } from '../parts/memo';
import { spotsOf, type MarkKind, type Spot } from './marks';
import type { Replay } from './replay';

/** Bars of the density track. */
const BARS = 200;
const WIDTH = 1000;
const HEIGHT = 24;
/** So near to an end that end is meant. */
const EDGE_PX = 3;
/** What PageUp and PageDown move by, of the whole. */
const LEAP = 0.05;

/** Rows of marks under the track, the ones to look for first on top. */
const LANES: readonly MarkKind[] = ['turn', 'tool', 'question', 'kontask', 'error'];
const LANE_NAMES: Record<MarkKind, [string, string]> = {
  turn: ['turn', 'turns'],
  tool: ['tool call', 'tool calls'],
  question: ['question', 'questions'],
  kontask: ['kontask', 'kontasks'],
  error: ['error', 'errors'],
};

/** The line of the log: how dense it is where, what is on it, and where the replay is. */
export function Scrubber({ replay }: { replay: Replay }) {
  const { player, log, marks } = replay;
  const { line } = log;
  const box = useRef<HTMLDivElement>(null);
  const { length } = line;
  const bars = useMemo(() => barsOf(line.density(BARS, player.skip)), [line, length, player.skip]);
  const spots = useMemo(() => spotsOf(marks, line, player.skip), [marks, line, length, player.skip]);
  const summary = useMemo(() => LANES.map((k) => [k, marks.filter((m) => m.kind === k).length] as const).filter(([, n]) => n > 0).map(([k, n]) => plural(n, ...LANE_NAMES[k])).join(', '), [marks]);
  const to = (e: PointerEvent) => {
    const { left, width } = box.current!.getBoundingClientRect();
    replay.move((p) => p.seekPart((e.clientX - left - EDGE_PX) / Math.max(1, width - 2 * EDGE_PX)));
  };
  const hold = (e: PointerEvent) => {
    if (e.button !== 0 || length === 0) return;
    box.current!.setPointerCapture(e.pointerId);
    box.current!.focus();
    to(e);
  };
  const onKeyDown = (e: KeyboardEvent) => {
    const by = { PageUp: LEAP, PageDown: -LEAP }[e.key];
    if (by === undefined) return;
    e.preventDefault();
    replay.move((p) => p.seekPart(p.part + by));
  };
  return (
    <div
      ref={box}
      class="scrubber"
      role="slider"
      tabIndex={0}
      data-testid="scrubber"
      aria-label={`Position in the log${summary && `: ${summary}`}`}
      aria-orientation="horizontal"
      aria-valuemin={0}
      aria-valuemax={Math.max(0, length)}
      aria-valuenow={player.place + 1}
      aria-valuetext={`event ${count(line.id(player.place))}${player.place >= 0 ? `, ${line.type(player.place)}` : ''}, ${counter(player.moment)} of ${counter(line.total(player.skip))}`}
      aria-disabled={length === 0}
      onPointerDown={hold}
      onPointerMove={(e) => box.current!.hasPointerCapture(e.pointerId) && to(e)}
      onKeyDown={onKeyDown}
    >
      <Track bars={bars} />
      <Spots spots={spots} />
      <div class="scrubber-done" style={{ width: `${player.part * 100}%` }} />
      <div class="scrubber-knob" style={{ left: `${player.part * 100}%` }} />
    </div>
  );
}

// By the root: one dense second does not hide all the rest.
function barsOf(counts: Uint32Array): string {
  const most = Math.sqrt(Math.max(1, ...counts));
  const width = WIDTH / counts.length;
  return Array.from(counts, (n, i) => (n === 0 ? '' : `M${i * width} ${HEIGHT}v${-Math.max(2, (HEIGHT * Math.sqrt(n)) / most)}h${width * 0.8}V${HEIGHT}z`)).join('');
}

const Track = memo(({ bars }: { bars: string }) => (
  <svg class="scrubber-track" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
    <path d={bars} />
  </svg>
));

const Spots = memo(({ spots }: { spots: readonly Spot[] }) => (
  <svg class="scrubber-spots" aria-hidden="true">
    {spots.map((s) => (
      <rect key={`${s.kind} ${s.id}`} class={`spot-${s.kind}`} x={`${s.x * 100}%`} y={1 + LANES.indexOf(s.kind) * 4} width={s.kind === 'tool' ? 2 : 3} height="3">
        <title>{`${s.n > 1 ? plural(s.n, ...LANE_NAMES[s.kind]) : LANE_NAMES[s.kind][0]}${s.label && `: ${s.label}`}`}</title>
      </rect>
    ))}
  </svg>
));
