// The questions about sessions.
import { signal } from '@preact/signals';
import { render } from 'preact';
import { act } from 'preact/test-utils';
import { afterEach, expect, it, vi } from 'vitest';

const at = vi.hoisted(() => ({ asking: undefined as unknown as { value: unknown }, renamed: () => {} }));
vi.mock('../src/app/connection', () => ({ connection: {} }));
vi.mock('../src/account/account', () => ({ me: signal(undefined), newIds: signal('') }));
vi.mock('../src/sessions/actions', () => {
  at.asking = signal(undefined);
  return { asking: at.asking, rename: () => new Promise<void>((done) => (at.renamed = done)), troubleWords: String };
});
const { SessionDialogs } = await import('../src/sessions/Dialogs');

const host = document.body.appendChild(document.createElement('div'));
const ask = (question: unknown) => act(() => void (at.asking.value = question));
const row = (id: string) => ({ id, title: id, head: 1, closed: false, turn: '' });
const submit = () => act(() => void host.querySelector('form')!.dispatchEvent(new Event('submit', { cancelable: true })));
afterEach(() => act(() => render(null, host)));

it('closes when what was asked for is done, but not another question that came meanwhile', async () => {
  act(() => render(<SessionDialogs />, host));
  ask({ kind: 'rename', row: row('a') });
  submit();
  ask(undefined);
  ask({ kind: 'rename', row: row('b') });
  await act(async () => at.renamed());
  expect(host.querySelector('input')?.defaultValue).toBe('b');
  submit();
  await act(async () => at.renamed());
  expect(host.querySelector('form')).toBeNull();
});
