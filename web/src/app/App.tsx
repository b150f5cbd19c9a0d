import { useComputed } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { locked, signedOut } from '../account/account';
import { SignedOut } from '../account/SignedOut';
import { SignInPage } from '../account/SignIn';
import { SessionPage } from '../session/SessionPage';
import { SessionDialogs } from '../sessions/Dialogs';
import { Home } from '../sessions/Home';
import { Sidebar } from '../sessions/Sidebar';
import { announcement } from './announce';
import './app.css';
import { Banner } from './Banner';
import { ErrorBoundary } from './ErrorBoundary';
import { Keys } from './Keys';
import { lazy } from './lazy';
import { route, type Route } from './route';
import { Switcher } from './Switcher';
import { TopBar } from './TopBar';

const DiagnosticsPage = lazy(async () => (await import('../diagnostics/DiagnosticsPage')).DiagnosticsPage);
const EventsPage = lazy(async () => (await import('../replay/EventsPage')).EventsPage);
const InboxPage = lazy(async () => (await import('../inbox/InboxPage')).InboxPage);
const ReplayPage = lazy(async () => (await import('../replay/ReplayPage')).ReplayPage);
const TimingPage = lazy(async () => (await import('../replay/TimingPage')).TimingPage);
const SearchPage = lazy(async () => (await import('../search/SearchPage')).SearchPage);

/** The shell: top bar, list of sessions, and the page that the hash names; or the sign-in, before anything may be seen. */
export function App() {
  const at = route.value;
  if (locked.value) return <SignInPage />;
  return (
    <div class="app" data-page={at.page}>
      <a class="skip" href="#main" onClick={skip}>
        Skip to the content
      </a>
      <TopBar />
      {signedOut.value ? <SignedOut /> : <Banner />}
      <div class="app-body">
        <ErrorBoundary what="The list of sessions">
          <Sidebar />
        </ErrorBoundary>
        <main id="main" class="app-main" tabIndex={-1}>
          <ErrorBoundary key={`${at.page} ${'session' in at ? at.session : ''}`} what="This page">
            {page(at)}
          </ErrorBoundary>
        </main>
      </div>
      <Switcher />
      <SessionDialogs />
      <Keys />
      <Announcer />
    </div>
  );
}

/** The hash is the router's, so the skip link moves the focus by itself. */
function skip(e: Event) {
  e.preventDefault();
  document.getElementById('main')?.focus();
}

function page(at: Route): ComponentChildren {
  const id = 'id' in at && at.id !== undefined ? { id: at.id } : {};
  switch (at.page) {
    case 'session':
      return <SessionPage key={at.session} session={at.session} {...id} />;
    case 'replay':
      return <ReplayPage key={at.session} session={at.session} {...id} />;
    case 'events':
      return <EventsPage key={at.session} session={at.session} query={at.query} {...id} />;
    case 'timing':
      return <TimingPage key={at.session} session={at.session} turn={at.turn} />;
    case 'search':
      return <SearchPage query={at.query} />;
    case 'inbox':
      return <InboxPage />;
    case 'diagnostics':
      return <DiagnosticsPage />;
    case 'home':
      return <Home />;
  }
}

function Announcer() {
  const text = useComputed(() => announcement.value);
  return (
    <div class="visually-hidden" role="status" aria-live="polite" aria-atomic="true">
      {text}
    </div>
  );
}
