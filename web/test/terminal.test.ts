// A terminal's session: what is drawn of it, and what becomes of what is typed.
import { ProblemError, type Connection, type LogEvent, type Message, type Problem } from '@konlog/client';
import { h, render } from 'preact';
import { act } from 'preact/test-utils';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { exitWords, TerminalSession, type Surface } from '../src/terminal/follow';
import { quiet } from '../src/terminal/document';
import { control } from '../src/terminal/Keys';

/** The view's parts that are not its own: a screen of 90x20, and the connection that the test made. */
const parts = vi.hoisted(() => ({ connection: undefined as unknown, typed: (_: string) => {} }));
vi.mock('../src/app/connection', () => ({
  get connection() {
    return parts.connection;
  },
}));
vi.mock('../src/account/account', () => ({ me: { value: undefined }, writeTrouble: () => '' }));
vi.mock('../src/sessions/actions', () => ({ offer: async () => ({ agents: [], shells: true }), reopenTerminal: async () => {}, troubleWords: String }));
vi.mock('../src/terminal/screen', () => ({
  openScreen: (_: HTMLElement, typed: (text: string) => void) => {
    parts.typed = typed;
    return { write() {}, size() {}, reset() {}, takes() {}, focus() {}, close() {}, arrow: String, fits: () => ({ cols: 90, rows: 20 }) };
  },
}));
const { TerminalView } = await import('../src/terminal/TerminalView');

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
let fake: Fake, paper: Paper, terminal: TerminalSession, changes = 0;

beforeEach(() => {
  vi.useFakeTimers();
  fake = new Fake();
  paper = new Paper();
  terminal = new TerminalSession(fake.connection, 's', paper, () => changes++);
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

test('keys are made where there is no randomUUID: on a page over plain HTTP', () => {
  vi.stubGlobal('crypto', { getRandomValues: crypto.getRandomValues.bind(crypto) });
  terminal.type('x');
  vi.unstubAllGlobals();
  expect(fake.appended.map((drafts) => drafts[0]!.key)).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/)]);
});

test('what was typed last is sent also when the page is left, but not for ever, and nothing is told any more', async () => {
  let release = (_: unknown) => {};
  fake.answer = () => new Promise((done) => (release = done));
  terminal.type('a');
  terminal.type('b');
  terminal.close();
  changes = 0;
  fake.answer = () => Promise.reject(problem(0, true));
  release({});
  await vi.advanceTimersByTimeAsync(60_000);
  expect(fake.appended.map((drafts) => drafts.map((d) => atob(String(d.data.bytes))).join(''))).toEqual(['a', 'b']);
  expect(changes).toBe(0);
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

test('whoever types again takes the size again; an answer that the screen gives by itself takes nothing', async () => {
  const view = new Fake();
  parts.connection = view.connection;
  const host = document.createElement('div');
  act(() => render(h(TerminalView, { session: 's' }), host));
  const sizes = () => view.appended.flat().filter((d) => d.type === 'terminal_resize').map(({ data }) => data);
  const typed = async (text: string) => {
    act(() => parts.typed(text));
    await vi.advanceTimersByTimeAsync(0);
    return sizes().length;
  };
  act(() => view.says(['terminal_start', { cols: 80, rows: 24 }], ['terminal_input', bytes('x')]));
  act(() => view.word('caughtup'));
  for (const answer of ['\x1b[3;1R', '\x1b[?1;2c', '\x1b[0n', '\x1b[?2026;2$y', '\x1b]11;rgb:0/0/0\x1b\\', '\x1bP1$r0m\x1b\\', '\x1b[O']) expect(await typed(answer)).toBe(0);
  expect(await typed('a')).toBe(1);
  expect(await typed('b')).toBe(1);
  act(() => view.says(['terminal_resize', { cols: 40, rows: 10 }])); // somebody else typed
  expect(await typed('\x1b[A')).toBe(2);
  expect(sizes()).toEqual([{ cols: 90, rows: 20 }, { cols: 90, rows: 20 }]);
  act(() => render(null, host));
});

test('a screen does what it is told in that order: programs do not mix, and what was printed before keys are taken is not answered', async () => {
  vi.doMock('../src/terminal/document', () => ({ quiet: () => () => {} })); // that needs a browser's style attributes
  const { openScreen } = await vi.importActual<typeof import('../src/terminal/screen')>('../src/terminal/screen');
  vi.useRealTimers();
  const typed: string[] = [];
  const screen = openScreen(document.body.appendChild(document.createElement('div')), (text) => typed.push(text));
  const write = (text: string) => screen.write(new TextEncoder().encode(text));
  write('\x1b[5;5H\x1b[6n');
  screen.reset();
  screen.takes(true);
  write('\x1b[6n');
  await vi.waitFor(() => expect(typed).not.toEqual([]));
  expect(typed).toEqual(['\x1b[1;1R']);
  write('\x1b[1;60H');
  screen.size(40, 10); // takes the cursor along
  screen.size(100, 30);
  write('\x1b[6n');
  await vi.waitFor(() => expect(typed.slice(1)).toEqual(['\x1b[1;40R']));
  screen.close();
});
