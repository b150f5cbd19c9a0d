import { expect, test } from 'vitest';
import type { LogEvent } from '../../src/types.js';
import { Fold } from '../../src/view/fold.js';
import type { Conversation, Item, KontaskItem, ToolItem } from '../../src/view/types.js';
import { random } from '../rig.js';
import { generate } from './generate.js';
import { everyItem, shown } from './shown.js';

type Part = [type: string, data?: unknown, at?: { turn?: string; parent?: string; from?: number; id?: number }];

/** Events with ids from 1 on, one second apart, of turn r unless they say otherwise. */
function log(...parts: Part[]): LogEvent[] {
  let id = 0;
  return parts.map(([type, data = {}, at = {}]) => {
    id = at.id ?? id + 1;
    const { turn = 'r', parent, from } = at;
    return { id, session: 's', type, time: new Date(Date.UTC(2026, 0, 1) + id * 1000).toISOString(), data, ...(turn && { turn }), ...(parent && { parent }), ...(from && { from }) } as LogEvent;
  });
}

function foldOf(...parts: Part[]): Conversation {
  const fold = new Fold();
  fold.apply(log(...parts));
  return fold.conversation;
}

const kinds = (items: readonly Item[]): string[] => items.map((i) => `${i.kind}${'text' in i ? ` ${i.text}` : ''}`);
const tool = (c: Conversation, id: string): ToolItem => [...everyItem(c.sections.flatMap((s) => s.items))].find((i): i is ToolItem => i.kind === 'tool' && i.toolId === id)!;
const start: Part = ['turn_start'];
const end: Part = ['turn_end', { success: true }];

test('the same events in any portions, and once more, give the same conversation', () => {
  for (let seed = 1; seed <= 30; seed++) {
    const events = generate(seed + 500, 250);
    const whole = new Fold();
    whole.apply(events);
    const next = random(seed);
    const parts = new Fold();
    for (let i = 0; i < events.length; ) {
      const n = 1 + Math.floor(next() * 9);
      parts.apply(events.slice(Math.max(0, i - 5), i + n)); // the last ones come twice
      if (next() < 0.5) void parts.conversation;
      i += n;
    }
    parts.apply(events);
    expect(parts.conversation, `seed ${seed}`).toEqual(whole.conversation);
  }
});

test('as of an event a fold is what it was then, whatever came later', () => {
  const events = generate(7, 200);
  const live = new Fold();
  const then: Conversation[] = [];
  const copies: string[] = [];
  for (const e of events) {
    live.apply([e]);
    then.push(live.conversation);
    copies.push(JSON.stringify(live.conversation));
  }
  for (let k = 1; k <= events.length; k++) {
    const again = new Fold();
    again.apply(events.slice(0, k));
    expect(again.conversation, `as of ${k}`).toEqual(then[k - 1]);
    expect(JSON.stringify(then[k - 1]), `the value of ${k} was changed afterwards`).toBe(copies[k - 1]);
  }
});

test('what did not change keeps its identity, and what did has another', () => {
  const fold = new Fold();
  fold.apply(log(start, ['text', { text: 'a' }], ['tool_start', { id: 't', name: 'Bash', input: {} }], ['text_delta', { text: 'sub' }, { parent: 't' }], end));
  const was = fold.conversation;
  expect(fold.conversation).toBe(was);
  fold.apply(log(['turn_start', {}, { id: 6, turn: 'r2' }], ['text_delta', { text: 'b' }, { turn: 'r2' }]));
  const now = fold.conversation;
  expect(now).not.toBe(was);
  expect(now.sections[0]).toBe(was.sections[0]);
  fold.apply(log(['text_delta', { text: 'more' }, { id: 8, parent: 't' }]));
  const then = fold.conversation;
  expect(then.sections[1]).toBe(now.sections[1]);
  expect(then.sections[0]!.items[0]).toBe(now.sections[0]!.items[0]);
  expect(tool(then, 't')).not.toBe(tool(now, 't'));
  expect(kinds(tool(then, 't').children)).toEqual(['text submore']);
});

