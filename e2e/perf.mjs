// How quick the console is: the first paint of a long session, scrolling while
// events arrive, and a list of thousands. `node perf.mjs` prints the figures.
//
// First paint is the time from the start of the navigation, in a browser context
// that has never seen the page, to the first frame after the last words of the
// session stand in the document and are laid out. It is the median of several.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { conversation, level } from './oracle.mjs';
import { append, Producer } from './producer.mjs';
import { at, buildBinary, freePort, launchBrowser, Server } from './rig.mjs';
import { Chance } from './seed.mjs';
import { Script } from './script.mjs';

/** Events of the long session. */
export const longSession = 50_000;
/** Sessions of the long list. */
export const longList = 3_000;
/** Events a second while somebody scrolls. */
export const rate = 200;
/** Pixels of a turn of the wheel, about sixty times a second: twelve screens a second. */
const wheelPixels = 160;
/** Seconds of scrolling. */
export const scrollSeconds = 8;

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

/** Makes a session of so many events, of turns like those of the other tests. */
export async function fillLong(server, session, count) {
  const chance = new Chance(50_000);
  let sent = 0;
  for (let turn = 1; sent < count; turn += 10) {
    const { events } = new Script(chance.fork(turn), { turns: 10, from: turn, size: 4 });
    events.forEach((e, i) => (e.key = `${turn}-${i}`)); // scripts of one session, each with keys of its own
    await append(server, session, events);
    sent += events.length;
  }
  const turn = 'the-end';
  await append(server, session, [{ type: 'turn_start', turn }, { type: 'text', turn, data: { text: 'These are the last words.' } }, { type: 'turn_end', turn, data: { success: true, reason: 'done' } }].map((e, i) => ({ ...e, key: `end-${i}` })));
  return (await server.call(`/v1/sessions/${session}`)).head;
}

/** Milliseconds to the first frame that shows the words, for each of some fresh contexts. */
export async function firstPaint(browser, url, words, times = 5) {
  const all = [];
  for (let i = 0; i < times; i++) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
    await context.addInitScript(([selector, text]) => {
      const look = () => {
        const log = document.querySelector(selector);
        if (log?.textContent.includes(text) && log.getBoundingClientRect().height > 0) {
          // The second callback runs after the frame that has them.
          requestAnimationFrame(() => requestAnimationFrame((now) => (window.paintedAt = now)));
        } else requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
    }, [conversation, words]);
    const page = await context.newPage();
    await page.goto(url);
    await page.waitForFunction(() => window.paintedAt > 0);
    all.push(Math.round(await page.evaluate(() => window.paintedAt)));
    await context.close();
  }
  return { median: median(all), all };
}

/** Scrolls up and down while events arrive; gives the longest tasks of the page and how far it came. */
export async function scrollUnderLoad(browser, server, session, seconds = scrollSeconds) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  await context.addInitScript(() => {
    window.tasks = [];
    new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map((e) => Math.round(e.duration)))).observe({ type: 'longtask', buffered: true });
  });
  const page = await context.newPage();
  await page.goto(at(server.url, session));
  await level(page, server, session);
  await pause(500); // what belongs to opening is measured by firstPaint
  const opening = await page.evaluate(() => window.tasks.splice(0));
  await page.hover(conversation);
  const before = Number(await page.locator(conversation).getAttribute('data-last'));
  const first = () => page.evaluate((s) => Math.min(...[...document.querySelectorAll(`${s} [data-item]`)].map((e) => Number(e.dataset.id))), conversation);
  let lowest = await first();
  const load = feed(server, session, seconds);
  const end = Date.now() + seconds * 1000;
  // Two thirds upwards, so that older pages are asked for; then down to the end again.
  while (Date.now() < end) {
    const up = end - Date.now() > (seconds * 1000) / 3;
    await page.mouse.wheel(0, up ? -wheelPixels : wheelPixels);
    await pause(16);
    if (up) lowest = Math.min(lowest, await first());
  }
  await load;
  await page.locator('[data-testid=to-end]').click({ timeout: 1000 }).catch(() => {}); // it may be at the end by itself
  await level(page, server, session);
  const tasks = await page.evaluate(() => window.tasks);
  const rows = await page.locator(`${conversation} [data-item]`).count();
  const after = await page.locator(conversation).getAttribute('data-last');
  await context.close();
  return { longest: Math.max(0, ...tasks), tasks, opening, events: after - before, back: before - lowest, rows };
}

