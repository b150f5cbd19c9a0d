// A plain model of what the server knows of sessions and says of them, to hold
// the list against: written from docs/PROTOCOL.md, not from the list's code.
import type { LogEvent, SessionInfo } from '@konlog/client';
import type { InboxItem } from '../src/sessions/model';
import type { BadgeName } from '../src/sessions/badges';

interface Kept {
  id: string;
  title: string;
  head: number;
  updated: number;
  turn: string;
  queue: string[];
  questions: { id: number; requestId: string; turn: string; tool: string }[];
  cards: { kontaskId: string; ready: number; title: string }[];
  ended: { id: number; success: boolean; reason: string } | undefined;
  notable: number;
  seen: number;
  closed: boolean;
}

export class FakeServer {
  readonly sessions = new Map<string, Kept>();
  readonly feed: LogEvent[] = [];
  #clock = 0;
  #heads = new Map<string, number>();
  #names = 0;

  constructor(readonly random: () => number) {}

  pick<T>(of: readonly T[]): T | undefined {
    return of[Math.floor(this.random() * of.length)];
  }

  /** Something happens, somewhere. */
  step(): void {
    const s = this.pick([...this.sessions.values()]);
    if (!s || (this.random() < 0.06 && this.sessions.size < 40)) return this.create();
    const acts = s.closed ? [this.see, this.rename, this.remove] : [this.prompt, this.begin, this.begin, this.end, this.end, this.ask, this.answer, this.deliver, this.choose, this.see, this.see, this.say, this.withdraw, this.rename, this.close, this.remove];
    const act = this.pick(acts);
    if ((act === this.close || act === this.remove) && this.random() < 0.8) return;
    act?.call(this, s);
  }

  create(id = `s${this.#names++ % 50}`): void {
    if (this.sessions.has(id)) return;
    const head = this.#heads.get(id) ?? 0;
    const s: Kept = { id, title: '', head, updated: 0, turn: '', queue: [], questions: [], cards: [], ended: undefined, notable: 0, seen: 0, closed: false };
    this.sessions.set(id, s);
    this.#tell('session_created', s, s.head, { tags: [] });
  }

