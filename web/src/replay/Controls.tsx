import { counter, count, moment } from '../parts/format';
import { Icon } from '../parts/Icon';
import { SPEEDS } from './player';
import type { Replay } from './replay';
import { Scrubber } from './Scrubber';
import { toggle } from './useReplayKeys';

/** What moves a replay, and says where it is. */
export function Controls({ replay }: { replay: Replay }) {
  const { player, log } = replay;
  const { line } = log;
  const none = line.length === 0;
  return (
    <footer class="replay-bar" role="group" aria-label="Replay">
      <Scrubber replay={replay} />
      <div class="replay-row">
        <div class="replay-buttons">
          <Press label="Turn before (Shift ←)" icon="stepBack" disabled={none} onClick={() => replay.move((p) => p.stepTurn(-1, replay.turns))} />
          <Press label="Event before (←)" icon="back" disabled={none} onClick={() => replay.move((p) => p.step(-1))} />
          <button type="button" class="button primary replay-play" disabled={none} data-testid="play" title="Play or pause (space)" onClick={() => toggle(replay)}>
            <Icon name={player.playing ? 'pause' : 'play'} />
            <span>{player.playing ? 'Pause' : 'Play'}</span>
          </button>
          <Press label="Next event (→)" icon="next" disabled={none} onClick={() => replay.move((p) => p.step(1))} />
          <Press label="Next turn (Shift →)" icon="stepForward" disabled={none} onClick={() => replay.move((p) => p.stepTurn(1, replay.turns))} />
        </div>
        <output class="replay-clock num" data-testid="replay-clock">
          <b>{counter(player.moment)}</b> / {counter(line.total(player.skip))}
        </output>
        <span class="replay-where num" title={moment(line.time(player.place))} data-testid="replay-place">
          event {count(line.id(player.place))} of {count(log.head)}
          <span class="replay-type"> · {line.type(player.place) || 'beginning'}</span>
        </span>
        <label class="replay-skip">
          <input type="checkbox" checked={player.skip} onChange={(e) => replay.move((p) => p.setSkip(e.currentTarget.checked))} /> Skip idle
        </label>
        <label class="replay-speed">
          <span class="visually-hidden">Speed</span>
          <select class="field" data-testid="speed" value={String(player.speed)} onChange={(e) => replay.move((p) => (p.speed = Number(e.currentTarget.value)))}>
            {SPEEDS.map((s) => (
              <option key={s} value={String(s)}>{s}×</option>
            ))}
          </select>
        </label>
      </div>
    </footer>
  );
}

function Press({ label, icon, disabled, onClick }: { label: string; icon: 'stepBack' | 'back' | 'next' | 'stepForward'; disabled: boolean; onClick: () => void }) {
  return (
    <button type="button" class="icon-button" aria-label={label} title={label} disabled={disabled} onClick={onClick}>
      <Icon name={icon} />
    </button>
  );
}
