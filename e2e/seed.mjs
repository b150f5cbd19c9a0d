// Chance that can be had again: SEED=n repeats a run.

/** A generator (mulberry32) with the choices that the tests make. */
export class Chance {
  constructor(seed) {
    this.seed = seed >>> 0;
    this.state = this.seed;
  }

  /** 0 <= x < 1. */
  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let x = this.state;
    x = Math.imul(x ^ (x >>> 15), x | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  }

  /** min <= n < max. */
  int(min, max) {
    return min + Math.floor(this.next() * (max - min));
  }

  pick(list) {
    return list[this.int(0, list.length)];
  }

  /** Picks by weight: {cut: 5, reload: 1}. */
  weighed(weights) {
    let left = this.next() * Object.values(weights).reduce((a, b) => a + b, 0);
    for (const [name, weight] of Object.entries(weights)) {
      left -= weight;
      if (left < 0) return name;
    }
    return Object.keys(weights).at(-1);
  }

  /** Cuts a text into pieces of min..max characters, also within words, never within a character. */
  pieces(text, min, max) {
    const letters = [...text];
    const out = [];
    for (let i = 0; i < letters.length; ) {
      const n = this.int(min, max + 1);
      out.push(letters.slice(i, i + n).join(''));
      i += n;
    }
    return out;
  }

  /** A generator for a part of the work, so that its choices do not hang on how long others took. */
  fork(salt) {
    return new Chance(this.seed ^ Math.imul(salt + 1, 0x9e3779b1));
  }
}

/** The seed of this run: SEED, or a new one. The test prints it. */
export function newSeed() {
  return process.env.SEED ? Number(process.env.SEED) >>> 0 : Math.floor(Math.random() * 2 ** 32);
}
