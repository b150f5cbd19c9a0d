import type { Ack, Command, Pending } from '@konlog/client';
import { ProblemError } from '@konlog/client';
import { signal } from '@preact/signals';
import { render } from 'preact';
import { act } from 'preact/test-utils';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Attachments, imagesMax } from '../src/session/attachments';
import { Composer, promptBody, sends } from '../src/session/Composer';
import type { Actions } from '../src/session/context';
import { draftsMax, loadDraft, saveDraft } from '../src/session/drafts';
import { Outbox } from '../src/session/Waiting';

const online = signal(true);
const pending = signal<readonly Pending[]>([]);
let sent: Command[] = [];
let dropped: string[] = [];
const actions: Actions = {
  send: async (command) => (sent.push(command), { session: 's1', id: 1, duplicate: false } as Ack),
  get: async () => undefined as never,
  retry: () => {},
  drop: (key) => void dropped.push(key),
  pending,
};
let host: HTMLElement;
const upload = async (content: Blob) => ({ sha256: 'a'.repeat(64), bytes: content.size, contentType: content.type, url: '/v1/blobs/x' });
const draw = (turn = '', closed = false) => act(() => render(<Composer session="s1" actions={actions} upload={upload} turn={turn} closed={closed} online={online} />, host));
const field = () => host.querySelector<HTMLTextAreaElement>('[data-testid=composer]')!;
const type = (text: string) =>
  act(() => {
    field().value = text;
    field().dispatchEvent(new Event('input', { bubbles: true }));
  });
const key = (init: KeyboardEventInit) => act(() => void field().dispatchEvent(new KeyboardEvent('keydown', { bubbles: true, cancelable: true, ...init })));
const settled = () => act(() => new Promise<void>((done) => setTimeout(done, 5)));

beforeEach(() => {
  localStorage.clear();
  sent = [];
  dropped = [];
  pending.value = [];
  online.value = true;
  host = document.createElement('div');
  document.body.append(host);
});
afterEach(() => {
  act(() => render(null, host));
  host.remove();
});

