// Each event once, in order, and no hole in silence: the guard alone.
import { describe, expect, test } from 'vitest';
import type { SubscribeOptions } from '../src/api.js';
import { Guard } from '../src/guard.js';
import type { Item } from '../src/transports/transport.js';
import { eventOf as event, helloOf } from './fakes.js';
import { random } from './rig.js';

const hello = (change: object) => helloOf('s', (change as { transport?: string }).transport ?? 'websocket', change);
const pass = (g: Guard, ...items: Item[]) => items.flatMap((i) => g.pass(i)).map((i) => ('data' in i ? i.id : i.type));
const made = (at: SubscribeOptions, change: object = {}) => {
  const g = new Guard(at);
  g.pass(hello({ head: 10, through: 10, after: at.after ?? 0, ...change }));
  return g;
};

test('what was there already is passed over, whatever carrier brings it', () => {
  const g = made({});
  expect(pass(g, event(1), event(2), event(2), event(1), event(3))).toEqual([1, 2, 3]);
  expect(pass(g, hello({ after: 1, head: 10, through: 10 }), event(2), event(3), event(4))).toEqual(['hello', 4]);
});

test('after a hole nothing passes until it attached again', () => {
  const g = made({});
  expect(pass(g, event(1), event(3), event(2), event(4), { type: 'caught_up', session: 's', id: 4 })).toEqual([1]);
  expect(g.lost).toBe(true);
  expect(g.position()).toMatchObject({ after: 1 });
  expect(pass(g, hello({ after: 1, head: 10, through: 10 }), event(2))).toEqual(['hello', 2]);
  expect(g.lost).toBe(false);
});

test('an attach beyond the cursor is a hole', () => {
  const g = made({ after: 3 }, { after: 5 });
  expect(g.lost).toBe(true);
});

test('a gap moves the cursor and is told, once', () => {
  const g = made({});
  const gap: Item = { type: 'gap', session: 's', from: 1, to: 7, reason: 'retention' };
  expect(pass(g, gap, gap, event(8))).toEqual(['gap', 8]);
});

describe('another history', () => {
  test('is told once when hello shows it, and read from the floor', () => {
    const g = made({ after: 8, epoch: 'e1' });
    expect(pass(g, hello({ epoch: 'e2', after: 8, head: 20, through: 20 }), event(9))).toEqual(['hello', 'reset']);
    expect(g.lost).toBe(true);
    expect(g.position()).toMatchObject({ after: 0, epoch: 'e2' });
    expect(pass(g, hello({ epoch: 'e2', after: 0, head: 20, through: 20 }), event(1), event(2))).toEqual(['hello', 1, 2]);
  });

  test('is told once when the server resets in mid-stream', () => {
    const g = made({});
    const reset: Item = { type: 'reset', session: 's', epoch: 'e2', head: 3, reason: 'epoch_changed' };
    expect(pass(g, event(1), event(2), reset, event(1), event(2))).toEqual([1, 2, 'reset', 1, 2]);
    expect(g.epoch).toBe('e2');
  });

  test('a cursor beyond the head is reset by the server when it was given it, else by the guard', () => {
    const given = made({ after: 50 }, { after: 50, head: 10 });
    expect(given.lost).toBe(false);
    expect(pass(given, { type: 'reset', session: 's', epoch: 'e1', head: 10, reason: 'cursor_beyond_head' }, event(1))).toEqual(['reset', 1]);
    const shared = new Guard({ after: 50 });
    expect(pass(shared, hello({ after: 0, head: 10, through: 10 }), event(1))).toEqual(['hello', 'reset', 1]);
  });
});

describe('folded', () => {
  test('the replay may leave ids out up to through, after it none', () => {
    const g = made({ fold: true });
    expect(pass(g, event(1), event(6, 's', { from: 3 }), event(9), event(10), event(11), event(13))).toEqual([1, 6, 9, 10, 11]);
    expect(g.lost).toBe(true);
  });

  test('a reader that did not ask for it takes no hole', () => {
    const g = made({});
    expect(pass(g, event(1), event(6, 's', { from: 2 }), event(9))).toEqual([1, 6]);
    expect(g.lost).toBe(true);
  });

  test('a run that begins before the cursor is not taken in half', () => {
    const g = made({ after: 4, fold: true });
    expect(pass(g, event(6, 's', { from: 3 }))).toEqual([]);
    expect(g.lost).toBe(true);
  });

  test('pages of a poll may be folded until caught_up', () => {
    const g = made({ fold: true }, { transport: 'poll' });
    expect(pass(g, event(10), event(14, 's', { from: 12 }), { type: 'caught_up', session: 's', id: 14 }, event(15), event(17))).toEqual([10, 14, 'caught_up', 15]);
  });
});

test('a tail begins where hello says', () => {
  const g = new Guard({ tail: 4 });
  expect(g.position()).toEqual({ tail: 4 });
  pass(g, hello({ after: 6, head: 10, through: 10 }));
  expect(g.cursor).toBe(6);
  const shared = new Guard({ tail: 4 });
  pass(shared, hello({ after: 0, head: 10, through: 10 }));
  expect(shared.cursor).toBe(6);
});

test('any mixture of carriers, doubles and holes gives 1, 2, 3 …', () => {
  for (let seed = 1; seed <= 200; seed++) {
    const next = random(seed);
    const g = new Guard({});
    const got: number[] = [];
    for (let step = 0; step < 60; step++) {
      if (g.lost || next() < 0.1) {
        const after = Math.max(0, g.cursor - Math.floor(next() * 5));
        g.pass(hello({ after, head: 1000, through: 0 }));
      }
      const from = Math.max(1, g.cursor + Math.floor(next() * 8) - 4);
      for (let id = from; id < from + 5; id++) for (const i of g.pass(event(id))) if ('data' in i) got.push(i.id);
    }
    expect(got, `seed ${seed}`).toEqual(got.map((_, i) => i + 1));
    expect(got.length, `seed ${seed}`).toBe(g.cursor);
  }
});

test('a gap further on is a hole, like an event', () => {
  const g = made({ after: 3 });
  expect(pass(g, { type: 'gap', session: 's', from: 6, to: 9, reason: 'redacted' }, event(10))).toEqual([]);
  expect(g.lost).toBe(true);
  expect(g.position()).toMatchObject({ after: 3 });
});

test('the end of the session is heard also while something is missing', () => {
  const g = made({});
  expect(pass(g, event(5), event(6, 's', { type: 'error' }), { type: 'error', session: 's', code: 'session_not_found', detail: 'gone', retryable: false })).toEqual(['error']);
});
