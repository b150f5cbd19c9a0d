// @vitest-environment node
// Text of agents does nothing but show itself: in a real browser, under the
// policy of the console, with every request and every script seen.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Page } from 'playwright-core';
import { chromiumPath, harness, type Harness } from './browser';
import type { HarnessAPI } from './harness';
import { random } from './random';
import { hostile, ordinary } from './texts';

declare const window: Window & { harness: HarnessAPI; pwned?: unknown };

/** Runs in the page: what is there that should not be. */
function troubles([text, how]: readonly [string, boolean | 'gate']): string[] {
  const tags = new Set('A ABBR B BLOCKQUOTE BR CODE DD DEL DETAILS DIV DL DT EM H1 H2 H3 H4 H5 H6 HR I INS KBD LI MARK OL P PRE Q S SAMP SMALL SPAN STRONG SUB SUMMARY SUP TABLE TBODY TD TFOOT TH THEAD TR U UL VAR'.split(' '));
  const allowed = new Set(['href', 'title', 'class', 'align', 'start', 'colspan', 'rowspan', 'open', 'target', 'rel']);
  window.harness.clear();
  if (how === 'gate') window.harness.gate(text);
  else window.harness.markdown(text, how);
  const found: string[] = [];
  const root = document.getElementById('root')!;
  for (const node of root.querySelectorAll('.markdown-block *')) {
    if (!tags.has(node.nodeName)) found.push(`<${node.nodeName}>`);
    for (const { name, value } of node.attributes) {
      if (!allowed.has(name)) found.push(`${node.nodeName} ${name}=${value}`);
      if (name === 'class' && !/^(language-[\w+#.-]+|hljs-[\w- ]+)$/.test(value)) found.push(`class=${value}`);
    }
    if (!(node instanceof HTMLAnchorElement) || !node.hasAttribute('href')) continue;
    const inside = node.getAttribute('href')!.startsWith('#/');
    if (!inside && !['http:', 'https:', 'mailto:'].includes(node.protocol)) found.push(`href=${node.href}`);
    if (!inside && node.host === location.host) found.push(`a link into the server: ${node.href}`);
    if (!inside && (node.rel !== 'noopener noreferrer' || node.target !== '_blank')) found.push(`without rel: ${node.outerHTML}`);
  }
  for (const node of root.querySelectorAll('script, img, iframe, object, embed, link, meta, base, style, form, input, video, audio, source, [style], [id], [name]')) found.push(node.outerHTML);
  for (const node of root.querySelectorAll('*')) for (const name of node.getAttributeNames()) if (name.startsWith('on')) found.push(`${name} on ${node.nodeName}`);
  return found;
}

describe.skipIf(!chromiumPath)('hostile text in a browser', { timeout: 60_000 }, () => {
  let rig: Harness;
  let page: Page;
  let asked: string[];
  let errors: string[];
  beforeAll(async () => {
    rig = await harness();
    ({ page, asked, errors } = await rig.open());
  }, 60_000);
  afterAll(() => rig?.close());

  const check = async (text: string, streaming: boolean, what = text) => {
    expect(await page.evaluate(troubles, [text, streaming] as const), what).toEqual([]);
  };
  const quiet = async () => {
    await page.waitForTimeout(50);
    expect(await page.evaluate(() => window.pwned)).toBeUndefined();
    // The policy would have stopped a load, and said so.
    expect(asked).toEqual([]);
    expect(errors).toEqual([]);
  };

  it.each(hostile.map((text) => [text]))('%s', async (text) => {
    for (const streaming of [false, true]) await check(text, streaming);
    for (const before of ['- ', '> ', 'text ', '**', '`', '<div>', '<b title="', '| a |\n|---|\n| ']) await check(before + text, false);
    await quiet();
  });

  it('stays harmless wherever it is cut and whatever stands around it', async () => {
    for (let seed = 1; seed <= 400; seed++) {
      const dice = random(seed);
      const pick = (list: readonly string[]) => list[Math.floor(dice() * list.length)]!;
      const text = Array.from({ length: 4 }, () => pick(dice() < 0.6 ? hostile : ordinary)).join(dice() < 0.5 ? '\n\n' : '');
      const cut = text.slice(Math.floor(dice() * 30), text.length - Math.floor(dice() * 30));
      await check(cut, dice() < 0.5, `seed ${seed}: ${cut}`);
    }
    await quiet();
  });

  it('is stopped by the sanitiser alone, should anything get past what comes before it', async () => {
    const own = await rig.open();
    for (const text of hostile) expect(await own.page.evaluate(troubles, [text, 'gate'] as const), text).toEqual([]);
    await own.page.waitForTimeout(50);
    expect(await own.page.evaluate(() => window.pwned)).toBeUndefined();
    expect(own.asked).toEqual([]);
    await own.page.close();
  });

  it('keeps what is ordinary: headings, lists, tables, links, code', async () => {
    await page.evaluate((text) => (window.harness.clear(), window.harness.markdown(text, false)), ordinary.join('\n\n'));
    const html = await page.evaluate(() => document.getElementById('root')!.innerHTML);
    for (const part of ['<h1>', '<strong>', '<em>', '<li>', '<table>', 'align="right"', '<blockquote>', '<del>', '<kbd>', '<details>', '<summary>', '☑', 'class="language-sh"', 'href="https://example.com/p.png"', 'href="http://www.example.com"']) expect(html).toContain(part);
    await quiet();
  });

  it('colours code when its block is complete, nested code too', async () => {
    await page.evaluate(() => (window.harness.clear(), window.harness.markdown('```go\nfunc main() {}\n```\n\n1. run\n   ```sh\n   echo "x"\n   ```\n\nend', false)));
    await page.waitForSelector('.code .hljs-keyword', { timeout: 5_000 });
    await page.waitForSelector('li .hljs-string', { timeout: 5_000 });
  });

  it('streams to the same page as the whole text gives', async () => {
    for (let seed = 1; seed <= 40; seed++) {
      const dice = random(seed);
      const text = Array.from({ length: 6 }, () => (dice() < 0.3 ? hostile : ordinary)[Math.floor(dice() * 30)]!).join('\n\n');
      const [streamed, whole] = await page.evaluate(([text, seed]) => {
        const blocks = () => [...document.querySelectorAll('#root .markdown > *')].map((b) => (b.matches('.code') ? b.textContent : b.innerHTML));
        window.harness.clear();
        for (let at = 0; at < text.length; at += 1 + ((seed * 7 + at) % 23)) window.harness.markdown(text.slice(0, at), true);
        window.harness.markdown(text, false);
        const streamed = blocks();
        window.harness.clear();
        window.harness.markdown(text, false);
        return [streamed, blocks()];
      }, [text, seed] as const);
      expect(streamed, `seed ${seed}`).toEqual(whole);
    }
  });
});
