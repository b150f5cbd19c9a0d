import { Component, type ComponentChildren } from 'preact';
import { Icon } from '../parts/Icon';

/** Keeps a failure inside its part of the page: says so, and offers to try again. */
export class ErrorBoundary extends Component<{ what: string; children: ComponentChildren }, { error: Error | undefined }> {
  override state = { error: undefined as Error | undefined };

  static override getDerivedStateFromError(error: unknown) {
    return { error: error instanceof Error ? error : new Error(String(error)) };
  }

  override componentDidCatch(error: unknown) {
    console.error(error);
  }

  override render() {
    const { error } = this.state;
    if (!error) return this.props.children;
    return (
      <div class="empty" role="alert" data-testid="failed">
        <Icon name="warning" />
        <h2>{this.props.what} cannot be shown</h2>
        <p>Something in this page failed. The log on the server is not touched by it.</p>
        <pre class="command">{error.message}</pre>
        <p class="row">
          <button type="button" class="button" onClick={() => this.setState({ error: undefined })}>
            Try again
          </button>
          <button type="button" class="button primary" onClick={() => location.reload()}>
            Reload the page
          </button>
        </p>
      </div>
    );
  }
}
