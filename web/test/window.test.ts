// The window of rows: never longer than its bound, never away from what is
// read, whatever is added before, behind or in between.
import type { Conversation, Item, Section } from '@konlog/client/view';
import { describe, expect, it } from 'vitest';
import { Layout } from '../src/session/layout';
import { around, carry, grow, spanMax, tail, type Span } from '../src/session/span';
import { append, conversation, item } from './made';
import { random } from './random';

const known = new Map<number, Item>();
/** The same object for the same id, as a fold gives what did not change. */
function made(id: number): Item {
  if (!known.has(id)) known.set(id, item(id));
  return known.get(id)!;
}

/** A conversation of several turns with the items first..last, cut where the dice say. */
function turns(first: number, last: number, dice: () => number): Conversation {
  const sections: Section[] = [];
  for (let from = first; from <= last; ) {
    const to = Math.min(last, from + Math.floor(dice() * 400));
    const items = Array.from({ length: to - from + 1 }, (_, i) => made(from + i));
    sections.push({ ...conversation(1).sections[0]!, id: from, turn: dice() < 0.8 ? `t${from}` : '', items });
    from = to + 1;
  }
  return { ...conversation(0), sections, first, last };
}

const keysOf = (layout: Layout) => layout.blocks.flatMap((block) => block.rows.map((row) => row.key));

describe('rows', () => {
  it('have keys of their own, in one order, and are found by them', () => {
    const layout = Layout.of(turns(1, 3_000, random(7)));
    const keys = keysOf(layout);
    expect(new Set(keys).size).toBe(keys.length);
    for (let i = 0; i < keys.length; i += 97) {
      expect(layout.indexOf(keys[i]!)).toBe(i);
      expect(layout.at(i)!.key).toBe(keys[i]);
      expect(layout.indexOf(keys[i]!, i)).toBe(i);
      expect(layout.indexOf(keys[i]!, i + 3)).toBe(i);
    }
    expect(layout.indexOf('none')).toBe(-1);
  });

  it('are the same objects for what did not change, and right for what did', () => {
    for (let seed = 1; seed <= 60; seed++) {
      const dice = random(seed);
      let now = conversation(1 + Math.floor(dice() * 200));
      let layout = Layout.of(now);
      for (let step = 0; step < 20; step++) {
        if (dice() < 0.6) now = append(now, 1 + Math.floor(dice() * 6));
        else now = changed(now, dice);
        const next = Layout.of(now, layout);
        const fresh = Layout.of(now);
        expect(keysOf(next).join(), `seed ${seed}`).toBe(keysOf(fresh).join());
        expect(differing(next, fresh), `seed ${seed}`).toBe(-1);
        layout = next;
      }
    }
  });

  it('are taken over when one is added behind fifty thousand', () => {
    const now = conversation(50_000);
    const layout = Layout.of(now);
    const next = Layout.of(append(now, 1), layout);
    let same = 0;
    for (let i = 0; i < layout.total; i++) if (layout.at(i) === next.at(i)) same++;
    expect(same).toBeGreaterThan(layout.total - 5);
  });

  it('show an event by the row it is in, or the last before it', () => {
    const layout = Layout.of(conversation(500));
    for (const id of [1, 7, 22, 33, 499, 500]) {
      const row = layout.at(layout.indexOfEvent(id))!;
      expect(itemsOf(row).some((i) => i.id <= id && id <= i.last), `event ${id}`).toBe(true);
    }
    expect(layout.indexOfEvent(9_999)).toBe(layout.total - 1);
    const nested: Item = { ...item(3), children: [item(777)] } as Item;
    const with_ = Layout.of({ ...conversation(1), sections: [{ ...conversation(1).sections[0]!, items: [item(1), nested, item(5)] }] });
    expect(itemsOf(with_.at(with_.indexOfEvent(777))!)[0]).toBe(nested);
  });
});

