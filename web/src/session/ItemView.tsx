import type { Item } from '@konlog/client/view';
import { Kontask } from './Kontask';
import { Notice, Others, Plan, Task } from './Others';
import { Prompt } from './Prompt';
import { Question } from './Question';
import { Text, Thinking } from './Text';
import { Tool } from './Tool';

/** One item, whatever it is. `focus`: the event in it that was asked for. */
export function ItemView({ item, focus }: { item: Item; focus?: number }) {
  if (item.redacted && emptied.has(item.kind)) return <Redacted item={item} />;
  switch (item.kind) {
    case 'text':
      return <Text item={item} />;
    case 'thinking':
      return <Thinking item={item} focus={focus} />;
    case 'prompt':
      return <Prompt item={item} />;
    case 'tool':
      return <Tool item={item} focus={focus} />;
    case 'question':
      return <Question item={item} />;
    case 'kontask':
      return <Kontask item={item} />;
    case 'task':
      return <Task item={item} />;
    case 'plan':
      return <Plan item={item} />;
    case 'notice':
      return <Notice item={item} />;
    case 'other':
      return <Others items={[item]} focus={focus} />;
  }
}

/** Kinds of which a redaction leaves nothing to show. */
const emptied = new Set<Item['kind']>(['text', 'thinking', 'prompt', 'plan', 'task']);

function Redacted({ item }: { item: Item }) {
  return (
    <p class="redacted" data-item={item.kind} data-id={item.id}>
      What stood here was redacted.
    </p>
  );
}
