import { render } from 'preact';
import './styles/base.css';
import './parts/parts.css';
import './app/theme';
import { watchAccount } from './account/account';
import { App } from './app/App';
import { prefetch } from './app/lazy';
import { listen } from './app/shortcuts';
import { watchTitle } from './app/title';
import { start } from './sessions/store';

/** Milliseconds after which the first session is on the screen, and the rest of the pages may come. */
const PREFETCH_MS = 3_000;

start();
watchAccount();
listen();
watchTitle();
render(<App />, document.body);
setTimeout(prefetch, PREFETCH_MS);
