// A terminal's session: what it printed, in order, and what is typed into it.
import { ProblemError, type Connection, type LogEvent, type Problem } from '@konlog/client';

/** So many of the newest events are shown; the page of events has all of them. */
const TAIL = 5_000;
/** Bytes of one event of input; a paste is several. */
const INPUT_BYTES = 16_384;
/** Bytes that wait to be sent; what is typed beyond is not taken. */
const WAITING_BYTES = 1 << 20;
/** Until what was not answered is sent again. */
const AGAIN_MS = 1_000;
const SIDE_MAX = 1_000;

export interface Exit {
  exitCode: number;
  reason: string;
  signal?: string;
}

/** A program as it was started; an empty list is the server's shell. */
export interface Program {
  command: string[];
  dir: string;
}

export interface TerminalState {
  phase: 'loading' | 'live' | 'over' | 'failed';
  exit?: Exit;
  /** What runs, or ran last. */
  program?: Program;
  problem?: Problem;
  /** Nothing was typed into it yet. */
  fresh: boolean;
  /** Why the last that was typed did not arrive; '' when all did. */
  trouble: string;
}

/** What the session wants drawn. */
export interface Surface {
  write(bytes: Uint8Array): void;
  size(cols: number, rows: number): void;
  /** Another program begins: nothing of the one before is left. */
  reset(): void;
}

/** Follows a terminal from open to close. */
export class TerminalSession {
  state: TerminalState = { phase: 'loading', fresh: true, trouble: '' };
  readonly #connection: Connection;
  readonly #session: string;
  readonly #surface: Surface;
  readonly #changed: () => void;
  readonly #stop: () => void;
  #queue: { type: string; data: object; bytes: number }[] = [];
  #waiting = 0;
  #sending = false;
  #closed = false;
  #asked = '';

  constructor(connection: Connection, session: string, surface: Surface, changed: () => void) {
    this.#connection = connection;
    this.#session = session;
    this.#surface = surface;
    this.#changed = changed;
    const subscription = connection.session(session, { tail: TAIL });
    const off = subscription.onMessage((m) => {
      if (m.kind === 'events') m.events.forEach((e) => this.#apply(e));
    });
    const live = () => this.#say({ phase: this.state.exit ? 'over' : 'live' });
    const failed = (e: Event) => this.#say({ phase: 'failed', problem: (e as CustomEvent<Problem>).detail });
    const reset = () => {
      this.state = { phase: 'loading', fresh: true, trouble: '' };
      this.#surface.reset();
    };
    subscription.addEventListener('caughtup', live);
    subscription.addEventListener('error', failed);
    subscription.addEventListener('reset', reset);
    this.#stop = () => {
      off();
      subscription.close();
    };
  }

  #say(change: Partial<TerminalState>): void {
    this.state = { ...this.state, ...change };
    if (!this.#closed) this.#changed();
  }

