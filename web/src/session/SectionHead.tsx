import { sectionMarkdown, type Section } from '@konlog/client/view';
import { link } from '../app/route';
import { Badge, type Tone } from '../parts/Badge';
import { copy } from '../parts/copy';
import { announce } from '../app/announce';
import { cost, duration, moment, timeOfDay } from '../parts/format';
import { Icon } from '../parts/Icon';
import { Menu } from '../parts/Menu';
import { useView } from './hooks';

/** What a turn is: its state, how long it took, what it cost, and what can be done with it. */
export function SectionHead({ section }: { section: Section }) {
  const { session } = useView();
  const [tone, word] = stateOf(section);
  const began = section.startedAt || section.items[0]?.time || '';
  return (
    <header class="turn-head" data-state={section.state}>
      <Badge tone={tone}>{word}</Badge>
      <span class="turn-facts">
        {[
          section.state !== 'queued' && section.durationMs > 0 ? duration(section.durationMs) : '',
          section.costUsd !== undefined ? cost(section.costUsd) : '',
          section.model || section.agent,
        ]
          .filter(Boolean)
          .join(' · ')}
      </span>
      {began && (
        <time class="turn-time" dateTime={began} title={moment(began)}>
          {timeOfDay(began)}
        </time>
      )}
      <Menu
        label="Actions of the turn"
        items={() => [
          { label: 'Copy as Markdown', icon: 'copy', run: () => void copyAnd(sectionMarkdown(section), 'The turn was copied') },
          { label: 'Copy link', icon: 'link', run: () => void copyAnd(location.href.split('#')[0] + link(session, '', { id: section.id }), 'The link was copied') },
          { label: 'Replay from here', icon: 'play', run: () => (location.hash = link(session, 'replay', { id: section.id })) },
          { label: 'Show its events', icon: 'list', run: () => (location.hash = link(session, 'events', { turn: section.turn })) },
          { label: 'Timing', icon: 'chart', run: () => (location.hash = link(session, 'timing', { turn: section.turn })) },
        ]}
      >
        <Icon name="more" />
      </Menu>
    </header>
  );
}

async function copyAnd(text: string, said: string): Promise<void> {
  announce((await copy(text)) ? said : 'Copying is not allowed here');
}

function stateOf(section: Section): [Tone, string] {
  if (section.state === 'queued') return ['neutral', 'Waits for its turn'];
  if (section.state === 'open') return ['accent', 'Working'];
  if (section.reason === 'stopped') return ['warn', 'Stopped'];
  if (section.reason === 'abandoned') return ['bad', 'Abandoned'];
  if (section.success === false) return ['bad', 'Failed'];
  return ['ok', 'Done'];
}
