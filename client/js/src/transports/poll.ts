import type { Frames, Page } from '../types.js';
import { address, chunks, cursor, endingOf, Failure, gone, request } from './http.js';
import type { Carrier, Item, Net, Place, Sink, Transport } from './transport.js';

/** Seconds that a group of sessions is waited for, where one request cannot hold them all. */
const groupWaitS = 1;
/** Milliseconds: an answer that had to wait, came sooner and says nothing, is no reason to ask again at once. */
const soonMs = 500;

/** What is known of a session that is polled. */
interface Spot extends Place {
  epoch?: string;
  caughtUp?: boolean;
  told?: string; // the status that was shown last
}

/** Long-poll: one request after the other, each with the cursor of the last answer. */
export const poll: Transport = (net, places, sink) => new Poll(net, places, sink);

class Poll implements Carrier {
  readonly #net: Net;
  readonly #sink: Sink;
  /** Those whose turn comes first stand first. */
  readonly #spots: Map<string, Spot>;
  #abort = new AbortController();
  #wake = () => {};
  #closed = false;
  /** The server lets nobody wait: plain reads, with pauses. */
  #plain = false;

  constructor(net: Net, places: readonly Place[], sink: Sink) {
    this.#net = net;
    this.#sink = sink;
    this.#spots = new Map(places.map((p) => [p.session, { ...p }]));
    this.#run().catch((e) => sink.end(endingOf(e)));
  }

  change(session: string, place: Place | undefined): void {
    this.#spots.delete(session);
    if (place) this.#spots.set(session, { ...place });
    this.#again();
  }

  close(): void {
    this.#closed = true;
    this.#again();
  }

  #again(): void {
    this.#abort.abort();
    this.#wake();
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      this.#abort = new AbortController();
      const { signal } = this.#abort;
      const group = this.#turn();
      try {
        if (!group.length) await new Promise<void>((done) => (this.#wake = done));
        else await this.#round(group, signal);
      } catch (e) {
        if (!signal.aborted) await this.#recover(group, e as Failure, signal);
      }
    }
  }

  /** The sessions whose turn it is; those that have no room are first the next time. */
  #turn(): Spot[] {
    const group: Spot[] = [];
    let size = 0;
    for (const spot of this.#spots.values()) {
      size += cursor([spot]).length + 1;
      // A cursor of several has no tail.
      const alone = this.#plain || spot.tail !== undefined || group[0]?.tail !== undefined;
      if (group.length && (alone || size > this.#net.limits.cursorMax)) break;
      group.push(spot);
    }
    for (const spot of group) {
      this.#spots.delete(spot.session);
      this.#spots.set(spot.session, spot);
    }
    return group;
  }

  async #round(group: Spot[], signal: AbortSignal): Promise<void> {
    const { env, limits } = this.#net;
    const idle = group.every((s) => s.caughtUp);
    if (this.#plain && idle) await this.#pause(limits.plainMs / this.#spots.size, signal);
    const all = group.length === this.#spots.size;
    const wait = this.#plain || !idle ? '' : '&wait=' + (all ? limits.pollWaitS : groupWaitS);
    const began = env.now();
    const response = await request(this.#net, address('poll', group.map(foldWhileBehind)) + wait, 'application/json', signal);
    const body = JSON.parse(await this.#text(response)) as Page & { sessions?: Page[] };
    const pages = body.sessions ?? [body];
    for (const page of pages) {
      const spot = this.#spots.get(page.session);
      // Another place was asked for meanwhile.
      if (!signal.aborted && spot && group.includes(spot)) this.#sink.items(this.#shown(spot, page));
    }
    if (wait && env.now() - began < soonMs && pages.every((p) => !p.events.length)) await this.#pause(soonMs, signal);
  }

  async #text(response: Response): Promise<string> {
    if (!response.body?.getReader) return response.text();
    const decoder = new TextDecoder();
    let text = '';
    for await (const chunk of chunks(response)) {
      text += decoder.decode(chunk, { stream: true });
      this.#sink.items([]); // a large page on a slow line is a sign of life
    }
    return text;
  }

  /** A page as the other transports would bring it. */
  #shown(spot: Spot, page: Page): Item[] {
    const { session, caughtUp, next } = page;
    const status = page.status as Frames['status'];
    const out: Item[] = [];
    if (spot.epoch !== page.epoch) {
      out.push(this.#hello(spot, page, status));
      spot.caughtUp = false;
    }
    if (page.reset) {
      out.push(page.reset as Frames['reset']);
      spot.caughtUp = false;
    }
    if (page.gap) out.push(page.gap as Frames['gap']);
    out.push(...page.events);
    const told = [status.state, status.turn, status.queued].join();
    if (told !== spot.told) out.push(status);
    if (caughtUp && !spot.caughtUp) out.push({ type: 'caught_up', session, id: next });
    Object.assign(spot, { epoch: page.epoch, told, after: next, tail: undefined, caughtUp: caughtUp || spot.caughtUp });
    return out;
  }

  #hello({ tail, after }: Spot, { session, epoch, floor, head }: Page, status: Frames['status']): Frames['hello'] {
    const from = tail === undefined ? after : Math.max(0, head - tail, floor - 1);
    // What is silent for longer than some of these is dead.
    const heartbeatMs = this.#net.limits.pollWaitS * 1000;
    const { serverTime } = status;
    return { type: 'hello', session, epoch, floor, head, after: from, through: head, transport: 'poll', heartbeatMs, serverTime, status, questions: [], tasks: [], kontasks: [] };
  }

  async #recover(group: Spot[], failure: Failure, signal: AbortSignal): Promise<void> {
    const code = failure.problem?.code;
    if (code === 'transport_disabled' && !this.#plain) this.#plain = true;
    else if (code === 'session_not_found') for (const { session } of group) await this.#check(session, group.length === 1, signal);
    else throw failure;
  }

  /** Of several the refusal does not say, for programs, which is not there. */
  async #check(session: string, sure: boolean, signal: AbortSignal): Promise<void> {
    try {
      if (!sure) return void (await request(this.#net, '/v1/sessions/' + session, 'application/json', signal));
    } catch (e) {
      if (signal.aborted) return;
      if ((e as Failure).problem?.code !== 'session_not_found') throw e;
    }
    this.#spots.delete(session);
    this.#sink.items([gone(session)]);
  }

  #pause(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((done, stopped) => {
      const cancel = this.#net.env.after(ms, done);
      signal.addEventListener('abort', () => (cancel(), stopped(signal.reason)));
    });
  }
}

/** A folded page takes in what came after the attach: only what is shown before caught_up may be so. */
function foldWhileBehind(spot: Spot): Place {
  return { ...spot, fold: !!spot.fold && !spot.caughtUp };
}