// An agent that works at the rate: turns like those of the session, text and thinking, tools and cards.
async function feed(server, session, seconds) {
  const seed = Date.now();
  const { events } = new Script(new Chance(seed), { turns: Math.ceil((seconds * rate) / 150), from: seed, size: 4 });
  const sent = events.slice(0, seconds * rate);
  await new Producer(server, session, { rate }).play(sent).done;
  const { type, turn } = sent.at(-1);
  if (type !== 'turn_end' && turn) await append(server, session, [{ type: 'turn_end', turn, key: `${seed}-end`, data: { success: true, reason: 'done' } }]);
}

/** Makes thousands of sessions. */
export async function fillList(server, count) {
  const width = 32;
  for (let n = 0; n < count; n += width) {
    await Promise.all(Array.from({ length: Math.min(width, count - n) }, (_, i) => server.call(`/v1/sessions/list-${n + i}`, { title: `Session number ${n + i}` }, 'PUT')));
  }
}

/** Milliseconds until the list stands, and until a filter has found one of the oldest; the longest task meanwhile; rows in the document. */
export async function listOfMany(browser, server) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  await context.addInitScript(() => {
    window.tasks = [];
    new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map((e) => Math.round(e.duration)))).observe({ type: 'longtask', buffered: true });
  });
  const page = await context.newPage();
  await page.goto(server.url + '/#/');
  await page.locator('[data-testid=sessions] [data-session]').first().waitFor();
  const shown = Math.round(await page.evaluate(() => performance.now()));
  const list = page.locator('[data-testid=sessions]').first();
  await list.hover();
  for (let i = 0; i < 60; i++) {
    await page.mouse.wheel(0, 900);
    await pause(16);
  }
  const rows = await page.locator('[data-session]').count();
  await page.keyboard.press('Control+k');
  await page.locator('[data-testid=switcher] input').waitFor();
  const began = Date.now();
  await page.keyboard.type('list-7');
  await page.locator('[data-testid=switcher]').getByText('Session number 7', { exact: false }).first().waitFor();
  const found = Date.now() - began;
  const tasks = await page.evaluate(() => window.tasks);
  await context.close();
  return { shown, found, rows, longest: Math.max(0, ...tasks) };
}

async function main() {
  const work = await mkdtemp(path.join(tmpdir(), 'konlog-perf-'));
  const server = new Server(buildBinary(work), await freePort(), path.join(work, 'data'));
  const browser = await launchBrowser();
  try {
    await server.start();
    const head = await fillLong(server, 'long', longSession);
    const paint = await firstPaint(browser, at(server.url, 'long'), 'These are the last words.', 7);
    console.log(`first paint of ${head} events: median ${paint.median} ms of ${paint.all}`);
    for (let i = 0; i < 3; i++) {
      const scroll = await scrollUnderLoad(browser, server, 'long');
      console.log(`scrolling ${scrollSeconds} s while ${rate} events/s arrive: longest task ${scroll.longest} ms (over 50 ms: ${scroll.tasks.join(', ') || 'none'}; at opening: ${scroll.opening.join(', ') || 'none'}), ${scroll.events} events came, ${scroll.back} events back, ${scroll.rows} items in the document`);
    }
    await fillList(server, longList);
    const list = await listOfMany(browser, server);
    console.log(`a list of ${longList}: first row after ${list.shown} ms, found by the switcher in ${list.found} ms, ${list.rows} rows in the document, longest task ${list.longest} ms`);
  } finally {
    await browser.close();
    await server.stop('SIGKILL');
    await rm(work, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
