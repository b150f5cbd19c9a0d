// A subscription and its iterators, given what a test says.
import { expect, test } from 'vitest';
import type { Reader } from '../src/source.js';
import { Feed } from '../src/feed.js';
import { Followed } from '../src/subscription.js';
import { eventOf, helloOf } from './fakes.js';

test('the cursor of a subscription that was closed is the last event that it delivered', () => {
  const sub = new Followed(() => () => {}, 's', {}, 10);
  const got: number[] = [];
  sub.onMessage((m) => m.kind === 'events' && got.push(...m.events.map((e) => e.id)));
  sub.addEventListener('caughtup', () => sub.close());
  sub.deliver([helloOf('s', 'ws', { head: 2 }), eventOf(1), { type: 'caught_up', session: 's', id: 1 }, eventOf(2)]);
  expect(got).toEqual([1]);
  expect(sub.cursor).toBe(1);
});

test('an iterator that was full when the history was replaced reads on', async () => {
  const readers: Reader[] = [];
  const feed = new Feed((reader) => (readers.push(reader), () => {}), 2);
  feed.add('s', {}, true);
  readers[0]!.deliver([helloOf('s', 'ws', { head: 3 }), eventOf(1), eventOf(2), eventOf(3), { type: 'reset', session: 's', epoch: 'e2', head: 1, reason: 'epoch_changed' }]);
  expect(readers).toHaveLength(2); // it follows again
  readers[1]!.deliver([eventOf(1)]);
  expect((await feed.next()).value).toMatchObject({ id: 1 });
});