test('a whole takes the place of its deltas, a run with from adds to its block', () => {
  const c = foldOf(start, ['text_delta', { text: 'Hel' }], ['text', { text: 'lo' }, { from: 3, id: 4 }], ['thinking', { text: 'hm' }], ['text_delta', { text: 'x', block: 1 }],
    ['text_delta', { text: 'other', block: '1' }], ['text', { text: 'whole', block: 1 }], ['text', { text: 'New' }]);
  expect(kinds(c.sections[0]!.items)).toEqual(['text Hello', 'thinking hm', 'text whole', 'text other', 'text New']);
});

test('only the block that deltas come for streams, and none once the turn is over', () => {
  const streaming = (...parts: Part[]): boolean[] => foldOf(start, ...parts).sections[0]!.items.flatMap((i) => (i.kind === 'text' ? [i.streaming] : []));
  expect(streaming(['text_delta', { text: 'a', block: 1 }])).toEqual([true]);
  expect(streaming(['text_delta', { text: 'a', block: 1 }], ['text_delta', { text: 'b', block: 2 }])).toEqual([false, true]);
  expect(streaming(['text_delta', { text: 'a' }], ['tool_start', { id: 't' }])).toEqual([false]);
  expect(streaming(['text_delta', { text: 'a' }, { parent: 't' }], end)).toEqual([false]);
});

test('a subagent’s work stands below its tool, also deeper and when it was heard of first', () => {
  const c = foldOf(start, ['text', { text: 'early' }, { parent: 'a' }], ['tool_start', { id: 'b', name: 'Read' }, { parent: 'a' }], ['text', { text: 'deep' }, { parent: 'b' }],
    ['tool_start', { id: 'a', name: 'Task', input: {} }], ['text', { text: 'late' }, { parent: 'a' }]);
  expect(kinds(c.sections[0]!.items)).toEqual(['tool']);
  expect(kinds(tool(c, 'a').children)).toEqual(['text early', 'tool', 'text late']);
  expect(kinds(tool(c, 'b').children)).toEqual(['text deep']);
});

test('tools that name each other or themselves as parents are shown and hang nobody up', () => {
  const c = foldOf(start, ['tool_start', { id: 'a' }, { parent: 'b' }], ['tool_start', { id: 'b' }, { parent: 'a' }], ['tool_start', { id: 'c' }, { parent: 'c' }]);
  expect([...everyItem(c.sections[0]!.items)].map((i) => (i as ToolItem).toolId).sort()).toEqual(['a', 'b', 'c']);
});

test('a tool has its input as it streams, then whole, its result, and its time by the log', () => {
  const parts: Part[] = [start, ['tool_start', { id: 't', name: 'Bash', input: null }], ['tool_delta', { id: 't', text: '{"a"' }], ['tool_start', { id: 't', text: ':1}' }, { from: 4, id: 5 }]];
  expect(tool(foldOf(...parts), 't')).toMatchObject({ input: undefined, inputText: '{"a":1}', state: 'running' });
  parts.push(['tool_start', { id: 't', name: 'Bash', input: { a: 1 } }], ['tool_result', { id: 't', output: [{ type: 'image', mimeType: 'image/png', data: 'AAAA' }], isError: true }]);
  expect(tool(foldOf(...parts), 't')).toMatchObject({ input: { a: 1 }, inputText: '', state: 'failed', durationMs: 5000, images: [{ url: 'data:image/png;base64,AAAA' }] });
  expect(tool(foldOf(start, ['tool_start', { id: 't' }], end), 't')).toMatchObject({ state: 'ended', durationMs: 1000 });
});

