// The page of konlog export --format html under a real browser, opened as a
// file: it must show the whole session, replay it, run nothing that is not its
// own, and ask nobody for anything. A server listens where the session's
// content points to, and must not be asked.

import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

const root = path.resolve(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), '..');
const opensWithin = 15_000; // a page of 50,000 deltas, on a busy machine

let work, binary, browser, url, child, trap, asked;

before(async () => {
  work = await mkdtemp(path.join(tmpdir(), 'konlog-replay-'));
  binary = path.join(work, 'konlog');
  execFileSync('go', ['build', '-o', binary, './cmd/konlog'], { cwd: root, stdio: 'inherit' });
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium-headless-shell',
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
  });
  child = spawn(binary, ['serve', '--addr', '127.0.0.1:0', '--data', path.join(work, 'data')], { stdio: ['ignore', 'pipe', 'ignore'] });
  url = String((await once(child.stdout, 'data'))[0]).trim();
  asked = [];
  trap = createServer((request, answer) => {
    asked.push(request.url);
    answer.end();
  }).listen(0, '127.0.0.1');
  await once(trap, 'listening');
});

after(async () => {
  await browser?.close();
  trap?.close();
  if (child && child.exitCode === null) {
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  }
  await rm(work, { recursive: true, force: true });
});

// Recording makes a session with the times that a test wants.
class Recording {
  constructor(session) {
    Object.assign(this, { session, lines: [], at: Date.parse('2026-11-20T17:00:00Z') });
  }

  add(pause, type, turn, data) {
    this.at += pause;
    const id = this.lines.length + 1;
    this.lines.push(JSON.stringify({ id, session: this.session, type, turn, time: new Date(this.at).toISOString(), data }));
    return this;
  }

  async export() {
    const answer = await fetch(`${url}/v1/sessions/${this.session}/import`, { method: 'POST', headers: { 'Content-Type': 'application/x-ndjson' }, body: this.lines.join('\n') });
    assert.ok(answer.ok, await answer.text());
    const file = path.join(work, this.session + '.html');
    execFileSync(binary, ['export', '--server', url, '--session', this.session, '--format', 'html', '--out', file, '-q']);
    return file;
  }
}

async function openFile(t, file, options = {}, hash = '') {
  const page = await browser.newPage(options);
  t.after(() => page.close());
  const errors = [];
  page.on('pageerror', (err) => errors.push(String(err)));
  page.on('dialog', (d) => {
    errors.push('a dialog: ' + d.message());
    d.dismiss();
  });
  await page.goto(pathToFileURL(file).href + hash);
  await page.waitForSelector('[data-testid=conversation]');
  await settled(page);
  return { page, errors };
}

// settled waits until the page shows the event that it says it is at.
const settled = (page) =>
  page.waitForFunction(() => {
    const at = /event ([\d,]+) of/.exec(document.querySelector('[data-testid=replay-place]').textContent)[1].replaceAll(',', '');
    const log = document.querySelector('[data-testid=conversation]');
    return log.dataset.phase === 'replay' && Number(log.dataset.last) === Number(at) && Number(at) > 0;
  });

const shown = (page) => page.locator('[data-testid=conversation]').innerText();
const lastShown = async (page) => Number(await page.locator('[data-testid=conversation]').getAttribute('data-last'));

async function press(page, key) {
  await page.keyboard.press(key);
  await settled(page);
}