  #apply(event: LogEvent): void {
    const data = (typeof event.data === 'object' && event.data !== null ? event.data : {}) as Record<string, unknown>;
    switch (event.type) {
      case 'terminal_start':
        this.#surface.reset();
        this.#size(data);
        this.#say({ phase: this.state.phase === 'over' ? 'live' : this.state.phase, fresh: true, exit: undefined, program: programOf(data) });
        break;
      case 'terminal_resize':
        this.#size(data);
        break;
      case 'terminal_input':
        if (this.state.fresh) this.#say({ fresh: false });
        break;
      case 'terminal_output':
        this.#surface.write(bytesOf(data.bytes));
        break;
      case 'terminal_exit':
        this.#say({ phase: this.state.phase === 'loading' ? 'loading' : 'over', exit: exitOf(data) });
        break;
      case 'session_closed':
        if (!this.state.exit) this.#say({ phase: 'over', exit: { exitCode: -1, reason: 'closed' } });
    }
  }

  #size({ cols, rows }: Record<string, unknown>): void {
    if (!side(cols) || !side(rows)) return;
    this.#asked = `${cols}x${rows}`;
    this.#surface.size(cols, rows);
  }

  /** Types text. It is false when too much waits already. */
  type(text: string): boolean {
    const bytes = new TextEncoder().encode(text);
    if (this.#waiting + bytes.length > WAITING_BYTES) {
      this.#say({ trouble: 'What was typed last was not taken: too much waits to be sent.' });
      return false;
    }
    for (let at = 0; at < bytes.length; at += INPUT_BYTES) {
      const part = bytes.subarray(at, at + INPUT_BYTES);
      this.#put('terminal_input', { bytes: base64(part) }, part.length);
    }
    return true;
  }

  resize(cols: number, rows: number): void {
    if (this.#asked === `${cols}x${rows}`) return;
    this.#asked = `${cols}x${rows}`;
    if (side(cols) && side(rows)) this.#put('terminal_resize', { cols, rows }, 0);
  }

  #put(type: string, data: object, bytes: number): void {
    this.#queue.push({ type, data, bytes });
    this.#waiting += bytes;
    void this.#send();
  }

  /** One request at a time keeps the order; each has keys, so that it can be sent again. */
  async #send(): Promise<void> {
    if (this.#sending) return;
    this.#sending = true;
    // Also once closed: what was typed last is sent, each batch once.
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0, 100);
      const drafts = batch.map(({ type, data }) => ({ type, data, key: newKey() }));
      const trouble = await this.#deliver(drafts);
      this.#waiting -= batch.reduce((sum, one) => sum + one.bytes, 0);
      if (trouble !== this.state.trouble) this.#say({ trouble });
    }
    this.#sending = false;
  }

  async #deliver(drafts: { type: string; data: object; key: string }[]): Promise<string> {
    for (;;) {
      try {
        await this.#connection.append(this.#session, drafts);
        return '';
      } catch (error) {
        const problem = error instanceof ProblemError ? error.problem : undefined;
        if (this.#closed || (problem && problem.status !== 0 && !problem.retryable)) return `What was typed last did not arrive: ${problem?.detail ?? String(error)}`;
        this.#say({ trouble: 'What was typed waits: the server is not reached.' });
        await new Promise((done) => setTimeout(done, AGAIN_MS));
      }
    }
  }

  close(): void {
    this.#closed = true;
    this.#stop();
  }
}

/** 32 hex digits. Not randomUUID: that is missing on pages over plain HTTP. */
const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('');

const side = (n: unknown): n is number => Number.isInteger(n) && (n as number) >= 1 && (n as number) <= SIDE_MAX;

function programOf({ command, dir }: Record<string, unknown>): Program {
  const words = Array.isArray(command) && command.every((word) => typeof word === 'string') ? command : [];
  return { command: words, dir: typeof dir === 'string' ? dir : '' };
}

function exitOf(data: Record<string, unknown>): Exit {
  return { exitCode: Number(data.exitCode ?? -1), reason: String(data.reason ?? 'exit'), ...(typeof data.signal === 'string' && { signal: data.signal }) };
}

function bytesOf(text: unknown): Uint8Array {
  try {
    return Uint8Array.from(atob(String(text ?? '')), (c) => c.charCodeAt(0));
  } catch {
    return new Uint8Array();
  }
}

function base64(bytes: Uint8Array): string {
  let text = '';
  for (const b of bytes) text += String.fromCharCode(b);
  return btoa(text);
}

/** How a terminal ended, in words. */
export function exitWords({ exitCode, reason, signal }: Exit): string {
  switch (reason) {
    case 'closed':
      return 'The session was closed, and the terminal with it.';
    case 'idle':
      return 'The terminal was closed: nobody had used it for long.';
    case 'revoked':
      return 'The terminal was closed: the key that opened it is no good any more.';
    case 'stopped':
      return 'The server was stopped, and the terminal with it.';
    case 'server':
      return 'The server ended, and the terminal with it.';
  }
  if (signal) return `The program was ended by ${signal}.`;
  return exitCode === 0 ? 'The program has ended.' : `The program has ended with exit code ${exitCode}.`;
}