describe('the prompt box', () => {
  it('sends with Enter and with Ctrl+Enter, makes a line with Shift+Enter, and lets an input method finish', () => {
    draw();
    type('hello ');
    key({ key: 'Enter', shiftKey: true });
    key({ key: 'Enter', isComposing: true });
    key({ key: 'Enter', keyCode: 229 });
    expect(sent).toEqual([]);
    key({ key: 'Enter' });
    expect(sent).toEqual([{ session: 's1', command: 'prompt', body: { text: 'hello' } }]);
    expect(field().value).toBe('');
    type('again');
    key({ key: 'Enter', ctrlKey: true });
    expect(sent).toHaveLength(2);
  });

  it('makes a line with Enter where there is no Shift, but sends with Ctrl', () => {
    const before = window.matchMedia;
    window.matchMedia = () => ({ matches: true }) as MediaQueryList;
    expect(sends(new KeyboardEvent('keydown', { key: 'Enter' }))).toBe(false);
    expect(sends(new KeyboardEvent('keydown', { key: 'Enter', ctrlKey: true }))).toBe(true);
    window.matchMedia = before;
  });

  it('sends nothing when there is nothing', () => {
    draw();
    type('  \n ');
    key({ key: 'Enter' });
    expect(sent).toEqual([]);
    expect(host.querySelector<HTMLButtonElement>('[data-testid=send]')!.disabled).toBe(true);
  });

  it('queues behind a running turn, and steers it only when that was chosen, by its id and marked', () => {
    draw('r-7');
    type('one');
    key({ key: 'Enter' });
    act(() => host.querySelector<HTMLInputElement>('[data-testid=steer] input')!.click());
    type('two');
    key({ key: 'Enter' });
    type('three');
    key({ key: 'Enter' });
    expect(sent.map((c) => c.body)).toEqual([{ text: 'one' }, { text: 'two', requestId: 'r-7', source: 'inject' }, { text: 'three' }]);
    expect(promptBody('x', [], '')).toEqual({ text: 'x' });
  });

  it('can stop only while something runs, and says that it is stopping', () => {
    draw();
    expect(host.querySelector('[data-testid=stop]')).toBeNull();
    draw('r-7');
    act(() => host.querySelector<HTMLButtonElement>('[data-testid=stop]')!.click());
    expect(sent).toEqual([{ session: 's1', command: 'stop', body: { requestId: 'r-7' } }]);
    expect(host.querySelector<HTMLButtonElement>('[data-testid=stop]')!.disabled).toBe(true);
    draw('r-8');
    expect(host.querySelector<HTMLButtonElement>('[data-testid=stop]')!.disabled).toBe(false);
  });

  it('keeps what was typed when the page is left, and forgets what was sent', () => {
    draw();
    type('half a thought');
    act(() => render(null, host));
    expect(loadDraft('s1')).toBe('half a thought');
    draw();
    expect(field().value).toBe('half a thought');
    key({ key: 'Enter' });
    act(() => render(null, host));
    expect(loadDraft('s1')).toBe('');
  });

  it('leaves the draft of another tab alone when nothing was typed here', () => {
    draw();
    saveDraft('s1', 'typed in another tab');
    dispatchEvent(new Event('pagehide'));
    act(() => render(null, host));
    expect(loadDraft('s1')).toBe('typed in another tab');
  });

  it('says what it does while the server is away', () => {
    online.value = false;
    draw();
    type('later');
    expect(host.textContent).toContain('is kept and goes out when it is back');
  });

  it('gives a prompt back that the outbox did not take, but not one that shows there as refused', async () => {
    const refuse = (code: string, status: number) => vi.spyOn(actions, 'send').mockRejectedValueOnce(new ProblemError({ code, status, title: '', detail: 'no room', retryable: false } as never));
    draw();
    for (const code of ['outbox_full', 'unreachable']) {
      refuse(code, 0);
      type('precious');
      key({ key: 'Enter' });
      await settled();
      expect([field().value, loadDraft('s1')]).toEqual(['precious', 'precious']);
      expect(host.querySelector('.composer-say')!.textContent).toBe('no room');
    }
    refuse('unreachable', 403);
    key({ key: 'Enter' });
    await settled();
    expect([field().value, loadDraft('s1')]).toEqual(['', '']);
    vi.restoreAllMocks();
  });

  it('leaves alone what was written while a prompt came back', async () => {
    draw();
    vi.spyOn(actions, 'send').mockRejectedValueOnce(new ProblemError({ code: 'outbox_full', status: 0, title: '', detail: 'no room' } as never));
    type('precious');
    key({ key: 'Enter' });
    type('next');
    await settled();
    expect(field().value).toBe('next');
    vi.restoreAllMocks();
  });

  it('is not there in a closed session', () => {
    draw('', true);
    expect(field()).toBeNull();
    expect(host.textContent).toContain('closed');
  });

  it('refuses a prompt that no event can hold, and keeps it', () => {
    draw();
    type('x'.repeat(1_000_000));
    key({ key: 'Enter' });
    expect(sent).toEqual([]);
    expect(field().value).toHaveLength(1_000_000);
    expect(host.textContent).toContain('the most is');
  });
});

