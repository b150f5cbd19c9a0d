// The one connection of the page, and what it says about itself as signals.
import { connect, type Connection, type ConnectionState, type Downgrade, type Pending } from '@konlog/client';
import { signal } from '@preact/signals';

/** ?transport=ws|sse|poll keeps to one, to try what a network would do. */
function chosen() {
  const name = new URLSearchParams(location.search).get('transport');
  return name === 'ws' || name === 'sse' || name === 'poll' ? name : 'auto';
}

export const connection: Connection = connect({ url: location.origin, transport: chosen() });

export const connectionState = signal<ConnectionState>(connection.state);
export const pending = signal<readonly Pending[]>(connection.pending);
/** The last step down; undefined once it was put away. */
export const downgrade = signal<Downgrade | undefined>(undefined);

connection.addEventListener('state', () => (connectionState.value = connection.state));
connection.addEventListener('pending', () => (pending.value = [...connection.pending]));
connection.addEventListener('downgrade', (e) => (downgrade.value = (e as CustomEvent<Downgrade>).detail));
connection.addEventListener('upgrade', () => (downgrade.value = undefined));
