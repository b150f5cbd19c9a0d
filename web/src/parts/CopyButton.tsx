import { useEffect, useState } from 'preact/hooks';
import { announce } from '../app/announce';
import { copy } from './copy';
import { Icon } from './Icon';

const SHOWN_MS = 1_500;

/** A button that copies, and says whether it did. */
export function CopyButton({ text, label = 'Copy' }: { text: string | (() => string); label?: string }) {
  const [done, setDone] = useState<boolean | undefined>();
  useEffect(() => {
    if (done === undefined) return;
    const timer = setTimeout(() => setDone(undefined), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [done]);
  const run = async () => {
    const ok = await copy(typeof text === 'string' ? text : text());
    setDone(ok);
    announce(ok ? 'Copied' : 'Copying is not allowed here');
  };
  return (
    <button type="button" class="icon-button" aria-label={label} title={label} onClick={run}>
      <Icon name={done === undefined ? 'copy' : done ? 'check' : 'warning'} />
    </button>
  );
}
