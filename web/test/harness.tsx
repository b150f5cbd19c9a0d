// The parts of the console on a page of their own, driven by tests in a browser.
import type { Conversation } from '@konlog/client/view';
import { render } from 'preact';
import { signal } from '@preact/signals';
import { renderMarkdown } from '../src/parts/blocks';
import { clean } from '../src/parts/sanitize';
import { Markdown } from '../src/parts/Markdown';
import { ConversationView } from '../src/session/ConversationView';
import '../src/styles/base.css';
import { append, conversation, textEnd } from './made';

const root = document.getElementById('root')!;
root.className = 'app-main';
root.style.height = '100vh';

const shown = signal<{ conversation: Conversation; focus?: number; times: number; hasEarlier: boolean }>({ conversation: conversation(0), times: 0, hasEarlier: false });
const earlier: number[] = [];
let onEarlier = () => {};

function View() {
  const { conversation, focus, times, hasEarlier } = shown.value;
  return <ConversationView conversation={conversation} session="made" live focus={focus} focusTimes={times} hasEarlier={hasEarlier} onEarlier={() => (earlier.push(Date.now()), onEarlier())} />;
}

const frame = () => new Promise((done) => requestAnimationFrame(done));

const harness = {
  renderMarkdown,
  markdown(text: string, streaming: boolean) {
    render(<Markdown text={text} streaming={streaming} />, root);
  },
  /** Puts HTML into the page through the gate alone. */
  gate(html: string) {
    render(<div class="markdown-block" dangerouslySetInnerHTML={{ __html: clean(html) }} />, root);
  },
  clear() {
    render(null, root);
  },
  /** Shows a made conversation of so many items; gives the time until it was painted. */
  async show(items: number, options: { first?: number; hasEarlier?: boolean } = {}) {
    const made = conversation(items, options.first ?? 1);
    const began = performance.now();
    shown.value = { conversation: made, times: 0, hasEarlier: options.hasEarlier ?? false };
    render(<View />, root);
    await frame();
    await frame();
    return performance.now() - began;
  },
  append(n: number) {
    shown.value = { ...shown.value, conversation: append(shown.value.conversation, n) };
  },
  stream(text: string) {
    shown.value = { ...shown.value, conversation: textEnd(shown.value.conversation, text) };
  },
  /** Puts so many items before those that are there, once. */
  earlierAdds(n: number) {
    onEarlier = () => {
      onEarlier = () => {};
      const { conversation: now } = shown.value;
      const first = Math.max(1, now.first - n);
      const more = conversation(now.first - first, first);
      const items = [...more.sections[0]!.items, ...now.sections[0]!.items];
      shown.value = { ...shown.value, hasEarlier: first > 1, conversation: { ...now, first, sections: [{ ...now.sections[0]!, items }] } };
    };
  },
  focus(id: number) {
    shown.value = { ...shown.value, focus: id, times: shown.value.times + 1 };
  },
  asked: () => earlier.length,
  frame,
};
export type HarnessAPI = typeof harness;
Object.assign(window, { harness });
