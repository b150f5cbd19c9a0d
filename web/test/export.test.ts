import { execFileSync } from 'node:child_process';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { curlOf, exportOf, shellLine, tailOf, turnOf } from '../src/export/commands';
import { writeLines, writeTurns, type Progress } from '../src/export/jsonl';
import { recordingLog, unpack, type Recording } from '../src/export/recording';
import { RecordedLog } from '../src/replay/log';
import { fileName } from '../src/export/save';
import { recorded } from './recorded';

function sink() {
  const parts: string[] = [];
  return { parts, write: async (text: string) => void parts.push(text), text: () => parts.join('') };
}

describe('JSON lines', () => {
  const odd = '{"id":1,"session":"s","type":"x","time":"2026-11-20T17:00:00.000Z","data":{"a":1.0,"a":1.00,"u":"\\u00e9"},"raw":"not json \\" é"}';
  const many = (n: number) => Array.from({ length: n }, (_, i) => `{"id":${i + 2},"session":"s","type":"x","time":"2026-11-20T17:00:00.000Z","data":${i}.50}`);
  const info = (head: number, more = '') => `{"id":"s","epoch":"e1","head":${head},"floor":1,"bytes":9,"state":"idle","title":"","scope":"team/a","tags":["x"],"meta":{"k":1.0}${more}}`;

  test('are the bytes of the server behind the header that import reads', async () => {
    const out = sink();
    const texts = [odd, ...many(5_000)];
    const told: Progress[] = [];
    expect(await writeLines(recorded(texts, { info: info(5_001) }), 's', out, (p) => told.push(p))).toEqual({ events: 5_001, what: 'event', missing: 0 });
    const header = '{"konlog":"export/1","id":"s","head":5001,"floor":1,"scope":"team/a","tags":["x"],"meta":{"k":1.0}}';
    expect(out.text()).toBe([header, ...texts].join('\n') + '\n');
    expect(told.at(-1)).toEqual({ done: 5_001, of: 5_001 });
    expect(out.parts.length).toBeGreaterThan(3); // a page at a time, not all at once
  });

  test('redacted events keep their ids', async () => {
    const out = sink();
    const [two, three, four, five] = many(4);
    await writeLines(recorded([odd, four!, five!], { info: info(5), redacted: [2, 3] }), 's', out, () => {});
    expect(out.text().trim().split('\n').slice(1)).toEqual([odd, '{"id":2,"session":"s","redacted":true}', '{"id":3,"session":"s","redacted":true}', four, five]);
    expect(two && three).toBeTruthy();
  });

  test('nothing is written after it was cancelled', async () => {
    const out = sink();
    const stop = new AbortController();
    const texts = [odd, ...many(5_000)];
    await expect(writeLines(recorded(texts, { info: info(5_001) }), 's', out, () => stop.abort(), stop.signal)).rejects.toThrow();
    expect(out.parts).toHaveLength(2);
  });

  test('another history is not mixed in', async () => {
    await expect(writeLines(recorded([odd], { info: info(1).replace('e1', 'e0') }), 's', sink(), () => {})).rejects.toThrow('Export it again');
  });
});

test('turns are one JSON array, oldest first, each as the server sends it', async () => {
  const turns = Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`t/${i}`, `{"turn":"t/${i}","costUsd":0.10}`]));
  const out = sink();
  await writeTurns(recorded([], { turns }), 's', out, () => {});
  expect(out.text()).toContain('{"turn":"t/0","costUsd":0.10}');
  expect((JSON.parse(out.text()) as { turn: string }[]).map((t) => t.turn)).toEqual(Object.keys(turns));
});

describe('the recording in a page', () => {
  const events = (ids: number[], redacted: number[] = []) => ids.map((id) => (redacted.includes(id) ? { id, redacted: true as const } : { id, session: 's', type: 'x', time: '2026-11-20T17:00:00Z', data: id }));
  const of = (list: Recording['events'], floor = 1): Recording => ({ konlog: 'replay/2', session: { id: 's', head: 9, floor, state: 'idle', createdAt: '' }, events: list });
  const read = async (recording: Recording) => {
    const log = new RecordedLog(recordingLog(recording));
    const parts: string[] = [];
    await log.load(({ gap, events }) => parts.push(...(gap ? [`${gap.reason} ${gap.from}-${gap.to}`] : []), ...events.map((e) => String(e.id))));
    expect(log.complete).toBe(true);
    return parts;
  };

  test('is read to its end, whatever is missing from it', async () => {
    expect(await read(of(events([1, 2, 3])))).toEqual(['1', '2', '3']);
    expect(await read(of(events([5, 6], []), 5))).toEqual(['5', '6']);
    expect(await read(of(events([1, 2, 3, 4, 5], [2, 3])))).toEqual(['1', 'redacted 2-3', '4', '5']);
    expect(await read(of(events([1, 2, 3], [1, 3])))).toEqual(['redacted 1-1', '2', 'redacted 3-3']);
    expect(await read(of(events([1, 4, 5])))).toEqual(['1', 'retention 2-3', '4', '5']);
    expect(await read(of([]))).toEqual([]);
    const many = Array.from({ length: 5_001 }, (_, i) => i + 1);
    expect(await read(of(events(many)))).toEqual(many.map(String));
  });

  test('what is packed comes out, and another kind is refused', async () => {
    const pack = (value: unknown) => gzipSync(JSON.stringify(value)).toString('base64');
    const recording = of(events([1]));
    expect(await unpack(pack(recording))).toEqual(recording);
    await expect(unpack(pack({ konlog: 'replay/1' }))).rejects.toThrow('another kind');
    await expect(unpack(pack(recording).slice(0, 60))).rejects.toThrow();
  });
});

describe('commands', () => {
  const nasty = ["it's", 'a "b" $HOME `id`', 'x;rm -rf /', '', '-n', 'new\nline', '$(id)', "''"];

  test('a shell gives every word back as it was', () => {
    for (const word of nasty) expect(execFileSync('sh', ['-c', `printf %s ${shellLine('x' + word)}`], { encoding: 'utf8' })).toBe('x' + word);
    expect(shellLine('a', '')).toBe("a ''");
  });

  test('curl reads exactly the event', () => {
    expect(curlOf('http://127.0.0.1:8787/', 's1', 42)).toBe("curl -s 'http://127.0.0.1:8787/v1/sessions/s1/events?after=41&until=42&raw=1'");
  });

  test('konlog is told the server where it is not the usual one', () => {
    expect(tailOf('http://127.0.0.1:8787', 's1', 42)).toBe('konlog tail s1 --after 41 --until 42 --no-follow --json --raw');
    expect(turnOf('http://127.0.0.1:9000', 's1', 'it\'s "q"')).toBe(`konlog turns s1 'it'\\''s "q"' --server http://127.0.0.1:9000`);
    expect(exportOf('http://127.0.0.1:8787', 's1', 'html', 's1.html')).toBe('konlog export --session s1 --format html --out s1.html');
  });

  test('a file name has nothing in it that a system refuses', () => {
    expect(fileName('a:b/../c', '.jsonl')).toBe('a-b-..-c.jsonl');
    expect(fileName('..', '.jsonl')).toBe('.jsonl');
  });
});
