// KontaskOutput of an exported page: the frame gets the HTML itself, for there
// is no server to ask. It inherits the page's policy, which lets nothing be
// loaded and no script run, and the sandbox takes the rest.
import { useState } from 'preact/hooks';
import { Output } from '../parts/Output';

/** A larger output is shown as its source only. */
const HTML_MAX = 2_000_000;

/** The HTML of a kontask in a frame that may do nothing. */
export function KontaskOutput({ title, html }: { kontask: string; title: string; html: string }) {
  const [source, setSource] = useState(html.length > HTML_MAX);
  return (
    <div class="kontask-output">
      {source ? <Output text={html} label="Source of the output" /> : <iframe sandbox="" srcdoc={html} data-testid="kontask-output" title={`Output: ${title}`} referrerpolicy="no-referrer" />}
      {html.length <= HTML_MAX && (
        <div class="ask-buttons">
          <button type="button" class="button" aria-pressed={source} onClick={() => setSource(!source)}>
            {source ? 'Show the page' : 'Show the source'}
          </button>
        </div>
      )}
    </div>
  );
}
