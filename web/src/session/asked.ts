// What an agent asks in words, where it asks in words and not for leave to use a tool.
import { record, text1 } from './edits';

/** One question with what may be said to it. */
export interface AskedText {
  text: string;
  options: readonly { label: string; description: string }[];
}

/** Questions of one request, and options of one question, that are listed. */
const listMax = 50;

/** The questions that an input holds; empty when it is none: `rest` is then all of it, else what says more. */
export function askedTexts(input: unknown): { asked: AskedText[]; rest: unknown } {
  if (typeof input === 'string') return { asked: input.trim() ? [one(input, undefined)] : [], rest: undefined };
  const fields = record(input);
  if (!fields) return { asked: [], rest: input };
  const { question, questions, options, header: _, multiSelect: __, ...others } = fields;
  const more = Object.keys(others).length > 0 ? others : undefined;
  if (typeof question === 'string' && question.trim() && questions === undefined) return { asked: [one(question, options)], rest: more };
  if (!Array.isArray(questions) || questions.length === 0 || questions.length > listMax || question !== undefined) return { asked: [], rest: input };
  const asked = questions.map((q) => (typeof q === 'string' ? one(q, undefined) : one(text1(record(q) ?? {}, ['question', 'text']) ?? '', record(q)?.options)));
  return asked.every((q) => q.text.trim()) ? { asked, rest: more } : { asked: [], rest: input };
}

function one(text: string, options: unknown): AskedText {
  const list = Array.isArray(options) ? options.slice(0, listMax) : [];
  return {
    text,
    options: list.flatMap((o) => {
      const label = typeof o === 'string' ? o : text1(record(o) ?? {}, ['label', 'name', 'value']);
      return label ? [{ label, description: text1(record(o) ?? {}, ['description']) ?? '' }] : [];
    }),
  };
}

/** The same in one line, '' when nothing is asked in words. */
export function askedShort(input: unknown): string {
  return askedTexts(input).asked.map((q) => q.text).join(' ');
}