// aSession holds one of all that a person looks for.
function aSession(name) {
  const { port } = trap.address(), there = `http://127.0.0.1:${port}/`;
  const card = `<h3>Draft</h3><p onclick="alert(1)">Ready <b>to go</b>.</p><script>alert(2);parent.document.title='taken'</script><img src="${there}a.png" onerror="alert(3)">` +
    `<link rel="stylesheet" href="${there}b.css"><link rel="preconnect" href="${there}"><style>@import url(${there}c.css);body{background:url(${there}d.png)}</style>` +
    `<meta http-equiv="refresh" content="0;url=${there}e"><a href="${there}f">more</a><iframe src="${there}g"></iframe><form action="${there}h"><button>go</button></form>`;
  return new Recording(name)
    .add(0, 'prompt', 't1', { text: 'First prompt </script><script>alert(4)</script>' })
    .add(100, 'turn_start', 't1', { requestId: 't1' })
    .add(100, 'thinking', 't1', { text: 'A quiet thought.' })
    .add(100, 'text_delta', 't1', { text: 'One ' }).add(500, 'text_delta', 't1', { text: 'two ' }).add(500, 'text_delta', 't1', { text: 'three.' })
    .add(100, 'text', 't1', { text: 'One two three.' })
    .add(100, 'tool_start', 't1', { id: 'x', name: 'Bash', input: { command: 'ls -1' } })
    .add(60_000, 'tool_result', 't1', { id: 'x', output: 'a.txt' })
    .add(100, 'permission_request', 't1', { requestId: 'q', tool: 'Write', input: { file: 'b.txt' } })
    .add(500, 'permission_response', 't1', { requestId: 'q', allow: false, by: 'maria' })
    .add(100, 'x.unknown', 't1', { seen: '<img src=x onerror=alert(5)>' })
    .add(100, 'turn_end', 't1', { requestId: 't1', success: true, reason: 'done' })
    .add(100, 'kontask_ready', undefined, { kontaskId: 'k', status: 'ready', title: 'The card', context: { output: card, choices: [{ label: 'Ship it', value: 'ship' }, { label: 'Wait', value: 'wait' }] } })
    .add(500, 'kontask_chosen', undefined, { kontaskId: 'k', choice: 0, label: 'Ship it', value: 'ship' })
    .add(10, 'prompt', 't2', { text: 'Second prompt' })
    .add(100, 'turn_start', 't2', { requestId: 't2' })
    .add(100, 'error', 't2', { error: 'overloaded' })
    .add(100, 'turn_end', 't2', { requestId: 't2', success: false, reason: 'error' });
}

test('the page shows the whole session at once, and nothing leaves it', async (t) => {
  const file = await aSession('whole').export();
  const { page, errors } = await openFile(t, file);
  const text = await shown(page);
  for (const want of ['First prompt', 'One two three.', 'Bash', 'ls -1', 'Write', 'maria', 'x.unknown', 'Done', 'The card', 'Ship it', 'Second prompt', 'overloaded']) {
    assert.ok(text.includes(want), `${want} is not in:\n${text}`);
  }
  await page.locator('[data-item=tool]').first().locator('[data-fold]').first().click();
  assert.ok((await shown(page)).includes('a.txt'), 'the tool does not open');
  await page.locator('[data-item=kontask]').getByRole('button', { name: /details/i }).click();
  const frame = page.locator('iframe[data-testid=kontask-output]');
  const card = page.frameLocator('iframe[data-testid=kontask-output]');
  await card.getByText('Ready to go').waitFor();
  await card.locator('a').click();
  assert.equal(await frame.getAttribute('sandbox'), '', 'the card may do something');
  assert.equal(await page.title(), 'whole · konlog');
  assert.deepEqual(errors, []);
  assert.deepEqual(asked, [], 'the page asked a server');
  assert.equal(await page.locator('[data-turn-link]').count(), 2);
});

test('it steps through every event, forwards and backwards to the same', async (t) => {
  const { page, errors } = await openFile(t, await aSession('steps').export());
  const whole = await shown(page), last = await lastShown(page);
  await press(page, 'Home');
  const texts = [await shown(page)];
  for (let id = 2; id <= last; id++) {
    await press(page, 'ArrowRight');
    assert.equal(await lastShown(page), id, 'an event is passed over');
    texts.push(await shown(page));
  }
  assert.equal(texts.at(-1), whole, 'stepping to the end gives something else');
  assert.ok(!texts[6].includes('Bash') && !texts[8].includes('Write'), 'what comes later is there early');
  assert.ok(texts[3].includes('One') && !texts[3].includes('two') && texts[4].includes('One two') && !texts[4].includes('three'), 'text does not come as it came');
  for (let id = last - 1; id >= last - 6; id--) {
    await press(page, 'ArrowLeft');
    assert.equal(await shown(page), texts[id - 1], `going back to event ${id} leaves a trace`);
  }
  await press(page, 'Home');
  await press(page, 'Shift+ArrowRight');
  assert.ok((await shown(page)).includes('Second prompt'), 'the next turn is not its prompt');
  await press(page, 'Shift+ArrowLeft');
  assert.equal(await lastShown(page), 1);
  assert.deepEqual(errors, []);
});

