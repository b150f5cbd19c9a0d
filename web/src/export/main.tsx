// The page of konlog export --format html: the console's own reading of a
// session, over what stands in the page.
import { render } from 'preact';
import '../styles/base.css';
import '../parts/parts.css';
import { listen } from '../app/shortcuts';
import { ExportedPage } from './ExportedPage';
import { unpack } from './recording';

const root = document.getElementById('page')!;
const data = document.getElementById('data')!;

unpack(data.textContent ?? '').then(
  (recording) => {
    data.remove(); // its text is as large as the session, and is not needed twice
    listen();
    render(<ExportedPage recording={recording} />, root);
  },
  (error: unknown) => {
    root.textContent = `The recording in this page cannot be read: ${error instanceof Error ? error.message : String(error)} A browser of 2023 or later is needed; if this is one, the file is damaged: export it again.`;
  },
);
