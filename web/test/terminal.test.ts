// A terminal's session: what is drawn of it, and what becomes of what is typed.
import { ProblemError, type Connection, type LogEvent, type Message, type Problem } from '@konlog/client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { exitWords, TerminalSession, type Surface } from '../src/terminal/follow';
import { quiet } from '../src/terminal/document';
import { control } from '../src/terminal/Keys';

/** A connection with one session, whose appends the test answers. */
class Fake {
  readonly appended: { type: string; data: Record<string, unknown>; key: string }[][] = [];
  answer: () => Promise<unknown> = () => Promise.resolve({});
  closed = false;
  #listen: (m: Message) => void = () => {};
  readonly subscription = Object.assign(new EventTarget(), {
    onMessage: (listen: (m: Message) => void) => {
      this.#listen = listen;
      return () => (this.#listen = () => {});
    },
    close: () => (this.closed = true),
  });
  readonly connection = {
    session: () => this.subscription,
    append: (_session: string, drafts: { type: string; data: Record<string, unknown>; key: string }[]) => {
      this.appended.push(drafts);
      return this.answer();
    },
  } as unknown as Connection;

  says(...events: [type: string, data: unknown][]): void {
    this.#listen({ kind: 'events', session: 's', live: true, events: events.map(([type, data], i) => ({ id: i + 1, session: 's', type, time: '', data }) as LogEvent) });
  }

  word(name: string, detail?: unknown): void {
    this.subscription.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

class Paper implements Surface {
  text = '';
  sizes: string[] = [];
  write = (bytes: Uint8Array) => void (this.text += new TextDecoder('latin1').decode(bytes));
  size = (cols: number, rows: number) => void this.sizes.push(`${cols}x${rows}`);
  reset = () => void (this.text = '');
}

const problem = (status: number, retryable: boolean) => new ProblemError({ status, retryable, code: 'internal', title: 'No', detail: 'because' } as Problem);
const bytes = (text: string) => ({ bytes: btoa(text) });
let fake: Fake, paper: Paper, terminal: TerminalSession;

beforeEach(() => {
  vi.useFakeTimers();
  fake = new Fake();
  paper = new Paper();
  terminal = new TerminalSession(fake.connection, 's', paper, () => {});
});
afterEach(() => {
  terminal.close();
  vi.useRealTimers();
});

test('Ctrl makes control characters of letters, and nothing of what has none', () => {
  expect(['c', 'C', '[', '@', '_'].map((text) => control(text))).toEqual(['\x03', '\x03', '\x1b', '\0', '\x1f']);
  expect(['', 'cc', '1', 'é', '\n', '\x03'].map((text) => control(text))).toEqual(Array(6).fill(undefined));
});

test('the program that ran last can be started once more', () => {
  fake.says(['terminal_start', { command: ['top', '-d', '1'], dir: '/tmp', cols: 80, rows: 24 }], ['terminal_exit', { exitCode: 0, reason: 'exit' }]);
  expect(terminal.state.program).toEqual({ command: ['top', '-d', '1'], dir: '/tmp' });
  fake.says(['terminal_start', { command: ['a', 7], cols: 80, rows: 24 }]);
  expect(terminal.state.program).toEqual({ command: [], dir: '' });
});

test('what was printed is drawn, byte for byte, and the newest program counts', () => {
  fake.says(['terminal_start', { cols: 80, rows: 24 }], ['terminal_output', bytes('old\xff')], ['terminal_exit', { exitCode: 2, reason: 'exit' }]);
  expect([terminal.state.phase, paper.text]).toEqual(['loading', 'old\xff']);
  fake.word('caughtup');
  expect([terminal.state.phase, exitWords(terminal.state.exit!)]).toEqual(['over', 'The program has ended with exit code 2.']);
  fake.says(['terminal_start', { cols: 100, rows: 30 }], ['terminal_output', bytes('new')], ['terminal_resize', { cols: 0, rows: 5000 }], ['terminal_resize', { cols: 90, rows: 20 }]);
  expect([terminal.state.phase, terminal.state.exit, paper.text, paper.sizes]).toEqual(['live', undefined, 'new', ['80x24', '100x30', '90x20']]);
});

test('what is no terminal event, or malformed, draws nothing', () => {
  fake.says(['terminal_output', { bytes: '%' }], ['terminal_output', null], ['terminal_output', 7], ['text', { text: 'x' }], ['terminal_resize', { cols: '80', rows: 24 }]);
  expect([paper.text, paper.sizes]).toEqual(['', []]);
});

test('what is typed is sent in order, one request at a time, and each again under its keys until it arrives', async () => {
  const outcomes = [problem(0, true), problem(503, true), undefined];
  fake.answer = async () => {
    const refusal = outcomes.shift();
    if (refusal) throw refusal;
  };
  terminal.type('l');
  terminal.type('s');
  terminal.type('€');
  await vi.advanceTimersByTimeAsync(0);
  expect(terminal.state.trouble).toContain('waits');
  await vi.advanceTimersByTimeAsync(5_000);
  const sent = fake.appended.map((drafts) => drafts.map((d) => atob(String(d.data.bytes))).join(''));
  expect(sent).toEqual(['l', 'l', 'l', 's\xe2\x82\xac']);
  expect(new Set(fake.appended.slice(0, 3).map((drafts) => drafts[0]!.key)).size).toBe(1);
  expect(terminal.state.trouble).toBe('');
});

test('a refusal for good is said, and what is typed after it is sent', async () => {
  fake.answer = () => Promise.reject(problem(403, false));
  terminal.type('x');
  await vi.advanceTimersByTimeAsync(0);
  expect(terminal.state.trouble).toBe('What was typed last did not arrive: because');
  fake.answer = () => Promise.resolve({});
  terminal.type('y');
  await vi.advanceTimersByTimeAsync(0);
  expect([fake.appended.length, terminal.state.trouble]).toEqual([2, '']);
});

test('a paste is cut into events, and one without end is not taken', async () => {
  expect(terminal.type('x'.repeat(40_000))).toBe(true);
  await vi.advanceTimersByTimeAsync(0);
  expect(fake.appended.flat().map((d) => atob(String(d.data.bytes)).length)).toEqual([16_384, 16_384, 7_232]);
  fake.answer = () => new Promise(() => {});
  expect(terminal.type('x'.repeat(1 << 20))).toBe(true);
  expect(terminal.type('y')).toBe(false);
  expect(terminal.state.trouble).toContain('not taken');
});

test('a session that cannot be shown says why; one that begins anew is drawn anew', () => {
  fake.says(['terminal_output', bytes('x')], ['terminal_input', bytes('k')]);
  expect(terminal.state.fresh).toBe(false);
  fake.word('reset');
  expect([paper.text, terminal.state.phase, terminal.state.fresh]).toEqual(['', 'loading', true]);
  fake.word('error', { code: 'transport_disabled' });
  expect([terminal.state.phase, terminal.state.problem?.code]).toEqual(['failed', 'transport_disabled']);
  terminal.close();
  expect(fake.closed).toBe(true);
});

test('every end has its words', () => {
  expect(['closed', 'idle', 'stopped', 'server'].map((reason) => exitWords({ exitCode: -1, reason }))).toHaveLength(4);
  expect(exitWords({ exitCode: -1, reason: 'exit', signal: 'SIGKILL' })).toBe('The program was ended by SIGKILL.');
  expect(exitWords({ exitCode: 0, reason: 'exit' })).toBe('The program has ended.');
});

test('while a terminal is open no style is written as text, and after it all is as before', () => {
  const before = document.createElement;
  const first = quiet(document), second = quiet(document);
  const sheets = document.adoptedStyleSheets.length;
  const style = document.createElement('style');
  style.textContent = '.x { color: red }';
  document.body.append(style);
  expect([document.querySelector('style'), document.adoptedStyleSheets.length]).toEqual([null, sheets + 1]);
  style.remove();
  expect(document.adoptedStyleSheets.length).toBe(sheets);
  const span = document.createElement('span'); // its style attribute is a browser's business: e2e/terminal.test.mjs
  span.setAttribute('class', 'c');
  expect(span.className).toBe('c');
  first();
  expect(document.createElement).not.toBe(before);
  second();
  expect(document.createElement).toBe(before);
});