test('it plays at its pace, waits no longer than three seconds, and ends whole', async (t) => {
  const { page, errors } = await openFile(t, await aSession('paced').export());
  const whole = await shown(page);
  const total = await page.locator('[data-testid=replay-clock]').innerText();
  assert.match(total, /\/ 0:0[5-7]/, `a minute of waiting is to be cut: ${total}`);
  await page.getByLabel('Skip idle').uncheck();
  assert.match(await page.locator('[data-testid=replay-clock]').innerText(), /\/ 1:0/, 'the waiting is not there when it is asked for');
  await page.getByLabel('Skip idle').check();

  await page.selectOption('[data-testid=speed]', '50');
  // It may be over before anybody looks.
  await page.evaluate(() => {
    const button = document.querySelector('[data-testid=play]');
    window.played = new Promise((done) => new MutationObserver(() => /Pause/.test(button.textContent) && done()).observe(button, { subtree: true, childList: true, characterData: true }));
  });
  await page.click('[data-testid=play]');
  await page.evaluate(() => window.played);
  await page.waitForFunction(() => /Play/.test(document.querySelector('[data-testid=play]').textContent), null, { timeout: 20_000 });
  await settled(page);
  assert.equal(await shown(page), whole);

  await page.selectOption('[data-testid=speed]', '0.5');
  await page.click('[data-testid=play]');
  await page.waitForFunction(() => Number(document.querySelector('[data-testid=conversation]').dataset.last) > 2);
  await page.locator('[data-testid=conversation]').focus();
  await page.keyboard.press(' ');
  await settled(page);
  const paused = await lastShown(page);
  await page.waitForTimeout(500);
  assert.equal(await lastShown(page), paused, 'the space bar does not pause');
  await page.locator('[data-turn-link]').nth(1).click();
  await settled(page);
  assert.ok((await shown(page)).includes('Second prompt'), 'a turn of the list is not shown');
  assert.deepEqual(errors, []);
});

test('a link to an event opens it there', async (t) => {
  const file = await aSession('linked').export();
  const { page } = await openFile(t, file, {}, '#/s/linked?id=5');
  assert.equal(await lastShown(page), 5);
  const bar = page.locator('[data-testid=scrubber]');
  assert.match(await bar.getAttribute('aria-valuetext'), /^event 5, text_delta, 0:0\d of 0:0\d$/);
  const box = await bar.boundingBox();
  await page.mouse.click(box.x + box.width - 1, box.y + box.height / 2);
  await settled(page);
  assert.equal(await lastShown(page), 19, 'the end of the bar is not the end of the recording');
});

test('it fits a phone and a desk, light and dark', async (t) => {
  const file = await aSession('sizes').export();
  for (const [width, height, colorScheme] of [[390, 844, 'dark'], [1280, 800, 'light']]) {
    const { page } = await openFile(t, file, { viewport: { width, height }, colorScheme });
    const wide = await page.evaluate(() => [document.documentElement.scrollWidth, document.querySelector('[data-testid=conversation]').scrollWidth - document.querySelector('[data-testid=conversation]').clientWidth]);
    assert.deepEqual(wide, [width, 0], `at ${width} px something is wider than the page`);
    for (const id of ['play', 'scrubber', 'speed', 'replay-clock']) {
      const box = await page.locator(`[data-testid=${id}]`).boundingBox();
      assert.ok(box && box.x >= 0 && box.x + box.width <= width && box.y + box.height <= height, `${id} is out of sight at ${width} px`);
    }
  }
});

test('50,000 deltas open fast', async (t) => {
  const r = new Recording('huge').add(0, 'prompt', 't', { text: 'Write.' }).add(10, 'turn_start', 't', { requestId: 't' });
  for (let n = 0; n < 50_000; n++) r.add(20, 'text_delta', 't', { text: `word${n} `, block: 'b' + Math.floor(n / 500) });
  r.add(20, 'turn_end', 't', { requestId: 't', success: true, reason: 'done' });
  const file = await r.export();
  const began = Date.now();
  const { page } = await openFile(t, file);
  assert.ok((await shown(page)).includes('word49999'), 'the last word is not there');
  const took = Date.now() - began;
  assert.ok(took < opensWithin, `it took ${took} ms`);
  const box = await page.locator('[data-testid=scrubber]').boundingBox();
  await page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
  await settled(page);
  const half = await shown(page), at = await lastShown(page);
  assert.ok(at > 24_000 && at < 26_000, `the middle of the bar is event ${at}`);
  // Event n holds word n - 3.
  assert.ok(half.includes(`word${at - 3}`) && !half.includes(`word${at - 2}`), 'what is shown is not what had come by then');
  t.diagnostic(`opened in ${took} ms, ${(await stat(file)).size} bytes`);
});