describe('images of a prompt', () => {
  const file = (type = 'image/png', size = 10) => new File([new Uint8Array(size)], 'a.png', { type });

  it('are uploaded, and named in the prompt as the server named them', async () => {
    draw();
    const input = host.querySelector<HTMLInputElement>('[data-testid=attach]')!;
    Object.defineProperty(input, 'files', { value: [file()], configurable: true });
    act(() => void input.dispatchEvent(new Event('change')));
    await settled();
    expect(host.querySelector('[data-testid=preview]')!.getAttribute('data-state')).toBe('done');
    key({ key: 'Enter' });
    expect(sent[0]!.body).toEqual({ text: '', images: [{ sha256: 'a'.repeat(64), contentType: 'image/png', bytes: 10 }] });
    expect(host.querySelector('[data-testid=preview]')).toBeNull();
  });

  it('are bounded, and what is no image is refused with a word', () => {
    const list = new Attachments(upload);
    expect(list.add([file('text/html')])).toContain('no image that can be sent');
    expect(list.add([file('image/svg+xml')])).toContain('no image');
    expect(list.add([file('image/png', 0)])).toContain('empty');
    expect(list.add(Array.from({ length: imagesMax + 1 }, () => file()))).toContain(`${imagesMax} images`);
    expect(list.list.value).toHaveLength(imagesMax);
  });

  it('wait while the server is away, hold the prompt back, and go when it is there', async () => {
    let up = false;
    const list = new Attachments((c) => (up ? upload(c) : Promise.reject(new ProblemError({ status: 0, code: 'internal', title: 'no', retryable: true } as never))));
    list.add([file()]);
    await settled();
    expect(list.list.value[0]!.state).toBe('kept');
    expect(list.images()).toBeUndefined();
    up = true;
    list.retry();
    await settled();
    expect(list.images()).toHaveLength(1);
  });

  it('that the server cannot take now are sent again by themselves, when it says, and not once they are gone', async () => {
    vi.useFakeTimers();
    try {
      let retryAfter: number | undefined;
      const tries = vi.fn(() => Promise.reject(new ProblemError({ status: 429, code: 'rate_limited', title: 'wait', retryable: true, retryAfter } as never)) as ReturnType<typeof upload>);
      const list = new Attachments(tries);
      list.add([file()]);
      await vi.advanceTimersByTimeAsync(0);
      expect(list.list.value[0]!.state).toBe('kept');
      retryAfter = 60;
      await vi.advanceTimersByTimeAsync(5_000);
      expect(tries).toHaveBeenCalledTimes(2);
      await vi.advanceTimersByTimeAsync(59_000);
      expect(tries).toHaveBeenCalledTimes(2);
      tries.mockImplementation(() => upload(file()));
      await vi.advanceTimersByTimeAsync(1_000);
      expect(list.list.value[0]!.state).toBe('done');

      tries.mockImplementation(() => Promise.reject(new TypeError('a blip')));
      list.add([file()]);
      await vi.advanceTimersByTimeAsync(0);
      list.clear();
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  it('are kept for the sign-in when there is none, and only tried after it', async () => {
    vi.useFakeTimers();
    try {
      const tries = vi.fn(() => Promise.reject(new ProblemError({ status: 401, code: 'unauthorized', title: 'no', retryable: false } as never)) as ReturnType<typeof upload>);
      const list = new Attachments(tries);
      list.add([file()]);
      await vi.advanceTimersByTimeAsync(600_000);
      expect([list.list.value[0]!.state, list.images()]).toEqual(['kept', undefined]);
      expect(tries).toHaveBeenCalledTimes(1);
      tries.mockImplementation(() => upload(file()));
      list.retry();
      await vi.advanceTimersByTimeAsync(0);
      expect(list.images()).toHaveLength(1);
    } finally {
      vi.useRealTimers();
    }
  });

  it('that the server refuses say so and are not sent', async () => {
    const list = new Attachments(() => Promise.reject(new ProblemError({ status: 413, code: 'blob_too_large', title: 'too large', detail: 'too large', retryable: false } as never)));
    list.add([file()]);
    await settled();
    expect(list.list.value[0]).toMatchObject({ state: 'refused', say: 'too large' });
    expect(list.images()).toEqual([]);
  });
});

it('drafts are bounded: the oldest go', () => {
  for (let i = 0; i < draftsMax + 5; i++) saveDraft(`s${i}`, 'x', i);
  expect(loadDraft('s0')).toBe('');
  expect(loadDraft(`s${draftsMax + 4}`)).toBe('x');
  localStorage.setItem('konlog.draft:odd', '{');
  expect(loadDraft('odd')).toBe('');
});

describe('prompts on their way', () => {
  const row = (more: Partial<Pending>): Pending => ({ key: 'k1', session: 's1', command: 'prompt', body: { text: 'hello', requestId: 'r-7', source: 'inject' }, time: 1, state: 'waiting', ...more });
  const show = () => act(() => render(<Outbox session="s1" actions={actions} landing={[]} />, host));

  it('are shown with their state, those of this session only', () => {
    pending.value = [row({}), row({ key: 'k2', session: 'other' }), row({ key: 'k3', command: 'answer' })];
    show();
    expect([...host.querySelectorAll('[data-testid=pending]')].map((p) => p.getAttribute('data-state'))).toEqual(['waiting']);
    expect(host.textContent).toContain('waits for the server');
  });

  it('that came too late for their turn can go as a new prompt', () => {
    pending.value = [row({ state: 'refused', problem: { code: 'turn_ended', title: '', detail: '' } as never })];
    show();
    expect(host.textContent).toContain('The turn had ended before this came.');
    act(() => [...host.querySelectorAll('button')].find((b) => b.textContent!.includes('new prompt'))!.click());
    expect(dropped).toEqual(['k1']);
    expect(sent).toEqual([{ session: 's1', command: 'prompt', body: { text: 'hello' } }]);
  });
});
