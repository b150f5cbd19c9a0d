// Who is signed in, what is shown of it, and what a credential lets one do.
import type { ConnectionState, Me, Pending } from '@konlog/client';
import { ProblemError } from '@konlog/client';
import { signal } from '@preact/signals';
import { render, type ComponentChild } from 'preact';
import { act } from 'preact/test-utils';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

const page = vi.hoisted(() => ({ state: undefined as unknown as { value: ConnectionState }, me: undefined as Me | number | undefined, asked: 0, reconnects: 0 }));
vi.mock('../src/app/connection', () => {
  page.state = signal<ConnectionState>({ phase: 'live', transport: 'ws', attempt: 0 });
  const me = async () => {
    page.asked++;
    if (typeof page.me === 'object') return page.me;
    const status = page.me ?? 401;
    if (status === 401) page.state.value = { ...page.state.value, phase: 'unauthorized' };
    throw new ProblemError({ type: '', title: '', status, code: (status === 401 ? 'unauthorized' : 'not_found') as never, detail: 'no', instance: '', requestId: '', retryable: false });
  };
  const reconnect = () => {
    page.reconnects++;
    page.state.value = { ...page.state.value, phase: 'live' };
  };
  return { connectionState: page.state, pending: signal([]), connection: { me, reconnect, pending: [], state: page.state.value } };
});
const { matches, idFor, idsWords, whyNotCreate, whyNotWrite } = await import('../src/account/may');
const { account, createTrouble, locked, me, signedOut, signIn, signOut, watchAccount, writeTrouble } = await import('../src/account/account');
const { owner, setOwner } = await import('../src/account/owner');
const { AccountMenu } = await import('../src/account/AccountMenu');
const { SignedOut } = await import('../src/account/SignedOut');
const { SignInPage } = await import('../src/account/SignIn');
const { Composer } = await import('../src/session/Composer');
const { draftName, loadDraft, saveDraft } = await import('../src/session/drafts');
const { Menu } = await import('../src/parts/Menu');

const who = (change: Partial<Me> = {}): Me => ({ subject: 'anna', read: ['*'], write: ['*'], admin: false, metrics: false, shell: false, ...change });
let host: HTMLElement;
const draw = (it: ComponentChild) => act(() => render(it, host));
const settled = () => act(() => new Promise<void>((done) => setTimeout(done, 5)));
const phase = (now: ConnectionState['phase']) => act(() => void (page.state.value = { ...page.state.value, phase: now }));

interface Sent {
  path: string;
  method: string | undefined;
  body: unknown;
}
let sent: Sent[] = [];
let answer: () => Response = () => new Response('{}', { status: 200 });
beforeEach(() => {
  localStorage.clear();
  sessionStorage.clear();
  page.me = 404; // nobody asks, until a test says who is there
  sent = [];
  host = document.body.appendChild(document.createElement('div'));
  vi.stubGlobal('fetch', async (path: string, init: RequestInit) => {
    sent.push({ path, method: init.method, body: init.body && JSON.parse(String(init.body)) });
    return answer();
  });
});
afterEach(() => {
  act(() => render(null, host));
  host.remove();
  vi.unstubAllGlobals();
});

describe('a pattern of sessions', () => {
  it.each<[string, string, boolean]>([
    ['*', 'anything', true], ['a-*', 'a-', true], ['a-*', 'a', false], ['a-*', 'b-1', false], ['*-a', 'x-a', true], ['*-a', 'x-ab', false], ['a?c', 'abc', true], ['a?c', 'ac', false],
    ['a*b*c', 'axxbyyc', true], ['a*b*c', 'axxcyyb', false], ['[a]', 'a', false], ['a.c', 'abc', false], ['A', 'a', false], ['**', '', true], ['?', '', false], ['*a*a*a*a*b', 'a'.repeat(128), false],
  ])('%s and %s: %s', (pattern, id, want) => expect(matches(pattern, id)).toBe(want));

  it('that may be written to decides what is said', () => {
    expect(whyNotWrite(undefined, 's1')).toBe('');
    expect(whyNotWrite(who(), 's1')).toBe('');
    expect(whyNotWrite(who({ write: ['team-*'] }), 'team-1')).toBe('');
    expect(whyNotWrite(who({ write: ['team-*'] }), 's1')).toContain('not write to it');
    expect(whyNotWrite(who({ write: [] }), 's1')).toContain('reading only');
    expect([whyNotCreate(undefined), whyNotCreate(who({ write: ['x'] })), whyNotCreate(who({ write: [] })) === '']).toEqual(['', '', false]);
    expect([idsWords(who()), idsWords(who({ write: ['a-*', 'b'] }))]).toEqual(['', 'a-*, b']);
  });

  it.each<[string[], string | undefined]>([
    [['*'], 'u1'], [['team-*'], 'team-u1'], [['x?', 'team-*'], 'team-u1'], [['*-of-*'], 'u1-of-'], [['.*'], undefined], [['exactly'], undefined], [['a?*'], undefined], [[], undefined],
  ])('%j has room for a new session %s', (write, want) => {
    expect(idFor(who({ write }), 'u1')).toBe(want);
    if (want) expect(write.some((p) => matches(p, want))).toBe(true);
  });
});

