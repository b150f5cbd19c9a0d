// Which transport is used, and what is remembered of a network.
import type { Downgrade } from './api.js';
import type { Environment } from './environment.js';
import type { Limits } from './limits.js';
import type { TransportName } from './types.js';

const all: readonly TransportName[] = ['ws', 'sse', 'poll'];

interface Memory {
  transport: TransportName;
  reasons: Partial<Record<TransportName, Downgrade['reason']>>;
  /** Date.now when it is forgotten. */
  until: number;
}

/** The transports, best first, and the one in use. */
export class Ladder {
  /** Those that this platform has. */
  readonly order: readonly TransportName[];
  level = 0;
  /** Why a transport was given up. */
  reasons: Memory['reasons'] = {};
  readonly #env: Environment;
  readonly #limits: Limits;
  readonly #key: string;

  constructor(env: Environment, limits: Limits, origin: string, wanted: 'auto' | TransportName) {
    this.order = wanted === 'auto' ? (env.WebSocket ? all : all.slice(1)) : [wanted];
    this.#env = env;
    this.#limits = limits;
    this.#key = `konlog:transport:${origin}:`;
    this.recall();
  }

  get transport(): TransportName {
    return this.order[this.level]!;
  }

  get downgrade(): Downgrade | undefined {
    const to = this.transport;
    if (this.level) {
      const from = this.order[this.level - 1]!;
      return { from, to, reason: this.reasons[from] ?? 'failing' };
    }
    return this.order.length > 1 && to !== 'ws' ? { from: 'ws', to, reason: 'unsupported' } : undefined;
  }

  /** Starts where this network was left, else with the best. */
  recall(): void {
    this.level = 0;
    try {
      const { transport, reasons, until } = JSON.parse(this.#env.storage!.getItem(this.#network)!) as Memory;
      if (until < this.#env.now()) return;
      this.level = Math.max(0, this.order.indexOf(transport));
      this.reasons = reasons;
    } catch {
      // Nothing is known, or not by us, or the storage is closed to us.
    }
  }

  /** Gives up the transport in use for the next; false when there is none. */
  down(reason: Downgrade['reason']): boolean {
    if (this.level + 1 >= this.order.length) return false;
    this.reasons[this.transport] = reason;
    this.level++;
    return true;
  }

  /** This one works: it is where the network is found the next time. */
  works(transport: TransportName): void {
    this.level = this.order.indexOf(transport);
    const memory: Memory = { transport, reasons: this.reasons, until: this.#env.now() + this.#limits.rememberMs };
    try {
      if (this.level) this.#env.storage!.setItem(this.#network, JSON.stringify(memory));
      else this.#env.storage!.removeItem(this.#network);
    } catch {
      // None, full, or forbidden: the next start begins with the best.
    }
  }

  get #network(): string {
    return this.#key + this.#env.network();
  }
}
