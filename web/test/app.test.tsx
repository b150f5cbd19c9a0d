import { render } from 'preact';
import { act } from 'preact/test-utils';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { ErrorBoundary } from '../src/app/ErrorBoundary';
import { match, parts } from '../src/app/match';
import { link, parse, type Route } from '../src/app/route';
import { keyName, press, shortcut } from '../src/app/shortcuts';
import { Dialog } from '../src/parts/Dialog';

describe('a link is a place', () => {
  const names = ['s1', 'a.b:c_d-e', 'build-42', '0', 'x'.repeat(128)];
  test.each(names)('every view of %s comes back from its hash', (session) => {
    expect(parse(link(session))).toEqual({ page: 'session', session });
    expect(parse(link(session, '', { id: 42 }))).toEqual({ page: 'session', session, id: 42 });
    expect(parse(link(session, 'replay', { id: 7 }))).toEqual({ page: 'replay', session, id: 7 });
    expect(parse(link(session, 'timing'))).toEqual({ page: 'timing', session });
    expect(parse(link(session, 'timing', { turn: 'r/1' }))).toEqual({ page: 'timing', session, turn: 'r/1' });
    const events = parse(link(session, 'events', { id: 3, types: 'a,b' })) as Extract<Route, { page: 'events' }>;
    expect([events.page, events.session, events.id, events.query.get('types')]).toEqual(['events', session, 3, 'a,b']);
  });
  test.each<[string, Route['page']]>([['', 'home'], ['#', 'home'], ['#/', 'home'], ['#/inbox', 'inbox'], ['#/search?q=a%3Fb', 'search'], ['#/diagnostics', 'diagnostics'], ['#/nowhere', 'home'], ['#/s/', 'home'], ['#demo', 'session'], ['#/s/%E0%A4%A', 'session']])('%s is %s', (hash, page) => expect(parse(hash).page).toBe(page));
  test('an id that is none is left out', () => {
    for (const id of ['0', '-1', '1.5', 'x', '1e400', '']) expect(parse(`#/s/a?id=${id}`)).toEqual({ page: 'session', session: 'a' });
  });
  test('a search keeps what stands behind a second question mark', () => expect((parse('#/search?q=a?b') as { query: URLSearchParams }).query.get('q')).toBe('a?b'));
});

describe('the switcher finds', () => {
  const best = (query: string, ...texts: string[]) => texts.map((t) => [t, match(query, t)?.score ?? -Infinity] as const).sort((a, b) => b[1] - a[1])[0]?.[0];
  test('nothing for letters that are not there, in this order', () => {
    expect(match('xyz', 'parser')).toBeUndefined();
    expect(match('rp', 'parser')).toBeUndefined();
    expect(match('', 'parser')).toEqual({ score: 0, at: [] });
  });
  test.each<[string, string[], string]>([
    ['parser', ['compare a user', 'Fix the parser', 'p a r s e r'], 'Fix the parser'],
    ['dep', ['independent', 'Deploy worker'], 'Deploy worker'],
    ['rq', ['a tranquil sea', 'Roll out queue'], 'Roll out queue'],
    ['login flow', ['the login page', 'Fix the login flow'], 'Fix the login flow'],
    ['s-4', ['tools-4x', 's-40', 'abc'], 's-40'],
  ])('%s', (query, texts, want) => expect(best(query, ...texts)).toBe(want));
  test('what is marked is what was typed', () => {
    for (const [query, text] of [['PaR', 'the Parser'], ['fl', 'Fix login'], ['log fl', 'Fix the login flow']] as const) {
      const hit = match(query, text);
      const marked = parts(text, hit?.at ?? []).filter((p) => p.hit).map((p) => p.text).join('').toLowerCase();
      expect(marked.replace(/\s/g, '')).toBe(query.toLowerCase().replace(/\s/g, ''));
      expect(parts(text, hit?.at ?? []).map((p) => p.text).join('')).toBe(text);
    }
  });
});

