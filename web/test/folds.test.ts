import { effect } from '@preact/signals';
import { expect, test } from 'vitest';
import { Folds } from '../src/session/context';

test('a card that is drawn still opens after thousands of others were', () => {
  const folds = new Folds();
  let open = false;
  for (let n = 0; n < 3; n++) folds.isOpen('mine', false);
  for (let i = 0; i < 4_990; i++) folds.isOpen(`i${i}`, false);
  const end = effect(() => void (open = folds.isOpen('mine', false))); // it is drawn again, and rows around it
  for (let i = 0; i < 160; i++) folds.isOpen(`j${i}`, false);
  folds.set('mine', true);
  expect(open).toBe(true);
  end();
});