test('turns: queued, steered, ended in every way', () => {
  const c = foldOf(start, ['prompt', { text: 'next', source: 'inject' }, { turn: 'q' }], ['prompt', { text: 'steer' }], ['turn_end', { success: false, reason: 'stopped' }]);
  expect(c.sections.map((s) => [s.turn, s.state, s.success, s.reason])).toEqual([['r', 'ended', false, 'stopped'], ['q', 'queued', undefined, '']]);
  expect(c.sections[0]!.items.map((i) => (i.kind === 'prompt' ? i.steers : i.kind === 'notice' && i.text))).toEqual([true, 'Stopped']);
  expect(c.queued.map((s) => s.prompt)).toEqual(['next']);
  expect(c.openTurn).toBeUndefined();
  const abandoned = foldOf(start, ['turn_end', { success: false, reason: 'abandoned' }]).sections[0]!.items[0]!;
  expect(abandoned).toMatchObject({ kind: 'notice', tone: 'warning' });
  expect(foldOf(start, ['turn_end', { success: true, fullText: 'all' }]).sections[0]!.items).toMatchObject([{ kind: 'text', text: 'all' }]);
  expect(foldOf(start, ['text', { text: 'said' }], ['turn_end', { success: true, fullText: 'all' }]).sections[0]!.items).toHaveLength(1);
});

test('the first answer holds, and the end of its turn closes a question', () => {
  const ask: Part = ['permission_request', { requestId: 'q', tool: 'Bash', options: ['yes', { optionId: 'o', name: 'No' }] }];
  const c = foldOf(start, ask, ['permission_response', { requestId: 'q', allow: false, by: 'first' }], ['permission_response', { requestId: 'q', allow: true, by: 'second' }]);
  expect(c.sections[0]!.items).toMatchObject([{ kind: 'question', open: false, answer: { allow: false, by: 'first' }, options: [{ label: 'yes' }, { label: 'No', value: 'o' }] }]);
  const open = foldOf(start, ask);
  expect(open.questions).toHaveLength(1);
  expect(foldOf(start, ask, end)).toMatchObject({ questions: [], sections: [{ items: [{ open: false, answer: undefined }] }] });
});

test('a kontask stands where it was delivered and never moves; the first choice holds', () => {
  const card = (c: Conversation): KontaskItem | undefined => c.sections.flatMap((s) => s.items).find((i): i is KontaskItem => i.kind === 'kontask');
  const parts: Part[] = [start, ['kontask_created', { id: 'k', status: 'working', title: 'T' }], end, ['turn_start', {}, { turn: 'r2' }], ['turn_end', { success: true }, { turn: 'r2' }]];
  expect([card(foldOf(...parts)), foldOf(...parts).preparing.length, foldOf(...parts).kontasks.length]).toEqual([undefined, 1, 0]);
  parts.push(['kontask_ready', { kontaskId: 'k', status: 'done', description: 'D' }]);
  const ready = foldOf(...parts);
  expect(card(ready)).toMatchObject({ id: 6, ready: true, record: { title: 'T', description: 'D', status: 'done' } });
  expect(ready.sections.at(-1)!.items.at(-1)).toBe(card(ready)); // at the end of the log, not in a turn that is long over
  expect(ready.kontasks).toEqual([card(ready)]);
  parts.push(['kontask_updated', { kontaskId: 'k', title: 'T2' }], ['kontask_chosen', { kontaskId: 'k', choice: 0, label: 'A' }], ['kontask_chosen', { kontaskId: 'k', choice: 1, label: 'B' }], ['kontask_ready', { kontaskId: 'k' }]);
  const chosen = foldOf(...parts);
  expect(card(chosen)).toMatchObject({ id: 6, record: { title: 'T2', description: 'D' }, chosen: { label: 'A' } });
  expect(chosen.kontasks).toEqual([]);
});

test('a task outlives its turn; a plan is replaced in its place; costs add up', () => {
  const c = foldOf(start, ['task_start', { taskId: 'b', title: 'Build' }], ['plan', { items: ['a', { content: 'b', status: 'in_progress' }] }], ['usage', { costUsd: 0.1 }], ['usage', { costUsd: 0.2 }],
    ['plan', { items: [{ text: 'a', state: 'done' }] }], ['usage', { costUsd: 9 }, { parent: 't' }], end, ['task_end', { taskId: 'b', success: false }, { turn: 'r', id: 20 }]);
  expect(c.sections[0]!.items).toMatchObject([{ kind: 'task', state: 'failed', durationMs: 18_000 }, { kind: 'plan', items: [{ text: 'a', state: 'done' }] }]);
  expect([c.costUsd, c.plan?.items.length, c.tasks.length]).toEqual([0.2, 1, 0]);
});