describe('the span', () => {
  it('is bounded, holds what was read, and follows the end, whatever happens', { timeout: 60_000 }, () => {
    for (let seed = 1; seed <= 25; seed++) {
      const dice = random(seed);
      let [first, last] = [5_001, 5_000 + Math.floor(dice() * 2_000)];
      let shape = seed * 31;
      let layout = Layout.of(turns(first, last, random(shape)));
      let span: Span = tail(layout.total);
      let follow = true;
      for (let step = 0; step < 40; step++) {
        const act = dice();
        if (act < 0.25) span = grow(span, layout.total, 'up');
        else if (act < 0.4) span = grow(span, layout.total, 'down');
        else if (act < 0.5) [span, follow] = [around(Math.floor(dice() * layout.total), layout.total), false];
        else if (act < 0.55) [span, follow] = [tail(layout.total), true];
        else {
          const before = layout;
          const kept = keysOf(before).slice(span.start, span.end);
          const end = span.end;
          if (act < 0.7) first = Math.max(1, first - Math.floor(dice() * 700));
          else last += Math.floor(dice() * 500);
          if (dice() < 0.1) shape++;
          layout = Layout.of(turns(first, last, random(shape)), before);
          if (span.end < before.total || dice() < 0.5) follow = false;
          span = carry(span, before, layout, follow);
          const all = keysOf(layout);
          const now = new Set(all.slice(span.start, span.end));
          const there = new Set(all);
          const wasThere = kept.filter((key) => there.has(key));
          if (follow) expect(span.end, `seed ${seed}: follows`).toBe(layout.total);
          // What is read stays, unless the turns were cut anew around it.
          else if (wasThere.length === kept.length && end > 0) expect(wasThere.filter((key) => now.has(key)).length, `seed ${seed}, step ${step}: kept`).toBeGreaterThanOrEqual(Math.min(wasThere.length, 1) && Math.floor(wasThere.length * 0.5));
        }
        expect(span.start, `seed ${seed}`).toBeGreaterThanOrEqual(0);
        expect(span.end, `seed ${seed}`).toBeLessThanOrEqual(layout.total);
        expect(span.end - span.start, `seed ${seed}: bounded`).toBeLessThanOrEqual(spanMax);
        if (layout.total > 0) expect(span.end, `seed ${seed}: shows something`).toBeGreaterThan(span.start);
      }
    }
  });

  it('stays with the very same rows when earlier ones come before them', () => {
    const before = Layout.of(conversation(1_000, 5_001));
    const span = { start: 40, end: 240 };
    const now = Layout.of(conversation(3_000, 3_001), before);
    const carried = carry(span, before, now, false);
    expect(now.at(carried.start)!.key).toBe(before.at(span.start)!.key);
    expect(now.at(carried.end - 1)!.key).toBe(before.at(span.end - 1)!.key);
  });

  it('does not take in what comes behind it while somebody reads further up', () => {
    const start = conversation(2_000);
    let layout = Layout.of(start);
    let now = start;
    let span = around(500, layout.total);
    const keys = keysOf(layout).slice(span.start, span.end);
    for (let i = 0; i < 30; i++) {
      now = append(now, 50);
      const next = Layout.of(now, layout);
      span = carry(span, layout, next, false);
      layout = next;
    }
    expect(keysOf(layout).slice(span.start, span.end)).toEqual(keys);
  });
});

/** The first row that has other items than its like; -1 when none. */
function differing(a: Layout, b: Layout): number {
  for (let i = 0; i < a.total; i++) {
    const [x, y] = [itemsOf(a.at(i)!), itemsOf(b.at(i)!)];
    if (x.length !== y.length || x.some((item, n) => item !== y[n])) return i;
  }
  return -1;
}

function itemsOf(row: NonNullable<ReturnType<Layout['at']>>): readonly Item[] {
  return row.kind === 'item' ? [row.item] : row.kind === 'others' ? row.items : [];
}

/** The same with one item replaced, one put in, or one taken away. */
function changed(now: Conversation, dice: () => number): Conversation {
  const section = now.sections[0]!;
  const at = Math.floor(dice() * section.items.length);
  const old = section.items[at]!;
  const items = [...section.items];
  const act = dice();
  if (act < 0.5) items[at] = { ...old, last: now.last + 1 };
  else if (act < 0.75) items.splice(at, 0, { ...item(1), id: old.id - 0.5, last: old.id - 0.5 });
  else items.splice(at, 1);
  return { ...now, sections: [{ ...section, items }] };
}

it('the span stays with its rows when earlier ones of the same turn come behind its head', () => {
  const before = Layout.of(conversation(100, 5_001));
  const now = Layout.of(conversation(1_100, 4_001), before);
  const carried = carry({ start: 0, end: before.total }, before, now, false);
  const rows = new Set(Array.from({ length: carried.end - carried.start }, (_, i) => now.at(carried.start + i)!.key));
  expect(rows.has('i5002')).toBe(true);
  expect(rows.has('i5090')).toBe(true);
});
