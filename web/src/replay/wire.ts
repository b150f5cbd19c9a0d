// Reading the server's answers as text, for those who need its bytes.
import { ProblemError, type LogEvent, type Problem } from '@konlog/client';
import { cutPage, type CutPage } from './slice';

/** How long one answer may take, milliseconds. */
export const ANSWER_MS = 30_000;
/** How often a request is made before its failure is told. */
export const TRIES = 3;
const WAIT_MS = 400;

/** Parameters of a read; those that are undefined are left out. */
export type Query = Record<string, string | number | undefined>;

/** Where pages come from: the server, or in a test a list. */
export interface Pages {
  text(path: string, signal?: AbortSignal): Promise<string>;
}

/** The server's answers. Network failures and what the server calls retryable are tried again. */
export function pagesOf(base: string | URL, get: typeof fetch = (...a) => fetch(...a)): Pages {
  const once = async (path: string, signal?: AbortSignal) => {
    const limit = AbortSignal.timeout(ANSWER_MS);
    const answer = await get(new URL(path, base), { signal: signal ? AbortSignal.any([signal, limit]) : limit });
    const text = await answer.text();
    if (!answer.ok) throw new ProblemError(problemOf(answer, text));
    return text;
  };
  return {
    async text(path, signal) {
      for (let attempt = 1; ; attempt++) {
        try {
          return await once(path, signal);
        } catch (error) {
          signal?.throwIfAborted();
          if (attempt === TRIES || !worthTrying(error)) throw plain(error, path);
          await new Promise((go) => setTimeout(go, WAIT_MS * 2 ** attempt * Math.random()));
        }
      }
    },
  };
}

/** Reads a page of a session's events and cuts it. */
export async function readPage(pages: Pages, session: string, query: Query, signal?: AbortSignal): Promise<CutPage> {
  return cutPage(await pages.text(eventsPath(session, query), signal));
}

/** The path of a read of a session's events. */
export function eventsPath(session: string, query: Query): string {
  return `/v1/sessions/${encodeURIComponent(session)}/events${queryText(query)}`;
}

/** A query string with its question mark, or '' when nothing is in it. Commas stay readable. */
export function queryText(query: Query): string {
  const parts = Object.entries(query).filter(([, v]) => v !== undefined && v !== '');
  const text = parts.map(([k, v]) => `${k}=${encodeURIComponent(v!).replaceAll('%2C', ',')}`).join('&');
  return text && '?' + text;
}

/** The event as others of the console have it. */
export function eventOf(text: string): LogEvent {
  return JSON.parse(text) as LogEvent;
}

/** What to tell a person of a failure. */
export function failureText(error: unknown): string {
  return error instanceof Error && error.message ? error.message : String(error);
}

function worthTrying(error: unknown): boolean {
  return !(error instanceof ProblemError) || error.problem.retryable;
}

function plain(error: unknown, path: string): unknown {
  if (error instanceof ProblemError) return error;
  const detail = `The server was not reached: ${failureText(error)}. See that it runs, then try again.`;
  return new ProblemError({ type: 'about:blank', title: 'Not reached', status: 0, code: 'internal', detail, instance: path, requestId: '', retryable: true });
}

function problemOf(answer: Response, text: string): Problem {
  try {
    const problem = JSON.parse(text) as Problem;
    if (typeof problem.code === 'string') return problem;
  } catch {
    // A proxy's page; its status is all there is.
  }
  const detail = `The server answered with HTTP ${answer.status}.`;
  return { type: 'about:blank', title: answer.statusText, status: answer.status, code: 'internal', detail, instance: answer.url, requestId: '', retryable: answer.status >= 502 };
}
