// A view of a session against the real server.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Connection } from '../../src/api.js';
import { connect } from '../../src/connect.js';
import type { LogEvent, Page } from '../../src/types.js';
import { Fold } from '../../src/view/fold.js';
import { openSession } from '../../src/view/session.js';
import type { SessionView } from '../../src/view/types.js';
import { startServer, TestWebSocket, until, type Draft, type Server } from '../rig.js';
import { generate } from './generate.js';
import { everyItem, shown } from './shown.js';

let server: Server;
let connection: Connection;
const views: SessionView[] = [];
beforeAll(async () => {
  server = await startServer();
  connection = connect({ url: server.url, share: false, outbox: 'memory', WebSocket: TestWebSocket, limits: { baseMs: 20, maxMs: 200 } });
}, 240_000);
afterEach(() => {
  for (const v of views.splice(0)) v.close();
});
afterAll(async () => {
  connection?.close();
  await server?.close();
});

function open(session: string, tail?: number): SessionView {
  const v = openSession(connection, session, tail === undefined ? {} : { tail });
  views.push(v);
  return v;
}
const live = (v: SessionView, last = 0): Promise<void> => until('live', () => v.snapshot.phase === 'live' && v.snapshot.conversation.last >= last);

async function restore(session: string, events: readonly LogEvent[]): Promise<void> {
  const answer = await fetch(`${server.url}/v1/sessions/${session}/import`, {
    method: 'POST', headers: { 'content-type': 'application/x-ndjson' }, body: events.map((e) => JSON.stringify(e)).join('\n') + '\n',
  });
  if (!answer.ok) throw new Error(await answer.text());
}

async function whole(session: string): Promise<unknown> {
  const events: LogEvent[] = [];
  const fold = new Fold();
  for (let after = 0; ; ) {
    const page = await server.call<Page>('GET', `/v1/sessions/${session}/events?after=${after}&limit=10000`);
    if (page.gap) {
      fold.apply(events.splice(0));
      fold.gap(page.gap.from, page.gap.to, page.gap.reason);
    }
    events.push(...(page.events as LogEvent[]));
    after = page.next;
    if (page.caughtUp) break;
  }
  fold.apply(events);
  return shown(fold.conversation);
}

const say = (text: string, turn = 'r'): Draft => ({ type: 'text_delta', turn, data: { text } });
const texts = (v: SessionView): string[] => v.snapshot.conversation.sections.flatMap((s) => [...everyItem(s.items)].flatMap((i) => (i.kind === 'text' ? [i.text] : [])));

test('a view that was opened at the tail shows, once all of it was loaded, what the whole log shows', async () => {
  for (let seed = 1; seed <= 6; seed++) {
    const session = `whole-${seed}`;
    await restore(session, generate(seed + 50, 2000));
    const v = open(session, 40 * seed);
    await live(v);
    expect(v.snapshot.hasEarlier).toBe(true);
    while (v.snapshot.hasEarlier) await v.loadEarlier();
    expect(shown(v.snapshot.conversation)).toEqual(await whole(session));
  }
});

test('events come in as they are appended, and listeners hear of it once per frame', async () => {
  const v = open('live-1');
  await until('missing', () => v.snapshot.phase === 'missing');
  await server.append('live-1', [{ type: 'turn_start', turn: 'r' }, say('a')]);
  await live(v, 2);
  let calls = 0;
  v.subscribe(() => calls++);
  const was = v.snapshot;
  for (let i = 0; i < 20; i++) await server.append('live-1', [say(`${i} `)]);
  await until('20 more', () => v.snapshot.conversation.last === 22);
  expect(v.snapshot).not.toBe(was);
  expect(calls).toBeLessThanOrEqual(23); // one per event at most, however many messages carried them
  expect(texts(v).join('')).toBe('a' + Array.from({ length: 20 }, (_, i) => `${i} `).join(''));
  expect(v.snapshot.conversation.openTurn?.turn).toBe('r');
});

