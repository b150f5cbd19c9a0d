import { endingOf, Failure, gone } from './http.js';
import type { Frames } from '../types.js';
import type { Item, Place, Transport } from './transport.js';

/** The server's own close codes. */
const deleted = 4404;
const deniedCodes = [4401, 4403];

/** One WebSocket; sessions come and go on it by frames. */
export const ws: Transport = (net, places, sink) => {
  let socket: WebSocket | undefined;
  let closed = false;
  const wanted = new Map(places.map((p) => [p.session, p]));
  const send = (frame: object) => socket?.readyState === 1 && socket.send(JSON.stringify(frame));

  function open(query = ''): void {
    if (closed) return;
    try {
      socket = new net.env.WebSocket!(net.base.replace(/^http/, 'ws') + '/v1/ws?batch=1' + query);
    } catch (e) {
      throw new Failure('unsupported', String(e)); // the page's own policy may forbid it
    }
    socket.onerror = () => {}; // close follows, and says more
    socket.onopen = () => wanted.forEach(subscribe);
    socket.onmessage = ({ data }) => {
      try {
        const items = parse(data);
        sink.items(items);
        // Another token keeps the connection; without one the server ends it, and the next one needs it all the same.
        if (items.some((item) => item.type === 'auth_expiring')) net.rest.token().then((token) => token && send({ type: 'auth', token, ref: 'auth' }), () => {});
      } catch (e) {
        fail(e);
      }
    };
    socket.onclose = ({ code, reason }) => {
      if (code === deleted && wanted.size === 1) sink.items([gone([...wanted.keys()][0]!)]);
      // Whatever the code, also 1000: a closed connection says nothing about a session.
      sink.end({ kind: deniedCodes.includes(code) ? 'denied' : 'failed', detail: `the WebSocket closed: ${code} ${reason}` });
    };
  }
  function subscribe({ session, after, tail, fold }: Place): void {
    send({ type: 'subscribe', session, ...(tail === undefined ? { after } : { tail }), ...(fold && { fold: 1 }) });
  }
  function close(): void {
    closed = true;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }
  function fail(error: unknown): void {
    close();
    sink.end(endingOf(error));
  }

  net.rest.token(true).then(open).catch(fail);
  return {
    close,
    ping: () => send({ type: 'ping' }),
    change(session, place) {
      const had = wanted.delete(session);
      if (place) {
        wanted.set(session, place);
        subscribe(place);
      } else if (had) send({ type: 'unsubscribe', session });
    },
  };
};

/**
 * A message holds one item per line; no line break stands within one. That a frame of ours was of no use says nothing of the
 * session: when the server ends a subscription at the moment in which we do, a new one may already be under way. A ref has only the
 * answer to a new token: no session's business either.
 */
function parse(data: string): Item[] {
  return (JSON.parse(`[${data.replaceAll('\n', ',')}]`) as Item[]).filter((item) => (item as Frames['error']).code !== 'invalid_frame' && !(item as Frames['ack']).ref);
}
