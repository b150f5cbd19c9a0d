import { describe, expect, test } from 'vitest';
import { countTypes, type Counts } from '../src/replay/counts';
import { EventList, LOOK_MAX, ROWS_MAX } from '../src/replay/eventlist';
import { accepts, filterOf, hide, NO_FILTER, only, queryOf, serverQuery } from '../src/replay/filter';
import { bytesOf, cutEvent, cutPage, elementsOf, membersOf } from '../src/replay/slice';
import { eventsPath, pagesOf, queryText } from '../src/replay/wire';
import { aLog, recorded } from './recorded';

const page = (events: string) => `{"session":"s","epoch":"e","floor":1,"head":9,"status":{"events":[1,"}"],"next":7},"events":[${events}],"next":9,"caughtUp":true}`;

describe('data is shown byte for byte', () => {
  const datas = [
    '{"a":1.0,"a":1.00,"u":"\\u00e9é\\ud83d\\ude00😀","big":12345678901234567890,"s":"x\\"}],\\\\","e":[],"o":{} , "z" :null}',
    '"plain \\\\\\" , ] }"',
    'null',
    '-0.0e+10',
    '[ [ "]" , {"}":"{"} ] ,\t1 ]',
    '""',
    'true',
    '"\u2028 \u{1F600} \\ud800"',
  ];
  for (const data of datas) {
    test(data.slice(0, 30), () => {
      const text = `{"id":4,"session":"s","type":"x.y","turn":"a\\"b","time":"2026-11-20T17:00:00.000Z","data":${data},"raw":"{\\"data\\":0}"}`;
      const [event] = cutPage(page(text)).events;
      expect(event!.data).toBe(data);
      expect(event!.text).toBe(text);
      expect(event!.raw).toBe('"{\\"data\\":0}"');
      expect(event!.turn).toBe('a"b');
    });
  }

  test('an event with white space between its members', () => {
    expect(cutEvent('{ "id" : 3 , "type":"t" ,\n "data" : { "a" : [ ] } }')).toMatchObject({ id: 3, type: 't', data: '{ "a" : [ ] }' });
  });

  test('every split of every string is the string', () => {
    // Random JSON, written with all the freedom that JSON gives.
    let seed = 7;
    const rand = (n: number) => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % n;
    const strings = ['""', '"\\""', '"\\\\"', '"]"', '"{"', '"\\u005d"', '"é😀"', '"\\\\\\""'];
    const make = (depth: number): string => {
      const kind = rand(depth > 3 ? 2 : 4);
      const gap = ['', ' ', '\t'][rand(3)]!;
      if (kind === 0) return strings[rand(strings.length)]!;
      if (kind === 1) return ['0', '-1.50', '1E3', 'null', 'false'][rand(5)]!;
      const many = Array.from({ length: rand(4) }, () => make(depth + 1));
      return kind === 2 ? `[${gap}${many.join(gap + ',')}${gap}]` : `{${gap}${many.map((v) => strings[rand(strings.length)] + gap + ':' + v).join(',')}${gap}}`;
    };
    for (let i = 0; i < 2000; i++) {
      const values = Array.from({ length: rand(5) }, () => make(0));
      expect(elementsOf(`[${values.join(' , ')}]`)).toEqual(values);
    }
  });

  test('what is cut off is refused, not shown as if it were whole', () => {
    for (const bad of ['{"events":[{"id":1', '{"events":[', '{"a":"', '{"a"', '', '[1 2]', '{"events":[{"id":1}}']) expect(() => cutPage(bad)).toThrow();
  });

  test('size counts UTF-8', () => {
    for (const text of ['abc', 'é', '😀', '€uro']) expect(bytesOf(text)).toBe(new TextEncoder().encode(text).length);
  });

  test('of two members with a name the last one counts', () => {
    expect(membersOf('{"a":1,"b":2,"a":3}').get('a')).toBe('3');
  });
});

describe('filters', () => {
  const event = cutEvent('{"id":12,"session":"s","type":"tool_result","turn":"r-1","time":"","data":{"output":"Caf\\u00e9 \\"x\\""}}');

  test('a link says the same filter again', () => {
    const filter = { types: ['text', 'error'], not: ['agent'], turn: 'a&b=c', q: 'x y' };
    expect(filterOf(new URLSearchParams(queryOf(filter)))).toEqual(filter);
  });

  test('a type is never shown alone and hidden at once', () => {
    const hidden = hide(only(NO_FILTER, 'text'), 'text');
    expect(hidden).toMatchObject({ types: [], not: ['text'] });
    expect(only(hidden, 'text')).toMatchObject({ types: ['text'], not: [] });
    expect(hide(hidden, 'text').not).toEqual([]);
  });

  test('a text is found as it is written and as it reads', () => {
    const find = (q: string) => accepts({ ...NO_FILTER, q }, event);
    expect([find('café'), find('CAF\\u00E9'), find('"x"'), find('tool_res'), find('12'), find('coffee')]).toEqual([true, true, true, true, true, false]);
  });

  test('types, exclusions and turns', () => {
    expect(accepts({ ...NO_FILTER, types: ['text'] }, event)).toBe(false);
    expect(accepts({ ...NO_FILTER, not: ['tool_result'] }, event)).toBe(false);
    expect(accepts({ ...NO_FILTER, turn: 'r-2' }, event)).toBe(false);
    expect(accepts({ ...NO_FILTER, types: ['tool_result'], turn: 'r-1' }, event)).toBe(true);
  });

  test('more types than the server takes are looked for here', () => {
    const types = Array.from({ length: 65 }, (_, i) => `x.${i}`);
    expect(serverQuery({ ...NO_FILTER, types }).types).toBeUndefined();
    expect(serverQuery({ ...NO_FILTER, types: ['a', 'b'] }).types).toBe('a,b');
  });
});

