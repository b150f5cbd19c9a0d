// Pictures of the console for docs/images: `node screenshots.mjs [folder]`. They
// are made, not drawn: the real server, a day's sessions, a real browser.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fillPleasantly } from './content.mjs';
import { shrink } from './png.mjs';
import { buildBinary, freePort, launchBrowser, root, Server } from './rig.mjs';

const folder = path.resolve(process.argv[2] ?? path.join(root, 'docs/images'));
/** Bytes that a picture may have. */
const bytesMax = 150_000;
/** Milliseconds in which transitions end. */
const settleMs = 400;

const sizes = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };
/**
 * Which pages are pictured how, in this order: what was looked at in the session leaves the inbox. `replay` is somewhere in the second
 * turn, `kontask` the card of the session opened.
 */
const shots = [
  { page: 'inbox', size: 'desktop', schemes: ['light'] },
  { page: 'inbox', size: 'phone', schemes: ['dark'] },
  { page: 'list', size: 'phone', schemes: ['light'] },
  { page: 'replay', size: 'desktop', schemes: ['dark'], query: '?id=26' },
  { page: 'timing', size: 'desktop', schemes: ['light'] },
  { page: 'events', size: 'desktop', schemes: ['dark'] },
  { page: 'search', size: 'desktop', schemes: ['light'] },
  { page: 'diagnostics', size: 'desktop', schemes: ['light'], wait: 'button:has-text("Run again"):enabled' },
  { page: 'session', size: 'desktop', schemes: ['light', 'dark'] },
  { page: 'session', size: 'phone', schemes: ['light', 'dark'] },
  { page: 'kontask', size: 'desktop', schemes: ['light'] },
];

async function shoot(browser, server, content, { page: name, size, scheme, query = '', wait }) {
  const context = await browser.newContext({ viewport: sizes[size], colorScheme: scheme, isMobile: size === 'phone', hasTouch: size === 'phone', reducedMotion: 'reduce' });
  const page = await context.newPage();
  const place = content.pages.find((p) => p.name === (name === 'kontask' ? 'session' : name));
  await page.goto(server.url + '/' + place.hash + query);
  await page.locator(place.ready).first().waitFor();
  if (wait) await page.locator(wait).waitFor({ timeout: 60_000 });
  if (name === 'kontask') {
    await page.locator('[data-item=kontask]').last().getByRole('button', { name: /details/i }).click();
    await page.frameLocator('iframe[data-testid=kontask-output]').locator('h3').waitFor();
  }
  await pause(settleMs);
  const file = path.join(folder, `${name}-${size}-${scheme}.png`);
  const picture = shrink(await page.screenshot({ animations: 'disabled', caret: 'hide' }));
  await context.close();
  if (picture.length > bytesMax) throw new Error(`${file} would have ${picture.length} bytes, more than ${bytesMax}: show less on it`);
  await writeFile(file, picture);
  console.log(`${path.relative(root, file)} ${Math.round(picture.length / 1024)} KiB`);
}

const work = await mkdtemp(path.join(tmpdir(), 'konlog-shots-'));
const server = new Server(buildBinary(work), await freePort(), path.join(work, 'data'));
const browser = await launchBrowser();
try {
  await mkdir(folder, { recursive: true });
  await server.start();
  const content = await fillPleasantly(server);
  for (const { schemes, ...shot } of shots) for (const scheme of schemes) await shoot(browser, server, content, { ...shot, scheme });
} finally {
  await browser.close();
  await server.stop('SIGKILL');
  await rm(work, { recursive: true, force: true });
}
