import { describe, expect, test } from 'vitest';
import { addressOf, bySession, parseQuery, requestOf, type Query } from '../src/search/query';
import { Results } from '../src/search/results';

const query = (text: string) => parseQuery(new URLSearchParams(text));

describe('a search is a place', () => {
  const cases: Query[] = [
    query(''),
    query('q="a b" -c d*&kind=tool&range=7d&session=s1'),
    query('tab=turns&state=open&tool=Bash&q=x'),
    { ...query(''), q: '100% & more = #1?' },
  ];
  test.each(cases)('%j comes back from its address', (q) => expect(query(addressOf(q).split(/\?(.*)/s)[1] ?? '')).toEqual(q));
  test('what an old link says wrongly is left out', () => expect(query('tab=x&kind=y&range=z&state=w')).toEqual(query('')));
});

describe('what is asked of the server', () => {
  const now = Date.parse('2026-11-21T12:00:42.500Z');
  test.each<[string, string | undefined]>([
    ['', undefined],
    ['q=  ', undefined],
    ['q=a&kind=tool', '/v1/search?q=a&kind=tool'],
    ['q=a&state=open&tool=Bash', '/v1/search?q=a'],
    ['tab=turns', '/v1/turns?'],
    ['tab=turns&state=open&tool=Bash&kind=tool', '/v1/turns?state=open&tool=Bash'],
    ['q=a&range=1h', '/v1/search?q=a&since=2026-11-21T11%3A00%3A00.000Z'],
  ])('%s', (text, want) => expect(requestOf(query(text), '', now)).toBe(want));
  test('the page after the first has its cursor', () => expect(requestOf(query('q=a'), '12.3', now)).toBe('/v1/search?q=a&cursor=12.3'));
});

test('hits of a session stand together, in the order of the server', () => {
  const hit = (session: string, id: number) => ({ session, id });
  const groups = bySession([hit('a', 3), hit('a', 2), hit('b', 9), hit('a', 1)]);
  expect(groups.map((g) => [g.session, g.hits.map((h) => h.id)])).toEqual([['a', [3, 2]], ['b', [9]], ['a', [1]]]);
});

describe('results', () => {
  test('an answer that comes late is not shown', async () => {
    const answers: ((items: number[]) => void)[] = [];
    const results = new Results<number>(() => new Promise((resolve) => answers.push((items) => resolve({ items }))));
    const first = results.start();
    const second = results.start();
    answers[1]?.([2]);
    await second;
    answers[0]?.([1]);
    await first;
    expect(results.items.value).toEqual([2]);
    expect(results.phase.value).toBe('done');
  });
  test('empty pages with a next are read on, to a limit', async () => {
    let asked = 0;
    const results = new Results<number>(async (cursor) => ({ items: asked++ < 3 ? [] : [7], next: `${Number(cursor) + 1}` }));
    await results.start();
    expect(results.items.value).toEqual([7]);
    const never = new Results<number>(async () => (asked++, { items: [], next: 'x' }));
    asked = 0;
    await never.start();
    expect(asked).toBeLessThanOrEqual(12);
    expect(never.next.value).toBe('x'); // "load more" goes on
  });
  test('more is added behind, never twice at once', async () => {
    let asked = 0;
    const results = new Results<number>(async () => ({ items: [asked++], next: 'n' }));
    await results.start();
    await Promise.all([results.more(), results.more()]);
    expect(results.items.value).toEqual([0, 1]);
  });
  test('a failure of the next page keeps what is there', async () => {
    let fail = false;
    const results = new Results<number>(async () => {
      if (fail) throw new Error('x');
      return { items: [1], next: 'n' };
    });
    await results.start();
    fail = true;
    await results.more();
    expect([results.items.value, results.phase.value]).toEqual([[1], 'failed']);
  });
});