describe('the window of rows', () => {
  const ids = (list: EventList) => list.rows.map((r) => r.id);
  const upTo = (n: number) => Array.from({ length: n }, (_, i) => `{"id":${i + 1},"session":"s","type":"${i % 5 === 0 ? 'a' : 'b'}","time":"2026-11-20T17:00:00.000Z","data":${i}}`);
  const through = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

  test('opens at the end and goes back to the first event, holding no more than its bound', async () => {
    const list = new EventList(recorded(upTo(2_000)), 's', NO_FILTER);
    await list.open();
    expect(ids(list)).toEqual(through(1_801, 2_000));
    expect(list.end).toEqual({ older: false, newer: true });
    while (!list.end.older) {
      await list.step('older');
      expect(list.rows.length).toBeLessThanOrEqual(ROWS_MAX);
    }
    expect(ids(list)).toEqual(through(1, ROWS_MAX));
    // And forward again: what was dropped comes back, once.
    while (!list.end.newer) await list.step('newer');
    expect(ids(list)).toEqual(through(2_000 - ROWS_MAX + 1, 2_000));
  });

  test('opens around an id, with all that is beside it', async () => {
    const list = new EventList(recorded(upTo(2_000)), 's', NO_FILTER);
    await list.open(1_000);
    expect(ids(list)).toEqual(through(800, 1_199));
  });

  test('an id beyond the head opens the end', async () => {
    const list = new EventList(recorded(upTo(50)), 's', NO_FILTER);
    await list.open(900);
    expect(ids(list)).toEqual(through(1, 50));
  });

  test('types that are left out are left out in both directions', async () => {
    const list = new EventList(recorded(upTo(1_000)), 's', { ...NO_FILTER, not: ['b'] });
    await list.open(500);
    while (!list.end.older) await list.step('older');
    while (!list.end.newer) await list.step('newer');
    expect(ids(list)).toEqual(through(1, 1_000).filter((n) => n % 5 === 1));
  });

  test('events that come are taken on', async () => {
    const log = recorded(upTo(10));
    const list = new EventList(log, 's', NO_FILTER);
    await list.open();
    log.texts.push(...upTo(13).slice(10));
    await list.step('newer');
    expect(ids(list)).toEqual(through(1, 13));
    expect(list.end.newer).toBe(true);
  });

  test('a redacted range stands in its place', async () => {
    const all = upTo(20);
    const list = new EventList(recorded([...all.slice(0, 4), ...all.slice(7)], { redacted: [5, 7] }), 's', NO_FILTER);
    await list.open();
    expect(list.rows.map((r) => (r.kind === 'hole' ? `${r.from}-${r.to} ${r.reason}` : r.id))).toEqual([1, 2, 3, 4, '5-7 redacted', ...through(8, 20)]);
  });

  test('a search that finds nothing stops to ask after a bounded look', async () => {
    const log = recorded([], { epoch: 'e' });
    // A server that has a great many events, none of which is the one.
    log.text = async (path) => {
      const before = Number(new URL(path, 'http://x').searchParams.get('before') ?? 1_000_001);
      log.asked.push(path);
      return `{"session":"s","epoch":"e","floor":1,"head":1000000,"events":[],"next":${Math.max(1, before - 2_000)},"caughtUp":false}`;
    };
    const list = new EventList(log, 's', { ...NO_FILTER, q: 'needle' });
    await list.open();
    expect(list.paused.older).toBe(true);
    expect(log.asked.length).toBeLessThanOrEqual(LOOK_MAX / 2_000 + 1);
    const first = list.looked('older');
    await list.step('older');
    expect(list.looked('older')).toBe(first - LOOK_MAX);
  });

  test('another history is told', async () => {
    const log = recorded(upTo(300));
    const list = new EventList(log, 's', NO_FILTER);
    await list.open();
    log.epoch = 'e2';
    await list.step('older');
    expect(list.replaced).toBe(true);
    await list.open();
    expect([list.replaced, list.rows.length]).toEqual([false, 200]);
  });
});

test('types are counted through the whole log', async () => {
  let last: Counts | undefined;
  await countTypes(recorded(aLog(30)), 's', (c) => (last = c));
  const want = new Map<string, number>();
  for (const t of aLog(30)) want.set(JSON.parse(t).type, (want.get(JSON.parse(t).type) ?? 0) + 1);
  expect(new Map(last!.types)).toEqual(want);
  expect(last!.complete).toBe(true);
  expect(last!.done).toBe(last!.of);
});

describe('requests', () => {
  test('names of sessions and turns are quoted', () => {
    expect(eventsPath('a:b', { after: 3, types: 'x,y', turn: 'it\'s &?#"', q: undefined })).toBe("/v1/sessions/a%3Ab/events?after=3&types=x,y&turn=it's%20%26%3F%23%22");
    expect(queryText({})).toBe('');
  });

  test('a failure that may pass is tried again, one that will not is told at once', async () => {
    let calls = 0;
    const flaky = pagesOf('http://x', async () => {
      if (++calls < 3) throw new TypeError('network');
      return new Response('ok');
    });
    expect(await flaky.text('/a')).toBe('ok');
    calls = 0;
    const no = pagesOf('http://x', async () => (calls++, new Response('{"code":"session_not_found","detail":"there is no session s","retryable":false}', { status: 404 })));
    await expect(no.text('/a')).rejects.toThrow('there is no session s');
    expect(calls).toBe(1);
  });
});
