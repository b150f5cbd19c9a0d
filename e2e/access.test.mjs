// The console for those who do not see it as its makers do: axe on every page,
// light and dark, desktop and phone; and a walk with the keyboard alone.

import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fillPleasantly } from './content.mjs';
import { conversation } from './oracle.mjs';
import { root, until, useRig } from './rig.mjs';

const rig = useRig();
const axe = readFileSync(path.join(root, 'node_modules/axe-core/axe.min.js'), 'utf8');

/** Presses of Tab after which a control is taken for out of reach. */
const tabsMax = 80;

const sizes = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };

async function audit(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { iframes: false, resultTypes: ['violations'] }));
  return violations.filter((v) => v.impact === 'serious' || v.impact === 'critical').map((v) => `${v.id} (${v.impact}): ${v.help}: ${v.nodes.slice(0, 3).map((n) => `${n.target} ${n.failureSummary.split('\n').slice(1, 2)}`).join(' | ')}`);
}

describe('axe finds nothing serious', { concurrency: 2 }, () => {
  for (const [name, viewport] of Object.entries(sizes)) {
    for (const colorScheme of ['light', 'dark']) {
      test(`on any page, ${name}, ${colorScheme}`, async (t) => {
        const server = await rig.server(t);
        const { pages } = await fillPleasantly(server);
        const device = await rig.device(t, { viewport, colorScheme, isMobile: name === 'phone', hasTouch: name === 'phone', reducedMotion: 'reduce' });
        const page = await device.open(server.url + '/#/');
        const found = [];
        for (const { name: where, hash, ready } of pages) {
          await page.evaluate((h) => (location.hash = h), hash);
          await page.locator(ready).first().waitFor();
          await page.evaluate(() => document.fonts.ready);
          let findings = await audit(page);
          if (findings.length > 0) {
            // A control that was just about to change is looked at again as it is then.
            await page.waitForTimeout(500);
            findings = await audit(page);
          }
          for (const finding of findings) found.push(`${where}: ${finding}`);
          const { content, window: width } = await page.evaluate(() => ({ content: document.documentElement.scrollWidth, window: innerWidth }));
          if (content > width) found.push(`${where}: it is ${content} pixels wide, the window ${width}`);
        }
        assert.deepEqual(found, []);
        device.check('the pages');
      });
    }
  }

  test('in the dialogs and with all details open', async (t) => {
    const server = await rig.server(t);
    const { session } = await fillPleasantly(server);
    const page = await rig.page(t, `${server.url}/#/s/${session}`, { reducedMotion: 'reduce' });
    await page.locator('[data-item=tool]').first().waitFor();
    await page.focus(conversation);
    await page.keyboard.press('Shift+E');
    assert.deepEqual(await audit(page), [], 'all details');
    await page.keyboard.press('Control+k');
    await page.locator('[data-testid=switcher]').waitFor();
    assert.deepEqual(await audit(page), [], 'the switcher');
    await page.keyboard.press('Escape');
    await page.locator('[data-item=kontask]').first().getByRole('button', { name: /details/i }).click();
    await page.locator('iframe[data-testid=kontask-output]').waitFor();
    assert.deepEqual(await audit(page), [], 'a kontask');
  });
});

// Presses Tab, or Shift+Tab, until the focus is on what is wanted, as somebody without a mouse does.
async function tabTo(page, selector, key = 'Tab') {
  for (let i = 0; i < tabsMax; i++) {
    if (await page.evaluate((s) => document.activeElement?.matches(s) ?? false, selector)) {
      const outline = await page.evaluate(() => {
        const style = getComputedStyle(document.activeElement);
        return style.outlineStyle !== 'none' || style.boxShadow !== 'none';
      });
      assert.ok(outline, `the focus on ${selector} cannot be seen`);
      return;
    }
    await page.keyboard.press(key);
  }
  assert.fail(`${selector} cannot be reached by ${key}; the focus is on ${await page.evaluate(() => document.activeElement?.outerHTML.slice(0, 200))}`);
}

test('with the keyboard alone a session is found, prompted, and its question answered', async (t) => {
  const server = await rig.server(t);
  const { session } = await fillPleasantly(server, { quiet: true });
  const page = await rig.page(t, server.url + '/#/');
  await page.locator(`[data-session="${session}"]`).first().waitFor();
  await page.keyboard.press('Control+k');
  await page.locator('[data-testid=switcher]').waitFor();
  await page.keyboard.type('release');
  await until(async () => /release/i.test(await page.locator('[data-testid=switcher]').innerText()), 'the session being found');
  await page.keyboard.press('Enter');
  await page.locator(conversation).waitFor();
  assert.match(page.url(), new RegExp(session));
  await tabTo(page, '[data-testid=composer]');
  await page.keyboard.type('typed without a mouse');
  await page.keyboard.press('Enter');
  const prompt = async () => (await server.events(session)).find((e) => e.type === 'prompt' && e.data.text === 'typed without a mouse');
  await until(async () => (await prompt()) !== undefined, 'the prompt being in the log');
  const { turn } = await prompt();
  await server.call(`/v1/sessions/${session}/events`, [
    { type: 'turn_start', turn },
    { type: 'text', turn, data: { text: 'May I?' } },
    { type: 'permission_request', turn, data: { requestId: 'q-keys', tool: 'Bash', input: { command: 'make' } } },
  ]);
  await page.locator('[data-request=q-keys] [data-testid=allow]').first().waitFor();
  await tabTo(page, '[data-request=q-keys] [data-testid=allow]', 'Shift+Tab'); // it stands right above the box
  await page.keyboard.press('Enter');
  await until(async () => (await server.events(session)).some((e) => e.type === 'permission_response' && e.data.allow === true && e.data.requestId === 'q-keys'), 'the answer being in the log');
});
