import type { Ack, Command, Pending } from '@konlog/client';
import { ProblemError } from '@konlog/client';
import { questionOptions, type Conversation, type Item, type KontaskItem, type QuestionItem, type ViewSnapshot } from '@konlog/client/view';
import { signal } from '@preact/signals';
import { render } from 'preact';
import { act } from 'preact/test-utils';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Actions } from '../src/session/context';
import { ConversationView } from '../src/session/ConversationView';
import { hasScript } from '../src/session/KontaskOutput';
import { Tray } from '../src/session/Tray';
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

it('the tray lists some of very many, and says how many there are', async () => {
  const questions = Array.from({ length: 10_000 }, (_, i) => question({ id: i + 1, requestId: `q-${i}` }));
  act(() => render(<Tray questions={questions} kontasks={[kontask()]} onGo={() => {}} />, host));
  await click('[data-testid=tray]');
  expect(host.querySelectorAll('.tray-list button').length).toBe(100);
  expect(host.textContent).toContain('10,001 waiting');
  expect(host.textContent).toContain('9,901 further ones');
});

describe('a row that is in use', () => {
  const many = (item: Item, n: number): Conversation => {
    const made = holding(item);
    const rest = conversation(n, 100).sections[0]!.items;
    return { ...made, last: 100 + n, sections: [{ ...made.sections[0]!, items: [item, ...rest] }] };
  };
  const grow = (item: Item, n: number) => act(() => render(<ConversationView conversation={many(item, n)} session="s1" live actions={actions} />, host));

  it('is not released by what comes while somebody writes in it', async () => {
    show(question());
    await click('.button.quiet');
    const field = find<HTMLTextAreaElement>('.ask-deny textarea');
    act(() => field.focus());
    for (let n = 10; n <= 400; n += 30) grow(question(), n);
    expect(host.contains(field)).toBe(true);
    expect(find('[data-testid=to-end]')).not.toBeNull();
  });

  it('is released by them when nobody does', () => {
    show(question());
    for (let n = 10; n <= 400; n += 30) grow(question(), n);
    expect(find('[data-item=question]')).toBeNull();
  });
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

  it.each([true, false])('still shows what was asked once it is answered (%s), all of it at a press', async (allow) => {
    show(question({ open: false, tool: 'Write', input: { command: 'make test', description: 'Runs the tests' }, answer: { allow, by: '', message: '', option: undefined, time: base.time, id: 6 } }));
    expect(find('.question .fold-short').textContent).toBe('make test');
    expect(find('.question-input')).toBeNull();
    await click('.question .fold');
    expect(find('.question-input').textContent).toContain('Runs the tests');
    expect(find('.question .fold').getAttribute('aria-expanded')).toBe('true');
  });

  it.each<[string, unknown, string[]]>([
    ['plain', { question: 'Which port?' }, ['Which port?']],
    ['a string', 'Which port?', ['Which port?']],
    ['several with options', { questions: [{ question: 'Which port?', header: 'Port', options: [{ label: '80', description: 'the usual' }, { label: '81' }] }] }, ['Which port?', '80 – the usual']],
    ['with more', { question: 'Which port?', host: 'a.example' }, ['Which port?', 'a.example']],
  ])('in words is shown as words: %s', (_, input, words) => {
    show(question({ tool: 'AskUserQuestion', input }));
    for (const word of words) expect(find('.question-input').textContent).toContain(word);
    expect(find('.question-input').textContent).not.toContain('question');
  });

  it('that is no words is shown as it came', () => {
    show(question({ tool: 'X', input: { questions: [{ odd: 7 }] } }));
    expect(find('.question-input').textContent).toContain('odd');
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
    show(question({ options: questionOptions([{ label: 'Once', value: { optionId: 'a', kind: 'allow_once' } }, { label: 'Always', value: { optionId: 'b', kind: 'allow_always' } }, { label: 'Reject', value: { optionId: 'c', kind: 'reject_once' } }]) }));
    expect(find('[data-testid=allow]').textContent).toBe('Once');
    await click('[data-testid=deny]');
    expect(sent[0]!.body).toMatchObject({ allow: false, option: { optionId: 'c' } });
  });

  it.each([
    ['by the kind that the agent names, whatever the words and ids are', [{ optionId: '1', name: 'Ja', kind: 'allow_once' }, { optionId: '2', name: 'Nein', kind: 'reject_once' }], ['1', '2']],
    ['with words that begin like a no', [{ label: 'Notify me', value: 'notify' }, { label: 'No limits', value: 'all', kind: 'allow_always' }], ['notify', 'all']],
  ])('never takes a no for a yes: options %s', async (_, options, [, second]) => {
    const made = questionOptions(options);
    expect(made.map((o) => o.denies)).toEqual([false, second === '2']);
    if (second !== '2') return;
    show(question({ options: made }));
    await click('[data-testid=deny]');
    expect(sent[0]!.body).toMatchObject({ allow: false, option: second });
  });

  it.each([[{ command: 'echo \u202e; fr- mr' }], [{ other: 'echo \u202e; fr- mr' }], [{ file_path: 'a', old_string: 'x', new_string: '\u202e; fr- mr' }]])('shows what it asks for in the order in which it runs: %j', (input) => {
    show(question({ input }));
    expect(find('.question-input').textContent).toContain('‹U+202E›; fr- mr');
    expect(host.textContent).not.toContain('\u202e');
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

  it('is found out by one look at each of thousands', () => {
    let reads = 0;
    const all = Array.from({ length: 2_000 }, (_, i) => ({ ...question(), get requestId() { return reads++, `q-${i}`; } }));
    expect(changeWords(snap({ questions: all }), snap({ questions: [...all] }))).toBe('');
    expect(changeWords(snap({ questions: all }), snap({ questions: [...all, question({ requestId: 'new', tool: 'Write' })] }))).toContain('Write');
    expect(reads).toBeLessThan(10 * all.length);
  });
});
