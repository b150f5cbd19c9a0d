// Whoever runs the agent: appends a script to the log at a pace, and again
// until it is answered, so that a server that was killed has all of it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import path from 'node:path';
import { levelWithin, root } from './rig.mjs';

/** Events of one request when the pace is too quick for one each. */
const batchMax = 64;

/** Appends events with keys; while the server is away it tries again. Gives the id of the last. */
export async function append(server, session, events) {
  const end = Date.now() + levelWithin;
  for (;;) {
    try {
      return (await server.call(`/v1/sessions/${session}/events`, events)).last;
    } catch (err) {
      // A request whose answer was lost may have been stored: the keys make the repeat harmless.
      if (err.problem && !err.problem.retryable) throw err;
      if (Date.now() > end) throw err;
    }
    await pause(25);
  }
}

/** Plays scripts into a session, in the background; `done` is a promise. */
export class Producer {
  /** rate: events a second. */
  constructor(server, session, { rate = 200 } = {}) {
    Object.assign(this, { server, session, rate, sent: 0, going: true, done: Promise.resolve() });
  }

  /** Begins to append; the events go on behind those that were given before. */
  play(events) {
    this.total = (this.total ?? 0) + events.length;
    this.done = this.done.then(() => this.#run(events));
    this.done.catch(() => {}); // whoever awaits done hears of it
    return this;
  }

  async #run(events) {
    const began = Date.now();
    for (let at = 0; at < events.length && this.going; ) {
      const due = Math.floor(((Date.now() - began) * this.rate) / 1000) + 1;
      if (due <= at) {
        await pause(Math.max(1, ((at + 1 - due) * 1000) / this.rate));
        continue;
      }
      const batch = events.slice(at, Math.min(due, at + batchMax));
      await append(this.server, this.session, batch);
      at += batch.length;
      this.sent += batch.length;
    }
  }

  /** Resolves when this many events were appended. */
  async reached(count) {
    while (this.sent < count) {
      if (!this.going) throw new Error('the producer was ended');
      await Promise.race([pause(5), this.done.then(() => undefined)]);
      if (this.sent >= this.total) break;
    }
  }

  /** Resolves at this part of all that was given, 0 to 1. */
  part(share) {
    return this.reached(Math.floor(this.total * share));
  }

  end() {
    this.going = false;
    return this.done;
  }
}

/** konlog ingest of a recording, at a pace: the lines come as the events that they stand for. */
export function ingest(t, server, session, recording, pace = 1) {
  const child = spawn(server.binary, ['ingest', session, '-f', path.join(root, 'testdata/recordings', recording), '--pace', String(pace), '--server', server.url, '-q'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (d) => (said += d));
  t.after(() => child.kill('SIGKILL'));
  return once(child, 'exit').then(([code]) => assert.equal(code, 0, 'konlog ingest: ' + said));
}
