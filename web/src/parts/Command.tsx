import { CopyButton } from './CopyButton';
import './parts.css';

/** A command to be typed, or taken along with one press. */
export function Command({ text }: { text: string }) {
  return (
    <div class="command">
      {text}
      <CopyButton text={text} label="Copy command" />
    </div>
  );
}
