import { endingOf } from './http.js';
import type { Carrier, Transport } from './transport.js';

/** A transport that is loaded when it is first needed. `changes`: its sessions can be changed while it stands. */
export function later(load: () => Promise<Transport>, changes: boolean): Transport {
  return (net, places, sink) => {
    const wanted = new Map(places.map((p) => [p.session, p]));
    let carrier: Carrier | undefined;
    let closed = false;
    const open = (transport: Transport) => {
      if (!closed) carrier = transport(net, [...wanted.values()], sink);
    };
    load().then(open).catch((e) => sink.end(endingOf(e)));
    return {
      change: changes
        ? (session, place) => {
            carrier?.change!(session, place);
            wanted.delete(session);
            if (place) wanted.set(session, place);
          }
        : undefined,
      close() {
        closed = true;
        carrier?.close();
      },
    };
  };
}
