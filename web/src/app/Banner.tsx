import { useEffect } from 'preact/hooks';
import { Icon } from '../parts/Icon';
import { downgrade } from './connection';
import { downgradeWords } from './linkstate';

/** How long the word about a downgrade stands. The badge keeps saying which transport it is. */
const SHOWN_MS = 12_000;

/** Says in passing that a worse transport is in use, and why. */
export function Banner() {
  const step = downgrade.value;
  useEffect(() => {
    if (!step) return;
    const timer = setTimeout(() => (downgrade.value = undefined), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [step]);
  if (!step) return null;
  return (
    <div class="banner" role="status" data-testid="downgrade" data-from={step.from} data-to={step.to} data-reason={step.reason}>
      <Icon name="info" />
      <span>{downgradeWords(step)}</span>
      <a class="button" href="#/diagnostics" onClick={() => (downgrade.value = undefined)}>
        Why?
      </a>
      <button type="button" class="icon-button" aria-label="Close this message" onClick={() => (downgrade.value = undefined)}>
        <Icon name="close" />
      </button>
    </div>
  );
}
