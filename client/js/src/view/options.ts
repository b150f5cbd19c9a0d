// The options of a question, in the forms that agents have for them.
import { bag, isBag, list, str, type Bag } from './values.js';

/** One way to answer a question. */
export interface QuestionOption {
  label: string;
  /** What the answer names it by. */
  value: unknown;
  /** It says no: to choose it is to deny. */
  denies: boolean;
}

/** Options of one question that are offered. */
const optionsMax = 100;

/** The options of a question: texts, or objects that call them by one of the names that are in use. */
export function questionOptions(value: unknown): QuestionOption[] {
  return list(value).slice(0, optionsMax).map((o) => {
    if (!isBag(o)) return { label: typeof o === 'string' ? o : JSON.stringify(o), value: o, denies: typeof o === 'string' && no.test(o) };
    const label = str(o.label) || str(o.name) || str(o.title) || str(o.value) || JSON.stringify(o);
    return { label, value: o.value ?? o.optionId ?? o.id ?? o, denies: denies(o, label) };
  });
}

const no = /^(reject|deny|denied|refuse|disallow|decline|cancel|abort|no)(\b|_|$)/i;
const yes = /^(allow|approve|accept|grant|yes)(\b|_|$)/i;

/** By what the agent says of its kind; else by its words, whichever of them says no. */
function denies(option: Bag, label: string): boolean {
  const value = bag(option.value);
  const kind = str(option.kind) || str(option.behavior) || str(value.kind) || str(value.behavior);
  if (yes.test(kind)) return false;
  return [kind, option.optionId, option.id, option.value, value.optionId, value.id, label].some((word) => no.test(str(word)));
}