test('what is open is shown although its event is older than the first page, with the beginning of the open turn', async () => {
  const s = 'pins';
  await server.append(s, [
    { type: 'kontask_ready', data: { id: 'k-pins', status: 'done', title: 'A card', context: { choices: [{ label: 'Go', value: 'go' }] } } },
    { type: 'kontask_updated', data: { kontaskId: 'k-pins', title: 'A better card' } },
    { type: 'task_start', data: { taskId: 'b1', title: 'Build' } },
    { type: 'prompt', turn: 'r', data: { text: 'do it' } }, { type: 'turn_start', turn: 'r' },
    { type: 'permission_request', turn: 'r', data: { requestId: 'q1', tool: 'Bash', input: { command: 'x'.repeat(10_000) } } },
    ...Array.from({ length: 100 }, (_, i) => ({ type: 'app.note', turn: 'r', data: { i } })),
  ]);
  const v = open(s, 10);
  await live(v);
  await until('pinned', () => v.snapshot.conversation.questions.length === 1 && v.snapshot.conversation.openTurn?.prompt !== '');
  const c = v.snapshot.conversation;
  expect((c.questions[0]!.input as { command: string }).command).toHaveLength(10_000);
  expect(c.kontasks.map((k) => [k.record.title, k.record.context?.choices?.length])).toEqual([['A better card', 1]]);
  expect(c.tasks.map((t) => t.title)).toEqual(['Build']);
  expect([c.openTurn?.turn, c.openTurn?.prompt, c.openTurn?.state]).toEqual(['r', 'do it', 'open']);
  expect(c.sections.flatMap((x) => x.items).some((i) => i.kind === 'notice' && /not loaded/.test(i.text))).toBe(true);
  await server.call('POST', `/v1/sessions/${s}/answers`, { requestId: 'q1', allow: true });
  await until('answered', () => v.snapshot.conversation.questions.length === 0);
  while (v.snapshot.hasEarlier) await v.loadEarlier();
  expect(shown(v.snapshot.conversation)).toEqual(await whole(s));
});

test('loadThrough goes back to an event, and says false of one that is gone', async () => {
  const s = 'through';
  await restore(s, generate(77, 4000));
  const v = open(s, 50);
  await live(v);
  expect(await v.loadThrough(3999)).toBe(true);
  expect(v.events()[0]!.id).toBeGreaterThan(2500);
  expect(await v.loadThrough(1100)).toBe(true);
  expect(v.events()[0]!.id).toBeLessThanOrEqual(1100);
  expect(await v.loadThrough(99_999)).toBe(false);
  await server.call('POST', `/v1/sessions/${s}/redact`, { from: 20, to: 20 });
  expect(await v.loadThrough(20)).toBe(false);
});

test('a deleted session is missing, and another history of it replaces what was shown only when it is complete', async () => {
  const s = 'again';
  await server.append(s, [{ type: 'turn_start', turn: 'r' }, say('the old history')]);
  const v = open(s);
  await live(v, 2);
  const seen: string[] = [];
  v.subscribe(() => seen.push(texts(v).join('|')));
  await server.call('DELETE', `/v1/sessions/${s}`);
  await until('missing', () => v.snapshot.phase === 'missing');
  expect(texts(v)).toEqual(['the old history']);
  await server.append(s, [{ type: 'turn_start', turn: 'r' }, say('the new '), say('history')]);
  await until('the new one', () => v.snapshot.phase === 'live' && texts(v)[0] === 'the new history');
  expect(new Set(seen)).toEqual(new Set(['the old history', 'the new history'])); // never nothing, never both, never a part
});

test('what is redacted goes from the view at once, and what is left of it is as a new reader has it', async () => {
  const s = 'redact';
  await server.append(s, [{ type: 'prompt', turn: 'r', data: { text: 'the secret prompt' } }, { type: 'turn_start', turn: 'r' }, say('one '), say('secret '), say('three'), { type: 'turn_end', turn: 'r', data: { success: true } }]);
  const v = open(s);
  await live(v, 6);
  await server.call('POST', `/v1/sessions/${s}/redact`, { from: 4, reason: 'a key' });
  await until('redacted', () => texts(v).join('') === 'one three');
  await server.call('POST', `/v1/sessions/${s}/redact`, { from: 1 });
  await until('the prompt too', () => v.snapshot.conversation.last === 8 && !JSON.stringify(v.snapshot.conversation).includes('secret'));
  const fresh = open(s);
  await live(fresh, 8);
  await until('the same', () => JSON.stringify(shown(v.snapshot.conversation)) === JSON.stringify(shown(fresh.snapshot.conversation)));
});

test('a kill of the server in the middle of a turn is not seen in what is shown', async () => {
  const s = 'kill';
  await server.append(s, [{ type: 'turn_start', turn: 'r' }, say('before ')]);
  const v = open(s);
  await live(v, 2);
  await server.kill();
  await server.start();
  await server.append(s, [say('after'), { type: 'turn_end', turn: 'r', data: { success: true } }]);
  await live(v, 4);
  expect(texts(v)).toEqual(['before after']);
  expect(shown(v.snapshot.conversation)).toEqual(await whole(s));
}, 60_000);
