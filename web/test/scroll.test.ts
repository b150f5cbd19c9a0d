// @vitest-environment node
// Where a reader is and stays, in a real browser: at the end while it follows,
// else at the very line that is read.
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { spanMax } from '../src/session/span';
import { chromiumPath, harness, type Harness } from './browser';
import type { HarnessAPI } from './harness';

declare const window: Window & { harness: HarnessAPI };

describe.skipIf(!chromiumPath)('a conversation in a browser', { timeout: 60_000 }, () => {
  let rig: Harness;
  let page: Page;
  beforeAll(async () => {
    rig = await harness();
  }, 60_000);
  afterAll(() => rig?.close());
  beforeEach(async () => {
    await page?.close();
    page = (await rig.open()).page;
  });

  const scroller = '.conversation-scroll';
  const fromEnd = () => page.$eval(scroller, (e) => e.scrollHeight - e.scrollTop - e.clientHeight);
  const rows = () => page.$$eval('[data-key]', (all) => all.length);
  const frames = (n = 2) => page.evaluate(async (n) => { for (let i = 0; i < n; i++) await window.harness.frame(); }, n);
  const scrollTo = async (top: number) => {
    await page.$eval(scroller, (e, top) => (e.scrollTop = top), top);
    await frames();
  };
  /** The first row that can be seen whole, and where. */
  const reading = () =>
    page.evaluate(() => {
      const box = document.querySelector('.conversation-scroll')!.getBoundingClientRect();
      const row = [...document.querySelectorAll<HTMLElement>('[data-key]')].find((r) => r.getBoundingClientRect().top >= box.top)!;
      return { key: row.dataset.key!, top: row.getBoundingClientRect().top };
    });
  const topOf = (key: string) => page.evaluate((key) => document.querySelector<HTMLElement>(`[data-key="${key}"]`)?.getBoundingClientRect().top, key);

  it('opens at the end and stays there while rows come and text grows', async () => {
    await page.evaluate(() => window.harness.show(2_000));
    expect(await fromEnd()).toBeLessThan(2);
    for (let i = 0; i < 30; i++) {
      await page.evaluate(async (i) => {
        window.harness.append(7);
        await window.harness.frame();
        window.harness.stream('a line\n\n'.repeat(i + 1));
        await window.harness.frame();
      }, i);
    }
    await page.waitForTimeout(250);
    expect(await fromEnd()).toBeLessThan(2);
    expect(await rows()).toBeLessThanOrEqual(spanMax);
    expect(await page.$('[data-testid=to-end]')).toBeNull();
  });

  it('stays where it is read while rows come behind, and counts them', async () => {
    await page.evaluate(() => window.harness.show(2_000));
    await scrollTo(2_000);
    const before = await reading();
    for (let i = 0; i < 10; i++) {
      await page.evaluate(() => window.harness.append(20));
      await frames(2);
    }
    expect(Math.abs((await topOf(before.key))! - before.top)).toBeLessThan(1.5);
    expect(await rows()).toBeLessThanOrEqual(spanMax);
    const button = await page.waitForSelector('[data-testid=to-end]');
    expect(await button.textContent()).toMatch(/^(1[789]\d|200) new entries/);
    await button.click();
    await frames();
    expect(await fromEnd()).toBeLessThan(2);
    await page.waitForSelector('[data-id="2200"]', { state: 'attached' }); // bookkeeping, which is not seen
  });

  /** Scrolls, and tells the first row that is seen then, before the page has heard of it. */
  const scrollAndRead = (top: number) =>
    page.evaluate((top) => {
      const scroll = document.querySelector('.conversation-scroll')!;
      scroll.scrollTop = top;
      const edge = scroll.getBoundingClientRect().top;
      const row = [...document.querySelectorAll<HTMLElement>('[data-key]')].find((r) => r.getBoundingClientRect().top >= edge)!;
      return { key: row.dataset.key!, top: row.getBoundingClientRect().top };
    }, top);

  it('does not jump when rows are added above and released below', async () => {
    await page.evaluate(() => window.harness.show(2_000));
    for (let i = 0; i < 3; i++) {
      const first = await page.$eval('[data-key]', (e) => e.getAttribute('data-key'));
      const before = await scrollAndRead(500);
      await frames(4);
      expect(await page.$eval('[data-key]', (e) => e.getAttribute('data-key')), 'rows were added above').not.toBe(first);
      expect(Math.abs((await topOf(before.key))! - before.top)).toBeLessThan(1.5);
    }
  });

  it('asks for earlier events at the beginning, once at a time, and does not jump when they come', async () => {
    await page.evaluate(() => (window.harness.earlierAdds(1_000), window.harness.show(80, { first: 5_001, hasEarlier: true })));
    expect(await page.evaluate(() => window.harness.asked())).toBe(0);
    const before = await scrollAndRead(300);
    await frames(6);
    expect(await page.evaluate(() => window.harness.asked())).toBeGreaterThan(0);
    expect(Math.abs((await topOf(before.key))! - before.top)).toBeLessThan(1.5);
    await scrollAndRead(0);
    await frames(4);
    expect(await page.$('[data-id="4990"]')).not.toBeNull();
  });

  it('does not move what is read when something above it grows', async () => {
    await page.evaluate(() => window.harness.show(1_000));
    await scrollTo(3_000);
    const before = await reading();
    await page.evaluate(() => {
      const edge = document.querySelector('.conversation-scroll')!.getBoundingClientRect().top;
      const above = [...document.querySelectorAll<HTMLElement>('[data-item=tool] [data-fold][aria-expanded=false]')].filter((f) => f.getBoundingClientRect().bottom < edge);
      for (const fold of above.slice(-5)) fold.click();
    });
    await frames(4);
    expect(Math.abs((await topOf(before.key))! - before.top)).toBeLessThan(1.5);
  });

  it('can be read from end to beginning and back with a bounded number of rows', async () => {
    await page.evaluate(() => window.harness.show(1_200));
    let most = 0;
    for (let i = 0; i < 80 && !(await page.$('[data-id="1"]')); i++) {
      const before = await reading();
      await scrollTo(0);
      most = Math.max(most, await rows());
      // The line that was on top is still in the document, or was scrolled past: never replaced by a jump.
      if (i === 3) expect(before.key).not.toBe((await reading()).key);
    }
    expect(await page.$('[data-id="1"]')).not.toBeNull();
    for (let i = 0; i < 80 && !(await page.$('[data-id="1200"]')); i++) {
      await scrollTo(1e9);
      most = Math.max(most, await rows());
    }
    expect(await page.$('[data-id="1200"]')).not.toBeNull();
    expect(most).toBeLessThanOrEqual(spanMax);
    await scrollTo(1e9);
    expect(await page.$('[data-testid=to-end]')).toBeNull();
  });

  it('goes to an event, marks it, and follows no more', async () => {
    await page.evaluate(() => window.harness.show(5_000));
    await page.evaluate(() => window.harness.focus(1_234));
    await frames(4);
    const row = await page.waitForSelector('.entry.marked [data-id="1234"]');
    const box = (await row.boundingBox())!;
    expect(box.y).toBeGreaterThan(0);
    expect(box.y).toBeLessThan(700);
    await page.evaluate(() => window.harness.append(500));
    await frames();
    expect((await row.boundingBox())!.y).toBeCloseTo(box.y, 0);
  });

  it('keeps what was opened open while it leaves the window and comes back', async () => {
    await page.evaluate(() => window.harness.show(2_000));
    await page.click('[data-id="1998"] [data-fold]');
    await page.waitForSelector('[data-id="1998"] .fold-body');
    await page.evaluate(() => window.harness.focus(300));
    await frames();
    expect(await page.$('[data-id="1998"]')).toBeNull();
    await page.evaluate(() => window.harness.focus(1_998));
    await frames();
    await page.waitForSelector('[data-id="1998"] .fold-body');
  });

  it('keeps its place when the page gets narrower, as by turning a phone', async () => {
    await page.evaluate(() => window.harness.show(1_000));
    await page.setViewportSize({ width: 400, height: 500 });
    await frames();
    expect(await fromEnd()).toBeLessThan(2);
    await scrollTo(3_000);
    const before = await reading();
    await page.setViewportSize({ width: 800, height: 600 });
    await frames();
    expect(Math.abs((await topOf(before.key))! - before.top)).toBeLessThan(60);
  });

  it('draws 50,000 items within a second and takes 200 a second without a long task', async () => {
    const first = await tasks(page, () => page.evaluate(() => window.harness.show(50_000)));
    const then = await tasks(page, () =>
      page.evaluate(async () => {
        for (const end = performance.now() + 3_000; performance.now() < end; ) {
          window.harness.append(10);
          await new Promise((done) => setTimeout(done, 50));
        }
      }),
    );
    console.info(`50,000 items: ${first.sum} ms of work to the first paint; 200 a second: longest task ${then.longest} ms, ${then.sum} ms in 3 s`);
    expect(first.sum).toBeLessThan(1_000);
    expect(then.longest).toBeLessThan(100);
  });

  it('scrolls through 50,000 items, old and new, without a long task', async () => {
    await page.evaluate(() => window.harness.show(50_000));
    const { longest, sum } = await tasks(page, async () => {
      await page.mouse.move(400, 300);
      for (let i = 0; i < 40; i++) {
        await page.mouse.wheel(0, i % 10 < 8 ? -1_500 : 1_500);
        await page.evaluate(() => window.harness.append(5));
        await page.waitForTimeout(25);
      }
    });
    console.info(`scrolling while rows come: longest task ${longest} ms, ${sum} ms in all`);
    expect(longest).toBeLessThan(100);
  });

  it('parses 20 KB of streamed Markdown in well under a second', async () => {
    const { longest, sum } = await tasks(page, () =>
      page.evaluate(async () => {
        const line = 'Some **words** with `code` and a [link](https://example.com/x) in a line of the text.\n';
        const block = (i: number) => (i % 9 === 4 ? `\`\`\`go\n${'x := 1\n'.repeat(12)}\`\`\`\n\n` : i % 5 === 2 ? `${`- ${line}`.repeat(4)}\n` : `${line.repeat(4)}\n`);
        const whole = Array.from({ length: 60 }, (_, i) => block(i)).join('').slice(0, 20_000);
        for (let at = 0; at < whole.length; at += 8) {
          window.harness.markdown(whole.slice(0, at + 8), true);
          // Tokens come in frames, as over a socket: 40 in each.
          if (at % 320 === 0) await window.harness.frame();
        }
        window.harness.markdown(whole, false);
      }),
    );
    console.info(`20 KB in tokens of 8: ${sum} ms of work with layout and paint, longest task ${longest} ms`);
    expect(sum).toBeLessThan(2_000);
    expect(longest).toBeLessThan(100);
  });
});

/** The page's own processor time while something runs, milliseconds: who else is at work on the machine does not count. */
async function tasks(page: Page, run: () => Promise<unknown>): Promise<{ longest: number; sum: number }> {
  const session = await page.context().newCDPSession(page);
  const events: { name: string; pid: number; tid: number; tdur?: number }[] = [];
  session.on('Tracing.dataCollected', (data) => events.push(...(data.value as unknown as typeof events)));
  await session.send('Tracing.start', { transferMode: 'ReportEvents', categories: 'devtools.timeline,toplevel' });
  await run();
  const complete = new Promise((done) => session.once('Tracing.tracingComplete', done));
  await session.send('Tracing.end');
  await complete;
  // The thread of the page is the one that ran its scripts.
  const script = events.find((e) => e.name === 'FunctionCall' || e.name === 'EvaluateScript');
  const times = events.filter((e) => e.name.endsWith('RunTask') && e.pid === script?.pid && e.tid === script.tid).map((e) => (e.tdur ?? 0) / 1_000);
  if (times.length === 0) throw new Error('the browser traced no tasks: this measures nothing');
  return { longest: Math.round(Math.max(...times)), sum: Math.round(times.reduce((a, b) => a + b, 0)) };
}
