// The inbox as a page: how it comes to what it shows.
import { ProblemError } from '@konlog/client';
import { signal } from '@preact/signals';
import { render } from 'preact';
import { act } from 'preact/test-utils';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

const page = vi.hoisted(() => ({ answers: [] as (() => unknown[])[], asked: 0 }));
vi.mock('../src/app/connection', () => ({ pending: signal([]), connectionState: signal({ phase: 'live' }), connection: {} }));
vi.mock('../src/sessions/store', () => ({
  inboxVersion: signal(0),
  markAllSeen: async () => 0,
  readInbox: async () => (page.asked++, page.answers.shift()?.() ?? []),
}));
const { InboxPage } = await import('../src/inbox/InboxPage');

const refused = (status: number, detail: string) => () => {
  throw new ProblemError({ status, detail, code: 'rate_limited', title: detail } as ProblemError['problem']);
};
const go = (ms: number) => act(async () => void (await vi.advanceTimersByTimeAsync(ms)));
let host: HTMLElement;
beforeEach(() => {
  vi.useFakeTimers();
  page.asked = 0;
  host = document.createElement('div');
});
afterEach(() => {
  act(() => render(null, host));
  vi.useRealTimers();
});

it('is read again after a reading that failed, though nothing new comes', async () => {
  page.answers = [refused(429, 'Too many requests'), () => []];
  await act(() => render(<InboxPage />, host));
  await go(100);
  expect([page.asked, host.querySelector('[role=alert]')!.textContent]).toEqual([1, 'Too many requests']);
  await go(4_000);
  expect(page.asked).toBe(1);
  await go(2_000);
  expect([page.asked, host.querySelector('[role=alert]')]).toEqual([2, null]);
  expect(host.textContent).toContain('Nothing waits for you');
  await go(60_000);
  expect(page.asked).toBe(2);
});

it('is not asked for again without a sign-in, nor by a page that was left', async () => {
  page.answers = [refused(401, 'Sign in'), refused(503, 'Stopping')];
  await act(() => render(<InboxPage />, host));
  await go(60_000);
  expect(page.asked).toBe(1);
  act(() => render(null, host));
  await act(() => render(<InboxPage />, host));
  await go(100);
  expect(page.asked).toBe(2);
  act(() => render(null, host));
  await go(60_000);
  expect(page.asked).toBe(2);
});