describe('the account', () => {
  it('of a server that asks nobody is not shown, and forbids nothing', async () => {
    page.me = who({ subject: 'local', admin: true });
    watchAccount();
    await settled();
    expect([account.value, locked.value, createTrouble.value, writeTrouble('s1'), owner.value]).toEqual([undefined, false, '', '', '']);
    draw(<AccountMenu />);
    expect(host.innerHTML).toBe('');
    // The same page does not become somebody else's without a reload; for the tests below it does.
    const reload = vi.spyOn(location, 'reload').mockImplementation(() => {});
    page.me = who();
    phase('unauthorized');
    phase('live');
    await settled();
    expect([reload.mock.calls.length, me.value?.subject]).toEqual([1, 'local']);
    reload.mockRestore();
  });
});

describe('signing in', () => {
  it('sends the token once, in the body, and keeps it nowhere', async () => {
    page.me = who({ subject: 'local' });
    phase('unauthorized');
    answer = () => new Response(JSON.stringify(who({ subject: 'local' })), { status: 200 });
    draw(<SignInPage />);
    const field = host.querySelector<HTMLInputElement>('[data-testid=token]')!;
    expect([field.type, document.activeElement === field, host.querySelector('label')?.contains(field)]).toEqual(['password', true, true]);
    field.value = '  konlog_id_SECRET  ';
    const before = page.reconnects;
    act(() => void field.form!.dispatchEvent(new Event('submit', { bubbles: true, cancelable: true })));
    await settled();
    expect(sent).toEqual([{ path: '/v1/login', method: 'POST', body: { token: 'konlog_id_SECRET' } }]);
    expect([field.value, page.reconnects - before]).toEqual(['', 1]);
    expect(JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href, document.body.innerHTML])).not.toContain('SECRET');
    expect(signedOut.value).toBe(false);
  });

  it.each<[string, () => Response, RegExp]>([
    ['a token that is not valid', () => new Response('{"code":"unauthorized"}', { status: 401 }), /not valid/],
    ['too many attempts', () => new Response('{}', { status: 429, headers: { 'Retry-After': '7' } }), /in 7 seconds/],
    ['another page', () => new Response('{"detail":"sign in on a page of this server"}', { status: 403 }), /page of this server/],
    ['a proxy that is broken', () => new Response('<h1>', { status: 502 }), /status 502/],
    ['nobody who answers', () => { throw new TypeError('failed'); }, /not reached/],
  ])('says what is wrong: %s', async (_, respond, say) => {
    answer = respond;
    await expect(signIn('x')).rejects.toThrow(say);
  });

  it('says so when the browser keeps no cookies', async () => {
    page.me = 401;
    answer = () => new Response('{}', { status: 200 });
    await expect(signIn('x')).rejects.toThrow(/cookie/);
  });

  it('with nothing in the field asks for it', async () => {
    draw(<SignInPage />);
    act(() => void host.querySelector('form')!.dispatchEvent(new Event('submit', { bubbles: true, cancelable: true })));
    await settled();
    expect([sent, host.querySelector('[role=alert]')?.textContent, host.querySelector('input')?.getAttribute('aria-invalid')]).toEqual([[], 'Paste a token first.', 'true']);
  });

  it('over what is there to read is a bar, and a dialog at a press', async () => {
    phase('live');
    draw(<SignedOut />);
    expect(host.innerHTML).toBe('');
    phase('unauthorized');
    expect(host.querySelector('[role=status]')?.textContent).toContain('Signed out: sign in to go on.');
    expect(host.querySelector('dialog')).toBeNull();
    act(() => host.querySelector('button')!.click());
    expect(host.querySelector('dialog input[type=password]')).not.toBeNull();
    phase('live');
    expect(host.innerHTML).toBe('');
  });
});

