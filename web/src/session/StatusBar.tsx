import type { Item, Section, ViewSnapshot } from '@konlog/client/view';
import { Elapsed } from '../parts/Ago';
import { Badge, type Tone } from '../parts/Badge';
import { clip, cost, count, plural } from '../parts/format';
import { inputShort } from './tooltext';

const words = { idle: 'Idle', working: 'Working', waiting: 'Waits for an answer', closed: 'Closed' } as const;
const tones: Record<keyof typeof words, Tone> = { idle: 'neutral', working: 'accent', waiting: 'warn', closed: 'neutral' };

/** What the session does, as the server says; how the connection is stands elsewhere. */
export function StatusBar({ snapshot }: { snapshot: ViewSnapshot }) {
  const { status, statusAt, conversation, phase } = snapshot;
  const state = status?.state ?? (conversation.closed ? 'closed' : 'idle');
  const tool = state === 'working' && conversation.openTurn ? runningTool(conversation.openTurn) : undefined;
  const tasks = conversation.tasks.filter((t) => t.state === 'running').length;
  return (
    <div class="status-bar">
      <span data-testid="turn-state" data-state={state}>
        <Badge tone={tones[state]}>{words[state]}</Badge>
      </span>
      {status?.turnActive && status.elapsed !== undefined && <Elapsed since={statusAt - status.elapsed} />}
      {tool && (
        <span class="status-tool" title={tool.name}>
          {tool.name} <span class="dim">{clip(inputShort(tool.input, tool.inputText), 60)}</span>
        </span>
      )}
      {tasks > 0 && <span class="dim">{count(tasks)} in the background</span>}
      {conversation.preparing.length > 0 && <span class="dim">{plural(conversation.preparing.length, 'kontask')} to come</span>}
      {(status?.queued ?? 0) > 0 && <span class="dim">{count(status!.queued)} queued</span>}
      {phase === 'catching-up' && (
        <span class="dim" data-testid="catching-up">
          catching up {count(snapshot.done)} of {count(snapshot.of)}
        </span>
      )}
      <span class="status-end">
        {conversation.model && <span class="dim status-model">{conversation.model}</span>}
        {/* What is not loaded has cost too: then the page of timing says it. */}
        {conversation.costUsd > 0 && !snapshot.hasEarlier && <span class="dim">{cost(conversation.costUsd)}</span>}
      </span>
    </div>
  );
}

/** Items of a turn that are looked at for one that runs: it is near the end. */
const lookBack = 200;

/** The tool that runs and began last, in its subagents too. */
export function runningTool(section: Section): Extract<Item, { kind: 'tool' }> | undefined {
  return lastRunning(section.items);
}

function lastRunning(items: readonly Item[]): Extract<Item, { kind: 'tool' }> | undefined {
  for (let i = items.length - 1; i >= Math.max(0, items.length - lookBack); i--) {
    const item = items[i]!;
    if (item.kind === 'tool' && item.state === 'running') return lastRunning(item.children) ?? item;
  }
  return undefined;
}
