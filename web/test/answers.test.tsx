import type { Ack, Command, Pending } from '@konlog/client';
import { ProblemError } from '@konlog/client';
import type { Conversation, Item, KontaskItem, QuestionItem, ViewSnapshot } from '@konlog/client/view';
import { signal } from '@preact/signals';
import { render } from 'preact';
import { act } from 'preact/test-utils';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Actions } from '../src/session/context';
import { ConversationView } from '../src/session/ConversationView';
import { hasScript } from '../src/session/KontaskOutput';
import { denies } from '../src/session/Question';
import { changeWords } from '../src/session/useSession';
import { conversation } from './made';

const pending = signal<readonly Pending[]>([]);
let sent: Command[] = [];
let answer: () => Promise<Ack>;
const actions: Actions = {
  send: (command) => (sent.push(command), answer()),
  get: () => Promise.reject(new Error('away')),
  retry: () => {},
  drop: () => {},
  pending,
};
const ack = (more: object = {}): Ack => ({ session: 's1', id: 9, duplicate: false, ...more }) as Ack;
const base = { last: 5, turn: 't1', parent: '', time: '2026-11-20T17:24:01.123Z' };
const question = (more: Partial<QuestionItem> = {}): QuestionItem => ({ ...base, id: 5, kind: 'question', requestId: 'q-1', tool: 'Bash', input: { command: 'make' }, options: [], answer: undefined, open: true, ...more });
const kontask = (more: Partial<KontaskItem> = {}, record: object = {}): KontaskItem => ({
  ...base, id: 5, kind: 'kontask', kontaskId: 'k-1', ready: true, chosen: undefined, ...more,
  record: { id: 'k-1', session: 's1', createdAt: '', updatedAt: '', events: {}, title: 'Green', status: 'completed', tags: ['a'], context: { choices: [{ label: 'Look', value: 'Look again' }, { label: 'Ship', value: 'Ship it', primary: true }, { label: 'Also', value: 'Also', primary: true }] }, ...record } as KontaskItem['record'],
});

let host: HTMLElement;
const holding = (item: Item): Conversation => ({ ...conversation(1), last: 5, sections: [{ ...conversation(1).sections[0]!, items: [item] }] });
const show = (item: Item, readonly = false) => act(() => render(<ConversationView conversation={holding(item)} session="s1" live actions={actions} readonly={readonly} />, host));
const find = <T extends HTMLElement = HTMLElement>(selector: string) => host.querySelector<T>(selector)!;
const click = async (selector: string) => {
  await act(async () => {
    find(selector).click();
    await new Promise((done) => setTimeout(done, 5));
  });
};

beforeEach(() => {
  sent = [];
  pending.value = [];
  answer = async () => ack();
  host = document.createElement('div');
  document.body.append(host);
});
afterEach(() => {
  act(() => render(null, host));
  host.remove();
});

describe('a question', () => {
  it('is answered once, with who answered, and cannot be answered again while that is on its way', async () => {
    show(question());
    await click('[data-testid=allow]');
    expect(sent).toHaveLength(1);
    expect(sent[0]).toMatchObject({ session: 's1', command: 'answer', body: { requestId: 'q-1', allow: true } });
    expect((sent[0]!.body as { by: string }).by).toContain('console');
    expect(find<HTMLButtonElement>('[data-testid=allow]').disabled).toBe(true);
    expect(find<HTMLButtonElement>('[data-testid=deny]').disabled).toBe(true);
  });

  it('shows what the log says of the answer, wherever it was given', () => {
    show(question({ open: false, answer: { allow: false, by: 'phone', message: 'use staging', option: undefined, time: base.time, id: 6 } }));
    expect(find('[data-answer]').dataset.answer).toBe('deny');
    expect(host.textContent).toContain('by phone');
    expect(host.textContent).toContain('use staging');
    expect(find('[data-testid=allow]')).toBeNull();
  });

  it('says honestly when somebody else was first, with something else', async () => {
    answer = async () => ack({ duplicate: true, event: { id: 6, data: { requestId: 'q-1', allow: false, by: 'phone' } } });
    show(question());
    await click('[data-testid=allow]');
    expect(host.textContent).toContain('came second');
    expect(host.textContent).toContain('denied by phone');
  });

  it('does not call the own answer second when only its acknowledgement was lost', async () => {
    answer = async () => ack({ duplicate: true, event: { id: 6, data: { requestId: 'q-1', allow: true, by: 'console' } } });
    show(question());
    await click('[data-testid=allow]');
    expect(host.textContent).not.toContain('came second');
  });

  it('can be given again after a refusal, which it explains', async () => {
    answer = () => Promise.reject(new ProblemError({ code: 'question_not_found', status: 404, title: '', detail: 'x' } as never));
    show(question());
    await click('[data-testid=deny]');
    expect(host.textContent).toContain('Nobody asks this any more.');
    expect(find<HTMLButtonElement>('[data-testid=deny]').disabled).toBe(false);
  });

  it('shows an answer of before a reload that still waits', () => {
    pending.value = [{ key: 'k', session: 's1', command: 'answer', body: { requestId: 'q-1', allow: true }, time: 1, state: 'waiting' }];
    show(question());
    expect(host.textContent).toContain('sent when the server is back');
    expect(find<HTMLButtonElement>('[data-testid=allow]').disabled).toBe(true);
  });

  it('offers its own options, and knows which of them say no', async () => {
    show(question({ options: [{ label: 'Once', value: { optionId: 'a', kind: 'allow_once' } }, { label: 'Always', value: { optionId: 'b', kind: 'allow_always' } }, { label: 'Reject', value: { optionId: 'c', kind: 'reject_once' } }] }));
    expect(find('[data-testid=allow]').textContent).toBe('Once');
    await click('[data-testid=deny]');
    expect(sent[0]!.body).toMatchObject({ allow: false, option: { optionId: 'c' } });
    expect(denies({ label: 'No, and tell it', value: 'no' })).toBe(true);
    expect(denies({ label: 'Notify me', value: 'notify' })).toBe(false);
  });

  it('takes keys while the focus is in it, but not in its field', async () => {
    show(question());
    await act(async () => void find('[data-testid=allow]').dispatchEvent(new KeyboardEvent('keydown', { key: 'd', bubbles: true, cancelable: true })));
    expect(sent[0]!.body).toMatchObject({ allow: false });
  });

  it('has no buttons for who only looks', () => {
    show(question(), true);
    expect(find('[data-testid=allow]')).toBeNull();
  });
});