describe('what is known of who is signed in', () => {
  it('is in the menu: name, reach and end; and the way out tells the server', async () => {
    phase('live');
    act(() => void (me.value = who({ read: ['team-*', 'x'], write: [], metrics: true, expiresAt: '2027-01-02T03:04:05Z' })));
    draw(<AccountMenu />);
    const button = host.querySelector<HTMLButtonElement>('[data-testid=account]')!;
    expect(button.getAttribute('aria-label')).toBe('Signed in as anna');
    act(() => void host.querySelector('[popover]')!.dispatchEvent(Object.assign(new Event('toggle'), { newState: 'open' })));
    const text = host.querySelector('[popover]')!.textContent!;
    for (const part of ['anna', 'team-*, x', 'no session', 'metrics', '2027']) expect(text).toContain(part);
    expect(text).not.toContain('administration');
    answer = () => new Response(null, { status: 204 });
    page.me = 401;
    act(() => host.querySelector<HTMLButtonElement>('[data-testid=sign-out]')!.click());
    await settled();
    expect(sent).toEqual([{ path: '/v1/login', method: 'DELETE', body: undefined }]);
    expect([me.value, locked.value]).toEqual([undefined, true]);
  });

  it('is not taken for gone when the server could not be told', async () => {
    phase('live');
    act(() => void (me.value = who()));
    answer = () => { throw new TypeError('failed'); };
    await expect(signOut()).rejects.toThrow();
    expect([me.value?.subject, locked.value]).toEqual(['anna', false]);
  });

  it('closes the prompt box of a session that is only to be read, in words', () => {
    const actions = { send: async () => undefined as never, get: async () => undefined as never, retry: () => {}, drop: () => {}, pending: signal<readonly Pending[]>([]), why: (session: string) => whyNotWrite(who({ write: ['mine'] }), session) };
    const box = (session: string) => draw(<Composer session={session} actions={actions} upload={async () => undefined as never} turn="" closed={false} online={signal(true)} />);
    box('theirs');
    expect([host.querySelector('textarea'), host.textContent]).toEqual([null, expect.stringContaining('not write to it')]);
    box('mine');
    expect(host.querySelector('textarea')).not.toBeNull();
  });

  it('turns off menu entries with their reason, said once', () => {
    const why = 'not you';
    const items = [{ label: 'A', run: () => {} }, { label: 'B', run: () => {}, disabled: true, why }, { label: 'C', run: () => {}, disabled: true, why }];
    draw(<Menu label="m" items={() => items} />);
    act(() => void host.querySelector('[popover]')!.dispatchEvent(Object.assign(new Event('toggle'), { newState: 'open' })));
    expect([...host.querySelectorAll<HTMLButtonElement>('[role=menuitem]')].map((b) => b.disabled)).toEqual([false, true, true]);
    expect([...host.querySelectorAll('.menu-why')].map((p) => p.textContent)).toEqual([why]);
  });
});

describe('a draft', () => {
  afterEach(() => setOwner(''));

  it('is of one user of the browser, and each finds their own', () => {
    for (const name of ['anna', 'bob']) {
      setOwner(name);
      saveDraft(draftName('s1'), `of ${name}`);
    }
    expect(loadDraft(draftName('s1'))).toBe('of bob');
    setOwner('anna');
    expect(loadDraft(draftName('s1'))).toBe('of anna');
    setOwner('');
    expect(loadDraft(draftName('s1'))).toBe('');
    expect(localStorage.getItem('konlog.subject')).toBeNull();
  });

  it('that was begun before it was known who types is theirs, once, and not lost in the box either', () => {
    const actions = { send: async () => undefined as never, get: async () => undefined as never, retry: () => {}, drop: () => {}, pending: signal<readonly Pending[]>([]) };
    draw(<Composer session="s1" actions={actions} upload={async () => undefined as never} turn="" closed={false} online={signal(true)} />);
    const field = () => host.querySelector<HTMLTextAreaElement>('textarea')!;
    act(() => {
      field().value = 'typed early';
      field().dispatchEvent(new Event('input', { bubbles: true }));
    });
    act(() => setOwner('anna'));
    expect(field().value).toBe('typed early');
    act(() => setOwner('bob'));
    expect(field().value).toBe('');
    act(() => setOwner('anna'));
    expect(field().value).toBe('typed early');
    act(() => setOwner(''));
    expect(field().value).toBe('');
  });
});
