import type { ViewSnapshot } from '@konlog/client/view';
import { render } from 'preact';
import { act } from 'preact/test-utils';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { useFocus } from '../src/session/useFocus';

let host: HTMLElement;
let now: ReturnType<typeof useFocus>;
let loads: { id: number; done: (there: boolean) => void }[];
const load = (id: number) => new Promise<boolean>((done) => loads.push({ id, done }));
function Page({ id, phase }: { id: number | undefined; phase: ViewSnapshot['phase'] }) {
  now = useFocus(id, { phase, problem: undefined } as ViewSnapshot, load);
  return null;
}
const show = (id: number | undefined, phase: ViewSnapshot['phase']) => act(() => render(<Page id={id} phase={phase} />, host));
const settle = (n: number, there = true) => act(async () => loads[n]!.done(there));

beforeEach(() => {
  loads = [];
  host = document.createElement('div');
});
afterEach(() => act(() => render(null, host)));

it('goes to the event of the address once, and not again after a reconnect', async () => {
  show(7, 'loading');
  expect(loads).toHaveLength(0);
  show(7, 'live');
  await settle(0);
  expect(now).toMatchObject({ focus: 7, focusTimes: 1, note: '' });
  show(7, 'catching-up');
  show(7, 'live');
  expect(loads).toHaveLength(1);
  show(9, 'live');
  await settle(1);
  expect(now).toMatchObject({ focus: 9, focusTimes: 2 });
});

it('goes where was asked for last, however long the way before it took', async () => {
  show(undefined, 'live');
  act(() => void now.goTo(1));
  act(() => void now.goTo(2));
  await settle(1);
  await settle(0);
  expect(now).toMatchObject({ focus: 2, focusTimes: 1, note: '' });
});

it('says when there is no such event', async () => {
  show(5_000, 'live');
  expect(now.note).toContain('5,000');
  await settle(0, false);
  expect(now.note).toContain('no longer');
  expect(now.focus).toBeUndefined();
});
