import type { Command, Pending } from '@konlog/client';
import { signal } from '@preact/signals';
import { render } from 'preact';
import { act } from 'preact/test-utils';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Entry } from '../src/inbox/items';

const page = vi.hoisted(() => ({ sent: [] as unknown[], dropped: [] as string[], pending: undefined as unknown }));
vi.mock('../src/app/connection', () => {
  page.pending = signal<readonly Pending[]>([]);
  return { pending: page.pending, connectionState: signal({ phase: 'live' }), connection: { send: (c: Command) => (page.sent.push(c), new Promise(() => {})), dropPending: (key: string) => page.dropped.push(key) } };
});
vi.mock('../src/sessions/store', () => ({ markAllSeen: async () => {} }));
const { EntryRow } = await import('../src/inbox/EntryRow');

const session = { id: 's1', title: 'One' } as Entry['session'];
const question = (options?: unknown): Entry => ({ kind: 'question', key: 'k', session, time: 0, question: { id: 5, requestId: 'q-1', tool: 'Bash', input: { command: 'make' }, options, time: '' } });
const card: Entry = { kind: 'kontask', key: 'k', session, time: 0, card: { id: 5, ready: 5, kontaskId: 'k-1', title: 'Green', choices: [{ label: 'Look', value: 'Look again' }, { label: 'Ship', value: 'Ship it', primary: true }], time: '' } };
let host: HTMLElement;
const show = (entry: Entry) => act(() => render(<EntryRow entry={entry} />, host));
const press = (text: string) => act(() => [...host.querySelectorAll('button')].find((b) => b.textContent?.trim() === text)!.click());
const body = () => (page.sent.at(-1) as Command).body;

beforeEach(() => {
  page.sent.length = page.dropped.length = 0;
  (page.pending as { value: unknown }).value = [];
  host = document.createElement('div');
});
afterEach(() => act(() => render(null, host)));

it('never allows what an option denies', () => {
  show(question([{ optionId: 'a', name: 'Ja', kind: 'allow_once' }, { optionId: 'b', name: 'Nein', kind: 'reject_once' }]));
  press('Nein');
  expect(body()).toMatchObject({ requestId: 'q-1', allow: false, option: 'b' });
});

it('answers by the name that the agent gave the option, and says from where', () => {
  show(question([{ optionId: 'a', name: 'Ja', kind: 'allow_once' }]));
  press('Ja');
  expect(body()).toMatchObject({ allow: true, option: 'a', by: expect.stringContaining('console') });
  expect([...host.querySelectorAll('button')].every((b) => b.disabled)).toBe(true);
});

it('allows and denies without options', () => {
  show(question());
  press('Deny');
  expect(body()).toMatchObject({ allow: false });
  expect(body()).not.toHaveProperty('option');
});

it('chooses by what stands on the button, whatever was put before it meanwhile', () => {
  show(card);
  expect(host.querySelector('[data-choice]')!.textContent).toBe('Ship');
  press('Look');
  expect(body()).toEqual({ kontaskId: 'k-1', choice: 'Look again' });
});

it('says what waits for the server, also when it was given before a reload', () => {
  (page.pending as { value: unknown }).value = [{ key: 'x', session: 's1', command: 'answer', body: { requestId: 'q-1', allow: true }, state: 'waiting' }];
  show(question());
  expect(host.textContent).toContain('sent when the server is back');
  expect([...host.querySelectorAll('button')].every((b) => b.disabled)).toBe(true);
});