  #tell(type: string, s: Kept, id: number, data: object, turn = ''): void {
    this.#clock++;
    if (type !== 'seen') s.updated = this.#clock;
    this.feed.push({ id: this.feed.length + 1, session: '_feed', type, ...(turn && { turn }), time: new Date(this.#clock * 1000).toISOString(), data: { session: s.id, id, ...data } } as LogEvent);
  }

  #append(type: string, s: Kept, data: object, turn = ''): number {
    s.head++;
    this.#heads.set(s.id, s.head);
    this.#tell(type, s, s.head, data, turn);
    return s.head;
  }

  say(s: Kept): void {
    s.head++;
    s.updated = ++this.#clock;
    this.#heads.set(s.id, s.head);
  }
  prompt(s: Kept): void {
    s.queue.push(`t${this.#clock}`);
    this.say(s);
  }
  begin(s: Kept): void {
    if (s.turn) return;
    s.turn = s.queue.shift() ?? `t${this.#clock}`;
    this.#append('turn_start', s, { agent: 'a' }, s.turn);
  }
  end(s: Kept): void {
    if (!s.turn) return;
    const turn = s.turn;
    const success = this.random() < 0.6;
    const reason = success ? 'done' : (this.pick(['error', 'stopped', 'abandoned']) as string);
    s.turn = '';
    const id = this.#append('turn_end', s, { success, reason }, turn);
    s.questions = s.questions.filter((q) => q.turn !== turn);
    s.ended = { id, success, reason };
    s.notable = id;
  }
  withdraw(s: Kept): void {
    const turn = s.queue.pop();
    if (turn) this.#append('turn_end', s, { success: false, reason: 'stopped' }, turn);
  }
  ask(s: Kept): void {
    const requestId = `q${this.#clock}`;
    const id = this.#append('permission_request', s, { requestId, tool: 'Bash' }, s.turn);
    s.questions.push({ id, requestId, turn: s.turn, tool: 'Bash' });
    s.notable = id;
  }
  answer(s: Kept): void {
    const q = this.pick(s.questions);
    if (!q) return;
    s.questions = s.questions.filter((o) => o !== q);
    this.#append('permission_response', s, { requestId: q.requestId, allow: true }, q.turn);
  }
  deliver(s: Kept): void {
    const kontaskId = `k${this.#clock}`;
    const ready = this.#append('kontask_ready', s, { kontaskId, title: 'A card' });
    s.cards.push({ kontaskId, ready, title: 'A card' });
    s.notable = ready;
  }
  choose(s: Kept): void {
    const card = this.pick(s.cards);
    if (!card) return;
    s.cards = s.cards.filter((c) => c !== card);
    this.#append('kontask_chosen', s, { kontaskId: card.kontaskId });
  }
  see(s: Kept): void {
    const id = 1 + Math.floor(this.random() * s.head);
    if (id <= s.seen || id > s.head) return;
    s.seen = id;
    this.#tell('seen', s, id, { subject: 'local' });
  }
  rename(s: Kept): void {
    s.title = `Title ${this.#clock}`;
    this.#tell('session_updated', s, s.head, { title: s.title, tags: [] });
  }
  close(s: Kept): void {
    this.end(s);
    while (s.queue.length) this.withdraw(s);
    s.closed = true;
    s.questions = [];
    this.#append('session_closed', s, {});
  }
  remove(s: Kept): void {
    this.sessions.delete(s.id);
    this.#tell('session_deleted', s, s.head, {});
  }

  #info(s: Kept): SessionInfo {
    const state = s.closed ? 'closed' : s.questions.length ? 'waiting' : s.turn ? 'working' : 'idle';
    const time = new Date(s.updated * 1000).toISOString();
    return { id: s.id, epoch: 'e', head: s.head, floor: 1, bytes: 0, state, title: s.title, scope: '', tags: [], meta: {}, ...(s.turn && { turn: s.turn }), notable: s.notable, queued: s.queue.length, questions: s.questions.length, createdAt: time, updatedAt: time };
  }
  #newest(): Kept[] {
    return [...this.sessions.values()].sort((a, b) => b.updated - a.updated);
  }
  list(from: number, to: number): SessionInfo[] {
    return this.#newest().slice(from, to).map((s) => this.#info(s));
  }
  one(id: string): SessionInfo[] {
    const s = this.sessions.get(id);
    return s ? [this.#info(s)] : [];
  }
  working(): SessionInfo[] {
    return this.#newest().map((s) => this.#info(s)).filter((s) => s.state === 'working');
  }
  inbox(): InboxItem[] {
    const out: InboxItem[] = [];
    for (const s of this.#newest()) {
      const ended = s.ended && s.ended.id > s.seen ? s.ended : undefined;
      const kontasks = s.cards.filter((c) => c.ready > s.seen);
      if (!ended && !kontasks.length && !s.questions.length) continue;
      out.push({ session: this.#info(s), seen: s.seen, ...(ended && { ended }), questions: structuredClone(s.questions), kontasks: structuredClone(kontasks) });
    }
    return out;
  }

  /** What a list must show of each session. */
  badges(): Record<string, BadgeName[]> {
    const out: Record<string, BadgeName[]> = {};
    for (const s of this.sessions.values()) {
      const all: BadgeName[] = [];
      if (s.questions.length) all.push('needs-you');
      if (s.cards.some((c) => c.ready > s.seen)) all.push('kontask');
      if (s.ended && s.ended.id > s.seen) all.push(s.ended.success || s.ended.reason === 'stopped' ? 'unread' : 'failed');
      if (s.turn && !s.questions.length) all.push('working');
      if (all.length) out[s.id] = all;
    }
    return out;
  }
}

/** Numbers by a seed, so that a failure can be seen again (mulberry32). */
export function seeded(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
