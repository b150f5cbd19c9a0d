// One carrier and the clocks that tell whether it lives.
import type { Carrier, Ending, Item, Net, Place, Transport } from './transports/transport.js';
import type { Frames, TransportName } from './types.js';

/** How often the clocks are looked at. */
const tickMs = 1_000;
/** Until hello says what the server's is. */
const heartbeatMs = 10_000;

export interface LineEvents {
  /** The first data: the transport works. Before the items. */
  heard(line: Line): void;
  items(line: Line, batch: readonly Item[]): void;
  /** Once, and last. */
  end(line: Line, ending: Ending): void;
  /** The clock went on without us: asleep, perhaps. */
  jumped(line: Line): void;
}

export class Line {
  heard = false;
  /** Its sessions are being read by another line already. */
  muted = false;
  /** When data came last, and when it came first. */
  lastAt: number;
  heardAt = 0;
  heartbeatMs = heartbeatMs;
  /** What it carries. */
  readonly sessions: Set<string>;
  readonly carrier: Carrier;
  readonly #net: Net;
  readonly #on: LineEvents;
  #tickAt: number;
  #stopClock = () => {};
  #stopProbe: (() => void) | undefined;
  #over = false;

  constructor(
    readonly transport: TransportName,
    open: Transport,
    net: Net,
    places: readonly Place[],
    on: LineEvents,
  ) {
    this.#net = net;
    this.#on = on;
    this.sessions = new Set(places.map((p) => p.session));
    this.#tickAt = this.lastAt = net.env.now();
    this.#expect();
    this.carrier = open(net, places, { items: (batch) => this.#items(batch), end: (ending) => this.#end(ending) });
  }

  /** Expects data within probeMs. With ask the server is made to say something. */
  probe(ask: boolean): void {
    if (this.#over || this.#stopProbe || !this.heard) return;
    if (ask) this.carrier.ping?.();
    const { env, limits } = this.#net;
    this.#stopProbe = env.after(env.offline() ? limits.offlineMs : limits.probeMs, () => this.#end({ kind: 'failed', detail: `${this.transport}: no answer to a probe` }));
  }

  close(): void {
    this.#over = true;
    this.#stopClock();
    this.#stopProbe?.();
    this.carrier?.close();
  }

  #items(batch: readonly Item[]): void {
    if (this.#over) return;
    this.lastAt = this.#net.env.now();
    this.#stopProbe = this.#stopProbe?.() as undefined;
    if (!batch.length) {
      if (!this.heard) this.#expect(); // the first page is large, or the line slow
      return;
    }
    if (!this.heard) {
      this.heard = true;
      this.heardAt = this.lastAt;
      this.#stopClock();
      this.#tick();
      this.#on.heard(this);
    }
    for (const item of batch) if (item.type === 'hello') this.heartbeatMs = (item as Frames['hello']).heartbeatMs;
    if (!this.muted) this.#on.items(this, batch);
  }

  #expect(): void {
    const { env, limits } = this.#net;
    this.#stopClock();
    this.#stopClock = env.after(limits.helloMs, () => this.#end({ kind: 'silent', detail: `${this.transport}: no data within ${limits.helloMs} ms` }));
  }

  #tick(): void {
    const { env, limits } = this.#net;
    this.#tickAt = env.now();
    this.#stopClock = env.after(tickMs, () => {
      const late = env.now() - this.#tickAt - tickMs;
      const silent = env.now() - this.lastAt;
      if (Math.abs(late) > limits.clockJumpMs) {
        this.lastAt = env.now(); // what came meanwhile may still be queued behind this timer
        // Timers of hidden pages come late too: there the data has come all the time.
        if (late < 0 || silent > 1.5 * this.heartbeatMs) this.#on.jumped(this);
      } else if (silent > limits.missedPings * this.heartbeatMs + tickMs) {
        this.#end({ kind: 'failed', detail: `${this.transport}: ${limits.missedPings} heartbeats did not come` });
      }
      if (!this.#over) this.#tick();
    });
  }

  #end(ending: Ending): void {
    if (this.#over) return;
    this.close();
    this.#on.end(this, ending);
  }
}
