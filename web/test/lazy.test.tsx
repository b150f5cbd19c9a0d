import { render } from 'preact';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { lazy, prefetch } from '../src/app/lazy';

let host: HTMLElement;
beforeEach(() => {
  host = document.createElement('div');
  document.body.append(host);
});
afterEach(() => {
  render(null, host);
  host.remove();
});
const text = () => host.textContent;

it('shows a page that is fetched ahead between its first drawing and what follows on that', async () => {
  const Page = lazy(async () => () => <p>here</p>);
  render(<Page />, host);
  prefetch();
  await Promise.resolve(); // the page is there before an effect has run
  expect(text()).toBe('');
  await vi.waitFor(() => expect(text()).toBe('here'));
});

it('shows a page at once when it was fetched ahead', async () => {
  const Page = lazy(async () => () => <p>here</p>);
  prefetch();
  await new Promise((done) => setTimeout(done));
  render(<Page />, host);
  expect(text()).toBe('here');
});

it('asks again for a page that could not be fetched ahead', async () => {
  let asked = 0;
  const Page = lazy(async () => {
    if (++asked === 1) throw new Error('away');
    return () => <p>here</p>;
  });
  prefetch();
  await new Promise((done) => setTimeout(done));
  render(<Page />, host);
  await vi.waitFor(() => expect(text()).toBe('here'));
  expect(asked).toBe(2);
});
