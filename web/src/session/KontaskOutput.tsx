import { useState } from 'preact/hooks';
import { Icon } from '../parts/Icon';
import { Output } from '../parts/Output';

interface Props {
  kontask: string;
  title: string;
  /** As the log has it, to say what will not work and to show its source. */
  html: string;
}

/**
 * The HTML of a kontask, in a frame that is nobody: no scripts, no origin, no forms. Such a frame cannot say how
 * high it is, so it gets a height that can be changed.
 */
export function KontaskOutput({ kontask, title, html }: Props) {
  const [tall, setTall] = useState(false);
  const [source, setSource] = useState(false);
  const address = `/v1/kontasks/${encodeURIComponent(kontask)}/output`;
  return (
    <div class="kontask-output">
      {hasScript(html) && (
        <p class="kontask-note">
          <Icon name="info" />
          <span>It holds a script. Scripts of agents do not run here; what they would have drawn is in the source.</span>
        </p>
      )}
      {source ? (
        <Output text={html} label="Source of the output" />
      ) : (
        <iframe sandbox="" src={address} data-testid="kontask-output" title={`Output: ${title}`} referrerpolicy="no-referrer" loading="lazy" class={tall ? 'tall' : ''} />
      )}
      <div class="ask-buttons">
        {!source && (
          <button type="button" class="button" aria-pressed={tall} onClick={() => setTall(!tall)}>
            {tall ? 'Smaller' : 'Taller'}
          </button>
        )}
        <button type="button" class="button" aria-pressed={source} onClick={() => setSource(!source)}>
          {source ? 'Show the page' : 'Show the source'}
        </button>
        <a class="button" href={address} target="_blank" rel="noopener noreferrer">
          <Icon name="external" /> In a tab of its own
        </a>
      </div>
    </div>
  );
}

/** Whether the page wants to run something. */
export function hasScript(html: string): boolean {
  return /<script[\s>/]/i.test(html) || /<[a-z][^<>]*\son[a-z]+\s*=/i.test(html);
}
