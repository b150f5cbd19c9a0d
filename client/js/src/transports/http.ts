// What sse and poll share: requests, and what a refusal means.
import type { Frames, Problem } from '../types.js';
import type { Ending, Net, Place } from './transport.js';

/** A request that gave nothing. */
export class Failure extends Error {
  constructor(
    readonly kind: Ending['kind'],
    detail: string,
    readonly retryMs?: number,
    /** When it was refused; of the server's own words it has a code. */
    readonly problem?: Problem,
  ) {
    super(detail);
  }
}

/** Status by which proxies and servers say that they do not do this. */
const no = [403, 404, 405, 406, 426, 501];
/** The same, said by konlog. */
const disabled = ['transport_disabled', 'not_found', 'method_not_allowed', 'upgrade_required'];

/** The request of a transport, with a token; a refused one is asked for once more. Throws Failure for anything but an answer with content. */
export async function request({ base, env, rest }: Net, path: string, accept: string, signal: AbortSignal): Promise<Response> {
  for (let again = false; ; again = true) {
    const token = await rest.token();
    const headers: Record<string, string> = { Accept: accept };
    if (token) headers['Authorization'] = 'Bearer ' + token;
    const response = await env.fetch(base + path, { headers, signal, cache: 'no-store' });
    if (response.status === 401 && token && !again) continue;
    if (!response.ok) throw await refusal(response);
    if (response.headers.get('Content-Type')?.startsWith(accept)) return response;
    throw new Failure('failed', 'not konlog, but something before it has answered');
  }
}

async function refusal(response: Response): Promise<Failure> {
  const { status } = response;
  const problem: Problem = { status, detail: `status ${status}`, ...(await response.json().catch(() => undefined)) };
  const { code } = problem as Partial<Problem>;
  const through = status === 401 || (code && !disabled.includes(code)); // the server has spoken, of something else
  const kind = through ? 'denied' : code || no.includes(status) ? 'refused' : 'failed';
  return new Failure(kind, problem.detail, Number(response.headers.get('Retry-After')) * 1000 || 0, problem);
}

/**
 * Whether plain requests get through where a carrier did not. here: konlog answers. refused: somebody answers that there are no
 * WebSockets. away: nobody answers, or not konlog, or it is stopping. Throws when it asks for other credentials.
 */
export async function check(net: Net): Promise<'here' | 'refused' | 'away'> {
  const abort = new AbortController();
  const cancel = net.env.after(net.limits.helloMs, () => abort.abort());
  const e = await request(net, '/v1/ws', 'konlog', abort.signal).catch((e) => e);
  cancel();
  const { problem, kind, retryMs } = e;
  if (problem?.status === 401) throw e;
  // A request that asks for no upgrade is told to.
  if (problem?.code === 'upgrade_required') return 'here';
  return kind === 'refused' ? kind : kind === 'denied' && !retryMs ? 'here' : 'away';
}

/** Path and query that read the places: the route of one session, or that of several. */
export function address(kind: 'sse' | 'poll', places: readonly Place[]): string {
  const [one] = places;
  const fold = places.every((p) => p.fold) ? '&fold=1' : '';
  if (places.length > 1) return `/v1/${kind}?cursor=${cursor(places)}${fold}`;
  const at = one!.tail === undefined ? 'after=' + one!.after : 'tail=' + one!.tail;
  return `/v1/sessions/${one!.session}/${kind === 'sse' ? kind : 'events'}?${at}${fold}`;
}

export function cursor(places: readonly Place[]): string {
  return places.map((p) => p.session + ':' + p.after).join();
}

/** The frame that ends the reading of a session for good. */
export function gone(session: string, detail = `there is no session ${session}`, code = 'session_not_found'): Frames['error'] {
  return { type: 'error', session, code, detail, retryable: false };
}

/** The body, chunk by chunk. */
export async function* chunks(response: Response): AsyncGenerator<Uint8Array> {
  const reader = response.body!.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

/** The ending that an exception of a carrier means. */
export function endingOf(error: unknown): Ending {
  const { problem, kind = problem?.status ? 'denied' : 'failed', message = String(error), retryMs } = error as Partial<Failure>;
  return { kind, detail: message, retryMs, problem };
}
