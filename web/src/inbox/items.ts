// What waits for a person, as GET /v1/inbox tells it.
import type { SessionInfo } from '@konlog/client';
import { askedShort } from '../session/asked';

export interface Item {
  session: SessionInfo;
  seen: number;
  reasons: ('waiting' | 'finished' | 'failed' | 'kontask')[];
  ended?: { id: number; turn: string; success: boolean; reason?: string; time: string };
  questions: Question[];
  kontasks: Card[];
}

export interface Question {
  id: number;
  requestId: string;
  turn?: string;
  tool?: string;
  input?: unknown;
  options?: unknown;
  time: string;
}

export interface Card {
  id: number;
  ready: number;
  kontaskId: string;
  kontaskType?: string;
  status?: string;
  title?: string;
  description?: string;
  choices?: unknown;
  time: string;
}

/** A thing that waits, one row of the inbox. */
export type Entry =
  | { kind: 'question'; key: string; session: SessionInfo; time: number; question: Question }
  | { kind: 'kontask'; key: string; session: SessionInfo; time: number; card: Card }
  | { kind: 'failed' | 'ended'; key: string; session: SessionInfo; time: number; ended: NonNullable<Item['ended']> };

/** The rows: questions first, since somebody stands still for them, then kontasks, then what failed, then results; the newest of each first. */
export function entries(items: readonly Item[]): Entry[] {
  const out: Entry[] = [];
  for (const { session, questions, kontasks, ended } of items) {
    for (const question of questions) out.push({ kind: 'question', key: `${session.id} q ${question.requestId}`, session, time: Date.parse(question.time), question });
    for (const card of kontasks) out.push({ kind: 'kontask', key: `${session.id} k ${card.kontaskId}`, session, time: Date.parse(card.time), card });
    if (ended) out.push({ kind: ended.success || ended.reason === 'stopped' ? 'ended' : 'failed', key: `${session.id} e ${ended.id}`, session, time: Date.parse(ended.time), ended });
  }
  const rank = { question: 0, kontask: 1, failed: 2, ended: 3 };
  return out.sort((a, b) => rank[a.kind] - rank[b.kind] || b.time - a.time);
}

/** What a question is about, in a line or a few: the command, the path, the words, else the input as JSON. */
export function subject(input: unknown): string {
  if (typeof input === 'string') return input;
  if (typeof input !== 'object' || input === null) return '';
  const asked = askedShort(input);
  if (asked) return asked;
  const of = input as Record<string, unknown>;
  for (const name of ['question', 'command', 'file_path', 'path', 'url', 'query', 'prompt', 'title']) {
    const value = of[name];
    if (typeof value === 'string' && value) return value;
    if (Array.isArray(value) && value.every((v) => typeof v === 'string')) return value.join(' ');
  }
  const text = JSON.stringify(input);
  return text === '{}' ? '' : text;
}
