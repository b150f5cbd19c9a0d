import { useCallback, useContext } from 'preact/hooks';
import { View, type ViewContext } from './context';

/** The conversation that an item is part of. */
export function useView(): ViewContext {
  const view = useContext(View);
  if (!view) throw new Error('an item was drawn outside of a ConversationView');
  return view;
}

/** Whether a card is open, kept while it comes and goes, and a function that turns it. */
export function useFold(key: string, byItself: boolean): [open: boolean, toggle: () => void] {
  const { folds } = useView();
  const open = folds.isOpen(key, byItself);
  const toggle = useCallback(() => folds.set(key, !folds.isOpen(key, byItself)), [folds, key, byItself]);
  return [open, toggle];
}