describe('shortcuts', () => {
  const undo: (() => void)[] = [];
  afterEach(() => undo.splice(0).forEach((take) => take()));
  const on = (keys: string) => {
    const run = vi.fn();
    undo.push(shortcut(keys, keys, run));
    return run;
  };
  const key = (k: string, init: KeyboardEventInit = {}, target: HTMLElement = document.body) => {
    const e = new KeyboardEvent('keydown', { key: k, bubbles: true, cancelable: true, ...init });
    let hit = false;
    const listen = (ev: Event) => (hit = press(ev as KeyboardEvent));
    target.addEventListener('keydown', listen);
    target.dispatchEvent(e);
    target.removeEventListener('keydown', listen);
    return hit;
  };
  test('one key, and none while somebody types', () => {
    const run = on('j');
    expect(key('j')).toBe(true);
    const field = document.body.appendChild(document.createElement('textarea'));
    expect(key('j', {}, field)).toBe(false);
    field.remove();
    expect(run).toHaveBeenCalledTimes(1);
  });
  test('Ctrl and Cmd are the same, also while somebody types', () => {
    const run = on('mod+k');
    const field = document.body.appendChild(document.createElement('input'));
    expect([key('k', { ctrlKey: true }), key('K', { metaKey: true }), key('k', { ctrlKey: true }, field), key('k')]).toEqual([true, true, true, false]);
    field.remove();
    expect(run).toHaveBeenCalledTimes(3);
  });
  test('one key after the other', () => {
    const [inbox, other] = [on('g i'), on('i')];
    key('g');
    expect(key('i')).toBe(true);
    expect([inbox.mock.calls.length, other.mock.calls.length]).toEqual([1, 0]);
    key('i');
    expect(other).toHaveBeenCalledTimes(1);
  });
  test('too late a second key is a first one', () => {
    const inbox = on('g i');
    const e = (k: string) => new KeyboardEvent('keydown', { key: k, cancelable: true });
    press(e('g'), 1_000);
    press(e('i'), 9_000);
    expect(inbox).not.toHaveBeenCalled();
  });
  test('a question mark needs no Shift in its name, a letter does', () => {
    expect(keyName(new KeyboardEvent('keydown', { key: '?', shiftKey: true }))).toBe('?');
    expect(keyName(new KeyboardEvent('keydown', { key: 'U', shiftKey: true }))).toBe('shift+u');
  });
  test('the newest of the same keys wins, and gives it back', () => {
    const first = on('x');
    const second = vi.fn();
    const take = shortcut('x', 'x', second);
    key('x');
    take();
    key('x');
    expect([first.mock.calls.length, second.mock.calls.length]).toEqual([1, 1]);
  });
});

describe('parts', () => {
  const root = () => document.body.appendChild(document.createElement('div'));
  test('a part that fails says so and can be tried again; the page is not white', () => {
    const quiet = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    let broken = true;
    const Part = () => {
      if (broken) throw new Error('boom');
      return <p>well</p>;
    };
    const box = root();
    act(() => render(<ErrorBoundary what="The part"><Part /></ErrorBoundary>, box));
    expect(box.textContent).toContain('The part cannot be shown');
    expect(box.textContent).toContain('boom');
    broken = false;
    act(() => box.querySelector('button')?.click());
    expect(box.textContent).toBe('well');
    quiet.mockRestore();
    box.remove();
  });
  test('a dialog is named by its title and closes by its cross', () => {
    const close = vi.fn();
    const box = root();
    act(() => render(<Dialog open title="Really?" onClose={close}><p>text</p></Dialog>, box));
    const dialog = box.querySelector('dialog') as HTMLDialogElement;
    expect(document.getElementById(dialog.getAttribute('aria-labelledby') ?? '')?.textContent).toBe('Really?');
    act(() => box.querySelector<HTMLButtonElement>('[aria-label=Close]')?.click());
    expect(close).toHaveBeenCalledTimes(1);
    act(() => render(<Dialog open={false} title="Really?" onClose={close}>x</Dialog>, box));
    expect(box.querySelector('dialog')).toBeNull();
    box.remove();
  });
});