describe('a kontask', () => {
  it('has its choices with the primary one first, marked, and one only', () => {
    show(kontask());
    const choices = [...host.querySelectorAll<HTMLElement>('[data-choice]')];
    expect(choices.map((c) => c.dataset.choice)).toEqual(['Ship it', 'Look again', 'Also']);
    expect(choices.map((c) => c.classList.contains('primary'))).toEqual([true, false, false]);
  });

  it('is chosen from once, here and after a reload', async () => {
    show(kontask());
    await click('[data-choice="Ship it"]');
    expect(sent).toEqual([{ session: 's1', command: 'choose', body: { kontaskId: 'k-1', choice: 'Ship it' } }]);
    expect([...host.querySelectorAll<HTMLButtonElement>('[data-choice]')].every((b) => b.disabled)).toBe(true);
    show(kontask({ chosen: { choice: 1, label: 'Ship', value: 'Ship it', id: 8, time: base.time } }));
    expect(find('[data-chosen]').dataset.chosen).toBe('Ship');
    expect(find('[data-choice]')).toBeNull();
  });

  it('says honestly when something else was chosen before', async () => {
    answer = async () => ack({ duplicate: true, event: { id: 6, data: { kontaskId: 'k-1', label: 'Look', value: 'Look again' } } });
    show(kontask());
    await click('[data-choice="Ship it"]');
    expect(host.textContent).toContain('came second');
    expect(host.textContent).toContain('Look');
  });

  it('cannot be chosen from before it is ready', () => {
    show(kontask({ ready: false }));
    expect(find<HTMLButtonElement>('[data-choice]').disabled).toBe(true);
    expect(host.textContent).toContain('not ready');
  });

  it('survives a record with anything in it', () => {
    show(kontask({}, { tags: 'x', context: { choices: [null, 7, {}, { label: 'L' }], output: 3 }, title: undefined }));
    expect(host.textContent).toContain('Without a title');
    expect([...host.querySelectorAll<HTMLElement>('[data-choice]')].map((c) => c.textContent)).toEqual(['Choice 1', 'L']);
  });

  it('tells who has scripts in their output', () => {
    expect(hasScript('<p>x</p><script>1</script>')).toBe(true);
    expect(hasScript('<p onclick = "x">')).toBe(true);
    expect(hasScript('<p>the script is on = off</p>')).toBe(false);
  });
});

describe('what is said aloud', () => {
  const snap = (more: Partial<Conversation>): ViewSnapshot => ({ conversation: { ...conversation(1), openTurn: undefined, ...more }, phase: 'live' }) as ViewSnapshot;
  const open = conversation(1).sections[0]!;
  it('is the start and end of a turn, a question, a kontask, each once', () => {
    expect(changeWords(snap({}), snap({ openTurn: open }))).toBe('Working');
    expect(changeWords(snap({ openTurn: open }), snap({ openTurn: open }))).toBe('');
    expect(changeWords(snap({ openTurn: open }), snap({ sections: [{ ...open, state: 'ended', success: true, reason: 'done' }] }))).toBe('The turn is done');
    expect(changeWords(snap({ openTurn: open }), snap({ sections: [{ ...open, state: 'ended', success: false, reason: 'error', error: 'overloaded' }] }))).toBe('The turn failed. overloaded');
    expect(changeWords(snap({}), snap({ questions: [question()] }))).toContain('may it use Bash');
    expect(changeWords(snap({ questions: [question()] }), snap({ questions: [question({ last: 7 })] }))).toBe('');
    expect(changeWords(snap({}), snap({ kontasks: [kontask()] }))).toBe('Kontask: Green');
  });
});
