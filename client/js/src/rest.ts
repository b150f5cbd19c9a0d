// REST calls with the credentials, deadlines and problems that all of the
// client shares.
import { ProblemError, type ConnectOptions } from './api.js';
import type { Problem } from './types.js';

/** An upload may take this long: 32 MiB over a slow line. */
const uploadMs = 600_000;

export interface RequestOptions extends Omit<RequestInit, 'body' | 'method'> {
  /** Sent as JSON; a Blob as it is. */
  body?: unknown;
  timeoutMs?: number;
}

interface RestOptions {
  auth?: ConnectOptions['auth'];
  fetch?: typeof fetch;
  requestMs: number;
  /** Told when the server asks for other credentials than those that there are. */
  denied?: (problem: Problem) => void;
}

/** A problem that did not come from konlog. status 0: nothing answered. */
export function unreachable(detail: string, status = 0, retryable = true, code: Problem['code'] = 'unreachable'): Problem {
  return { type: 'about:blank', title: 'No answer from konlog', status, code, detail, instance: '', requestId: '', retryable };
}

export class Rest {
  readonly #base: string;
  readonly #options: RestOptions;
  #token: string | undefined;
  #asking: Promise<string | undefined> | undefined;

  constructor(base: URL, options: RestOptions) {
    // What is asked for is put behind this, so a token never goes to another host.
    this.#base = base.origin + base.pathname.replace(/\/+$/, '');
    this.#options = options;
  }

  /** Asks for a token anew, or for a ticket with it; those who ask at the same time get the same token. Rejects with ProblemError, whatever the function does. */
  token(ticket?: true): Promise<string | undefined> {
    if (ticket) return this.#ticket();
    return (this.#asking ??= this.#ask()
      .then((token) => (this.#token = token))
      .finally(() => (this.#asking = undefined)));
  }

  /** Not without end: one answer that never comes would keep all later ones from being asked for. */
  #ask(): Promise<string | undefined> {
    const { auth, requestMs } = this.#options;
    return new Promise((resolve, reject) => {
      const fail = (why: unknown) => reject(new ProblemError(unreachable(`auth gave no token: ${why instanceof Error ? why.message : why}`)));
      const timer = setTimeout(fail, requestMs, `no answer in ${requestMs / 1000} s`);
      Promise.resolve()
        .then(() => (typeof auth === 'function' ? auth() : auth))
        .then(resolve, fail)
        .finally(() => clearTimeout(timer));
    });
  }

  /** The server did not take this token: the next call asks for another. */
  refuse(token: string | undefined): void {
    if (this.#token === token) this.#token = undefined;
  }

  /** What opens a WebSocket once; a token buys it, asked for anew, since the one that is known may be old. */
  async #ticket(): Promise<string> {
    await this.token();
    try {
      return '&ticket=' + encodeURIComponent((await this.request<{ ticket: string }>('POST', '/v1/tickets', { body: {} })).ticket);
    } catch (e) {
      const { status } = (e as ProblemError).problem;
      if (status === 404 || status === 405) return ''; // a server without credentials
      throw e;
    }
  }

  /** JSON in and out. Rejects with ProblemError, or with the reason of a signal that was aborted. */
  async request<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
    const { body, timeoutMs = body instanceof Blob ? uploadMs : this.#options.requestMs, signal, ...init } = options;
    const abort = new AbortController();
    let stop = (_: unknown) => {};
    // Not left to fetch alone: the function that gives the token may hang as well.
    const stopped = new Promise<never>((_, reject) => (stop = (why) => (reject(why), abort.abort(why))));
    const cancel = () => stop(signal!.reason);
    if (signal?.aborted) throw signal.reason;
    signal?.addEventListener('abort', cancel);
    const timer = setTimeout(() => stop(new Error(`no answer in ${timeoutMs / 1000} s`)), timeoutMs);
    try {
      return await Promise.race([stopped, this.#call<T>(method, path, { ...init, signal: abort.signal }, body)]);
    } catch (e) {
      if (signal?.aborted) throw signal.reason;
      if (e instanceof ProblemError && e.problem.status === 401) this.#options.denied?.(e.problem);
      throw e instanceof ProblemError ? e : new ProblemError(unreachable(`${method} ${path}: ${e instanceof Error ? e.message : e}`));
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', cancel);
    }
  }

  async #call<T>(method: string, path: string, init: RequestInit, body: unknown): Promise<T> {
    const raw = body instanceof Blob;
    // Who one is, is asked with the token of now.
    const token = (path === '/v1/me' ? undefined : this.#token) ?? (await this.token());
    const send = (token: string | undefined) => {
      const headers = new Headers(init.headers);
      if (body !== undefined && !raw) headers.set('Content-Type', 'application/json');
      if (token) headers.set('Authorization', 'Bearer ' + token);
      const content = raw ? body : JSON.stringify(body);
      return (this.#options.fetch ?? fetch)(this.#base + (path[0] === '/' ? '' : '/') + path, { ...init, method, headers, body: content });
    };
    let response = await send(token);
    if (response.status === 401) {
      this.refuse(token);
      const other = this.#token ?? (await this.token()); // another call may have asked already
      if (other !== token) response = await send(other);
    }
    return answer<T>(response);
  }
}

async function answer<T>(response: Response): Promise<T> {
  const { status, ok } = response;
  const text = await response.text();
  let value;
  try {
    value = text ? JSON.parse(text) : undefined;
  } catch {
    // Not ours: a proxy's page, or that of a network that wants a login.
  }
  if (ok && (value !== undefined || !text)) return value;
  const known = !ok && typeof value?.code === 'string';
  const foreign = unreachable(`status ${status} came from something between here and konlog`, status, ok || status >= 500 || status === 408 || status === 429);
  const problem: Problem = known ? value : foreign;
  const after = Number(response.headers.get('Retry-After'));
  throw new ProblemError(after > 0 ? { ...problem, retryAfter: after } : problem);
}
