import { EventStream } from './eventstream.js';
import { address, chunks, endingOf, Failure, gone, request } from './http.js';
import type { Item, Transport } from './transport.js';

/** An event stream by fetch: unlike EventSource it has headers, tells why it failed, and is in Node too. */
export const sse: Transport = (net, places, sink) => {
  const abort = new AbortController();
  async function run(): Promise<void> {
    const path = address('sse', places);
    if (path.length > net.limits.cursorMax) throw new Failure('unsupported', `${places.length} sessions are too many for one event stream`);
    const response = await request(net, path, 'text/event-stream', abort.signal);
    if (!response.body?.getReader) throw new Failure('unsupported', 'fetch gives no streams here');
    let batch: Item[] = [];
    const stream = new EventStream((data) => batch.push(JSON.parse(data)));
    for await (const chunk of chunks(response)) {
      batch = [];
      stream.push(chunk);
      sink.items(batch);
    }
    throw new Failure('failed', 'the event stream ended');
  }
  run().catch((error) => {
    // Of several the server tells on the stream which are not there; it refuses the request when none is.
    if (error.problem?.code === 'session_not_found') sink.items(places.map((p) => gone(p.session)));
    sink.end(endingOf(error));
    abort.abort(); // what is left of the answer is not wanted
  });
  return { close: () => abort.abort() };
};
