// What is parsed when. The sanitiser is left out here: it needs a real DOM, and
// has hostile.test.ts in a browser.
import { describe, expect, it, vi } from 'vitest';
import { MarkdownStream, renderMarkdown, type MarkdownBlock } from '../src/parts/blocks';
import { safeHref } from '../src/parts/sanitize';
import { ordinary } from './texts';
import { random } from './random';

vi.mock('../src/parts/sanitize', async (original) => ({ ...(await original<object>()), clean: (html: string) => html }));

const show = (blocks: readonly MarkdownBlock[]) => blocks.map((b) => (b.kind === 'html' ? b.html : `[${b.language}]${b.text}`));

describe('text that streams', { timeout: 60_000 }, () => {
  it('ends as the whole text is rendered, however it was cut', () => {
    for (let seed = 1; seed <= 400; seed++) {
      const dice = random(seed);
      const text = shuffled(dice);
      const stream = new MarkdownStream();
      for (let at = 0; at < text.length; ) {
        at = Math.min(text.length, at + 1 + Math.floor(dice() * dice() * 40));
        stream.update(text.slice(0, at), false);
      }
      expect(show(stream.update(text, true)), `seed ${seed}`).toEqual(show(renderMarkdown(text)));
    }
  });

  it('never settles a block that later text changes', () => {
    for (let seed = 1; seed <= 250; seed++) {
      const dice = random(seed);
      // Definitions at the end reach back to links before them; that is what the last pass is for.
      const text = shuffled(dice).replace(/^\[[^\]]*\]:.*$/gm, '').replaceAll('\r\n', '\n');
      const stream = new MarkdownStream();
      const whole = show(renderMarkdown(text));
      for (let at = 0, before = 0; at < text.length; ) {
        at = Math.min(text.length, at + 1 + Math.floor(dice() * 12));
        stream.update(text.slice(0, at), false);
        if (stream.settledLength === before) continue;
        before = stream.settledLength;
        const settled = show(renderMarkdown(text.slice(0, before)));
        expect(whole.slice(0, settled.length), `seed ${seed}, ${at} of ${text.length}`).toEqual(settled);
      }
    }
  });

  it('keeps the objects of what is settled, so that they are not drawn again', () => {
    const text = ordinary.join('\n\n');
    const stream = new MarkdownStream();
    const half = stream.update(text.slice(0, text.length / 2), false);
    const more = stream.update(text.slice(0, text.length / 2 + 200), false);
    expect(half.length).toBeGreaterThan(6);
    for (let i = 0; i < half.length - 2; i++) expect(more[i]).toBe(half[i]);
    const end = stream.update(text, true);
    for (let i = 0; i < half.length - 2; i++) expect(end[i]).toBe(half[i]);
  });

  it('begins anew when the text is another one', () => {
    const stream = new MarkdownStream();
    stream.update('# One\n\ntwo\n\nthree\n\nfour\n', false);
    expect(show(stream.update('other', false))).toEqual(show(renderMarkdown('other')));
  });

  it('does not show a heading for the moment in which a list begins', () => {
    const stream = new MarkdownStream();
    expect(show(stream.update('The steps:\n-', false)).join('')).not.toContain('<h2');
    expect(show(stream.update('The steps:\n- one', false)).join('')).toContain('<li>');
  });

  it('costs no more with length: a token at the end parses the end only', () => {
    const stream = new MarkdownStream();
    const text = Array.from({ length: 3_000 }, (_, i) => `Paragraph ${i} with **some** text.`).join('\n\n');
    stream.update(text, false);
    expect(text.length - stream.settledLength).toBeLessThan(200);
  });
});

describe('what a text can do', () => {
  it('survives markers without end', () => {
    for (const text of ['> '.repeat(5_000), '['.repeat(50_000), '*'.repeat(50_000), '- '.repeat(5_000), '`'.repeat(50_000), '<'.repeat(50_000), '![['.repeat(10_000)]) {
      const began = performance.now();
      expect(() => renderMarkdown(text)).not.toThrow();
      expect(performance.now() - began).toBeLessThan(1_500);
    }
  });

  it('is shown as it is when it is too long to be laid out', () => {
    const text = 'a '.repeat(600_000);
    expect(renderMarkdown(text)).toEqual([{ kind: 'code', text, language: '' }]);
  });

  it('keeps what people and agents write', () => {
    const html = show(renderMarkdown(ordinary.join('\n\n'))).join('\n');
    for (const part of ['<h1>', '<strong>', '<em>', '<li>', '<table>', 'align="right"', '<blockquote>', '<del>', '<kbd>', '<details>', '☑', '[go]', 'class="language-sh"']) expect(html).toContain(part);
  });
});

describe('text that nobody would write', () => {
  it.each(['*a_', '_a*', '**a_', '*a*b_c'])('is shown without holding up the page: %s', (unit) => {
    const text = unit.repeat(3_000);
    const began = performance.now();
    expect(show(renderMarkdown(text)).join('')).toContain('a');
    expect(performance.now() - began).toBeLessThan(4_000);
  });

  it('takes no emphasis from what people write', () => {
    const text = 'a *b* __c__ snake_case\n'.repeat(40);
    expect(show(renderMarkdown(text)).join('').match(/<em>b<\/em> <strong>c<\/strong> snake_case/g)).toHaveLength(40);
  });
});

it.each([
  ['https://example.com/a?b=c#d', true],
  ['mailto:a@example.com', true],
  ['#/s/s1?id=4', true],
  ['HTTP://EXAMPLE.COM', true],
  ['#install', false],
  ['/v1/sessions', false],
  ['//example.com', false],
  ['javascript:alert(1)', false],
  [' java\nscript:alert(1)', false],
  ['data:text/html,x', false],
  ['vbscript:x', false],
  ['file:///etc/passwd', false],
  ['blob:https://x/y', false],
  ['https://', false],
])('a link to %j is one: %s', (href, fine) => {
  expect(safeHref(href) !== undefined).toBe(fine);
});

function shuffled(dice: () => number): string {
  const n = 2 + Math.floor(dice() * 9);
  const parts = Array.from({ length: n }, () => ordinary[Math.floor(dice() * ordinary.length)]!);
  return parts.join(dice() < 0.85 ? '\n\n' : '\n');
}
