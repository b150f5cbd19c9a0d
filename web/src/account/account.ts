// Who uses the page, and what that one may do. The token is only passed on: a
// sign-in becomes a cookie that no script can read. A server that asks for no
// credentials knows everybody as `local`, and nothing of this is shown.
import { ProblemError, type Me } from '@konlog/client';
import { computed, effect, signal } from '@preact/signals';
import { connection, connectionState } from '../app/connection';
import { idsWords, whyNotCreate, whyNotWrite } from './may';
import { setOwner } from './owner';

const LOCAL = 'local';
/** The longest that a sign-in may take. */
const SIGN_IN_MS = 30_000;
/** Until a server is asked again who it takes this page for, when it was not reached. */
const ASK_AGAIN_MS = 5_000;

/** What the server said last; undefined before that, and after a sign-out. */
export const me = signal<Me | undefined>(undefined);
/** The server asks for a sign-in. */
export const signedOut = computed(() => connectionState.value.phase === 'unauthorized');
/** Nothing of anybody is to be seen: the sign-in is the page. */
export const locked = computed(() => signedOut.value && me.value === undefined);
/** Somebody by name, whom a menu can be about. */
export const account = computed(() => (me.value && me.value.subject !== LOCAL ? me.value : undefined));

/** Why nothing can be written to a session, '' when it can. */
export const writeTrouble = (session: string): string => whyNotWrite(me.value, session);
/** Why no session can be made here, '' when some can. */
export const createTrouble = computed(() => whyNotCreate(me.value));
/** The ids that a new session may have, '' when any will do. */
export const newIds = computed(() => idsWords(me.value));

/** Whose the page is, also while nobody is signed in: what it shows is shown to nobody else. */
let owner: string | undefined;

function take(now: Me): void {
  if (owner !== undefined && owner !== now.subject) return location.reload();
  owner = now.subject;
  setOwner(now.subject === LOCAL ? '' : now.subject);
  me.value = now;
}

let asking = false;

/** Asks whom the server takes this page for. Nothing waits for it. */
async function ask(): Promise<void> {
  if (asking) return;
  asking = true;
  try {
    take(await connection.me());
  } catch (error) {
    // Older servers know nobody, and of one that asks for a sign-in the connection's state tells.
    const { status } = error instanceof ProblemError ? error.problem : { status: 0 };
    if (status === 0 || status === 429 || status >= 500) setTimeout(() => void ask(), ASK_AGAIN_MS);
  }
  asking = false;
}

/** Begins, for the life of the page. */
export function watchAccount(): void {
  let was = false;
  void ask();
  effect(() => {
    const now = signedOut.value;
    // Perhaps in another tab, and as somebody else.
    if (was && !now) void ask();
    was = now;
  });
  tabs?.addEventListener('message', ({ data }: MessageEvent) => {
    if (data === 'out') leave();
    else if (data === 'in' && signedOut.value) connection.reconnect();
  });
}

/** Other tabs of this browser, which have the same cookie, though not all of them the same connection. */
const tabs = typeof BroadcastChannel === 'undefined' ? undefined : new BroadcastChannel('konlog-account');

/** A refusal of a sign-in, in words. */
export class SignInError extends Error {}

/** Signs in: all goes on where it was, and as somebody else the page begins anew. */
export async function signIn(token: string): Promise<void> {
  const answer = await fetch('/v1/login', {
    method: 'POST', credentials: 'same-origin', cache: 'no-store', signal: AbortSignal.timeout(SIGN_IN_MS),
    headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ token: token.trim() }),
  }).catch(() => undefined);
  if (!answer) throw new SignInError('The server is not reached. Try again when it is back.');
  if (!answer.ok) throw new SignInError(await refusalWords(answer));
  try {
    take(await connection.me());
  } catch (error) {
    if (!(error instanceof ProblemError) || error.problem.status !== 401) throw error;
    throw new SignInError('The server took the token, but this browser did not keep its cookie. Allow cookies for this address and sign in again.');
  }
  connection.reconnect();
  tabs?.postMessage('in');
}

async function refusalWords(answer: Response): Promise<string> {
  const problem = (await answer.json().catch(() => ({}))) as { detail?: unknown };
  if (answer.status === 401) return 'This token is not valid: it was mistyped or revoked, or it has expired.';
  if (answer.status === 429) return `Too many attempts. Try again in ${answer.headers.get('Retry-After') ?? 'some'} seconds.`;
  return typeof problem.detail === 'string' && problem.detail ? problem.detail : `The server refused it (status ${answer.status}).`;
}

/** Signs out here and in the other tabs. */
export async function signOut(): Promise<void> {
  const answer = await fetch('/v1/login', { method: 'DELETE', credentials: 'same-origin', signal: AbortSignal.timeout(SIGN_IN_MS) });
  if (!answer.ok) throw new SignInError(await refusalWords(answer));
  tabs?.postMessage('out');
  leave();
}

/** Nothing is shown any more. The server is asked once, so that the connection, which all tabs share, learns of it now. */
function leave(): void {
  me.value = undefined;
  void connection.me().then(take, () => undefined);
}
