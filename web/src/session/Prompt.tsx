import type { PromptItem } from '@konlog/client/view';
import { Badge } from '../parts/Badge';
import { CopyButton } from '../parts/CopyButton';
import { moment, timeOfDay } from '../parts/format';
import { Image } from '../parts/Image';
import { Markdown } from '../parts/Markdown';
import { Permalink } from './Permalink';

/** What somebody asked the agent for. */
export function Prompt({ item }: { item: PromptItem }) {
  return (
    <article class={`asked ${item.steers ? 'steers' : ''}`} data-item="prompt" data-id={item.id} data-source={item.source} aria-label="Prompt">
      <header>
        <span class="asked-who">{who(item.source)}</span>
        {item.steers && (
          <Badge tone="warn" title="It went into the turn that was running">
            steers
          </Badge>
        )}
        <time dateTime={item.time} title={moment(item.time)}>
          {timeOfDay(item.time)}
        </time>
        <span class="item-actions">
          <CopyButton text={item.text} label="Copy the prompt" />
          <Permalink id={item.id} />
        </span>
      </header>
      {item.text && <Markdown text={item.text} />}
      {item.images.length > 0 && (
        <div class="images">
          {item.images.map((image, i) => (
            <Image key={i} url={image.url} contentType={image.contentType} bytes={image.bytes} alt={`Image ${i + 1} of the prompt`} />
          ))}
        </div>
      )}
    </article>
  );
}

function who(source: string): string {
  if (source === '' || source === 'user') return 'You';
  if (source === 'inject') return 'Injected';
  if (source === 'kontask') return 'From a kontask';
  if (source === 'api') return 'From a program';
  return source;
}