test('a redaction takes the words of its events away, wherever they were shown, and nothing else', () => {
  const fold = new Fold();
  fold.apply(log(['prompt', { text: 'secret 1' }], start, ['text_delta', { text: 'secret 2' }], ['text', { text: 'kept' }, { id: 5 }], ['tool_start', { id: 't', name: 'x', input: 'secret 3' }], ['permission_request', { requestId: 'q', tool: 'secret 4' }],
    ['kontask_ready', { id: 'k', title: 'secret 5' }], ['task_start', { taskId: 'b', title: 'secret 6' }], ['app.thing', { secret: 1 }]));
  fold.apply(log(['redacted', { from: 1, to: 9 }, { id: 11, turn: '' }]));
  const { conversation: c } = fold;
  expect(JSON.stringify(c)).not.toContain('secret');
  expect(c.sections[0]!.items.map((i) => [i.kind, !!i.redacted])).toEqual([['prompt', true], ['text', true], ['tool', true], ['question', true], ['kontask', true], ['task', true], ['other', false]]);
  expect(c.questions).toEqual([]);
  const clean = new Fold(); // one who reads the redacted log has nothing to lose
  clean.apply(log(start, ['text_delta', { text: 'a ' }]));
  clean.gap(3, 3, 'redacted');
  clean.apply(log(['text_delta', { text: 'b' }, { id: 4 }], ['redacted', { from: 3, to: 3 }, { turn: '' }]));
  expect(kinds(clean.conversation.sections[0]!.items)).toEqual(['text a b', 'notice Event 3 was redacted']);
});

test('odd data of any type never throws and never hides an event', () => {
  const types = ['prompt', 'turn_start', 'text', 'text_delta', 'tool_start', 'tool_delta', 'tool_result', 'permission_request', 'permission_response', 'task_start', 'kontask_ready', 'kontask_chosen',
    'plan', 'usage', 'error', 'process_exit', 'agent', 'redacted', 'session_init', 'stop_turn', 'app', 'turn_end', 'session_closed'];
  for (const data of [null, 0, '', 'text', [], [null], {}, { id: {}, text: 1, requestId: 2, items: [null, 1], error: [], options: [null] }, { event: { type: 1 }, message: { content: [null, 3] }, item: null, type: 5 }, JSON.parse('{"__proto__":{"x":1},"id":"__proto__"}')]) {
    const c = foldOf(...types.map((t): Part => [t, data]));
    expect(c.last).toBe(types.length);
  }
  expect(({} as { x?: number }).x).toBeUndefined();
  expect(foldOf(['app.custom', { a: 1 }], ['app.custom', {}]).unknown).toEqual({ 'app.custom': 2 });
});

test('a run that was applied in part is refused, for its text cannot be told apart', () => {
  const fold = new Fold();
  fold.apply(log(start, ['text_delta', { text: 'a' }]));
  expect(() => fold.apply(log(['text', { text: 'ab' }, { from: 2, id: 3 }]))).toThrow(/read again after 2/);
});

test('what is known from the middle of a turn on is shown as the open turn, and a folded log from its beginning is not', () => {
  const part = new Fold({ after: 10 });
  part.apply(log(['text_delta', { text: 'x' }, { id: 11 }]));
  expect(part.conversation.openTurn?.turn).toBe('r');
  expect(foldOf(['text', { text: 'x' }, { id: 3 }]).openTurn).toBeUndefined();
  part.settle('');
  expect(part.conversation).toMatchObject({ openTurn: undefined, sections: [{ state: 'ended', success: undefined }] });
});

test('values that say the same are kept when a log is folded anew', () => {
  const events = generate(3, 300);
  const old = new Fold();
  old.apply(events);
  const was = old.conversation;
  const anew = new Fold();
  anew.apply(events);
  anew.reuse(was);
  anew.conversation.sections.forEach((s, i) => expect(s).toBe(was.sections[i]));
  anew.apply(log(['text', { text: 'news' }, { id: 301, turn: 'fresh' }]));
  old.apply(log(['text', { text: 'news' }, { id: 301, turn: 'fresh' }]));
  expect(shown(anew.conversation)).toEqual(shown(old.conversation));
});
