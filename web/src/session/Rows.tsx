import type { ComponentChildren } from 'preact';
import type { Item, OtherItem, Section } from '@konlog/client/view';
import { memo } from '../parts/memo';
import { ItemView } from './ItemView';
import type { Block, Layout, Row } from './layout';
import { Others } from './Others';
import { SectionHead } from './SectionHead';
import type { Span } from './span';

interface Props {
  layout: Layout;
  span: Span;
  /** Key of the row that was asked for, and the event. */
  marked: string;
  focus?: number;
}

/** The rows of a span, in the sections that they belong to. */
export function Rows({ layout, span, marked, focus }: Props) {
  const made: ComponentChildren[] = [];
  for (let i = span.start; i < span.end; ) {
    const block = layout.blockAt(i);
    if (!block) break;
    const from = i - block.start;
    const to = Math.min(block.rows.length, span.end - block.start);
    made.push(<SectionRows key={block.key} block={block} from={from} to={to} marked={marked} focus={focus} />);
    i = block.start + to;
  }
  return <>{made}</>;
}

function SectionRows({ block, from, to, marked, focus }: { block: Block; from: number; to: number; marked: string; focus?: number }) {
  const { section } = block;
  return (
    <section class={`turn turn-${section.state}`} data-section={section.id} data-turn={section.turn || undefined}>
      {block.rows.slice(from, to).map((row) => (
        <div key={row.key} class={`entry ${row.key === marked ? 'marked' : ''}`} data-key={row.key}>
          <RowView row={row} focus={row.key === marked ? focus : undefined} />
        </div>
      ))}
    </section>
  );
}

function RowView({ row, focus }: { row: Row; focus?: number }) {
  if (row.kind === 'item') return <ItemRow item={row.item} focus={focus} />;
  if (row.kind === 'others') return <OthersRow items={row.items} focus={focus} />;
  return <HeadRow section={row.section} />;
}

const ItemRow = memo((props: { item: Item; focus?: number }) => <ItemView {...props} />);
const OthersRow = memo(({ items, focus }: { items: readonly OtherItem[]; focus?: number }) => <Others items={items} focus={focus} />);
const HeadRow = memo(({ section }: { section: Section }) => <SectionHead section={section} />);
