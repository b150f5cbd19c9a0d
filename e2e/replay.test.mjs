// The page of konlog export --format html under a real browser, opened as a
// file: it must show the whole session, replay it, run nothing that is not its
// own, and ask nobody for anything. A server listens where the session's
// content points to, and must not be asked.

import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

const root = path.resolve(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), '..');
const opensWithin = 5_000; // a page of 50,000 deltas, on a busy machine

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

async function openFile(t, file, options = {}) {
  const page = await browser.newPage(options);
  t.after(() => page.close());
  const errors = [];
  page.on('pageerror', (err) => errors.push(String(err)));
  page.on('dialog', (d) => {
    errors.push('a dialog: ' + d.message());
    d.dismiss();
  });
  await page.goto(pathToFileURL(file).href);
  await page.addStyleTag({ content: 'section { content-visibility: visible !important }' }); // innerText leaves out what is not drawn
  return { page, errors };
}

const shown = (page) => page.locator('#scene').innerText();

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
  const { page, errors } = await openFile(t, await aSession('whole').export());
  const text = await shown(page);
  for (const want of ['First prompt </script>', 'Thinking', 'One two three.', 'Bash', 'ls -1', 'a.txt', '✗ denied by maria', 'x.unknown', '✓ done', 'The card', '✓ Ship it', 'Wait', 'Second prompt', 'overloaded', '✗ error']) {
    assert.ok(text.includes(want), `${want} is not in:\n${text}`);
  }
  assert.ok(!text.includes('A quiet thought.'), 'thinking is open');
  await page.locator('details.tool').first().click();
  assert.ok((await shown(page)).includes('"command": "ls -1"'), 'the tool does not open');
  const card = page.frameLocator('iframe.output');
  await card.last().getByText('Ready to go').waitFor();
  await card.last().locator('a').click();
  assert.equal(await page.locator('iframe.output').last().getAttribute('sandbox'), '', 'the card may do something');
  assert.equal(await page.title(), 'whole · konlog');
  assert.deepEqual(errors, []);
  assert.deepEqual(asked, [], 'the page asked a server');
  assert.equal(await page.locator('#turns button').count(), 2);
});

test('it replays text as it came, waits no longer than three seconds, and ends as it began', async (t) => {
  const { page, errors } = await openFile(t, await aSession('paced').export());
  const whole = await shown(page);
  const total = await page.evaluate('total');
  assert.ok(total > 3000 && total < 8000, `the replay takes ${total} ms`);
  const texts = [];
  await page.keyboard.press('Home');
  assert.equal((await shown(page)).trim(), '', 'something is there before the beginning');
  for (let i = 0; i < 40; i++) {
    await page.keyboard.press('ArrowRight');
    texts.push(await shown(page));
  }
  assert.equal(texts.at(-1), whole, 'stepping to the end gives something else');
  assert.ok(!texts[1].includes('Bash') && !texts[2].includes('a.txt'), 'what comes later is there early');
  for (const [ms, want] of [[299, ''], [300, 'One'], [799, 'One'], [800, 'One two'], [1300, 'One two three.'], [900, 'One two']]) {
    await page.evaluate((ms) => go(before(clock, ms), ms), ms);
    assert.equal(await page.evaluate(() => (document.querySelector('.text').hidden ? '' : document.querySelector('.text').textContent)), want, `at ${ms} ms`);
  }
  await page.keyboard.press('End');
  assert.equal(await shown(page), whole, 'going back and forth leaves a trace');

  await page.selectOption('#speed', '0');
  await page.click('#play');
  await page.waitForFunction(() => cursor === end && !playing, null, { timeout: 20_000 });
  assert.equal(await shown(page), whole);
  await page.selectOption('#speed', '16');
  await page.click('#play');
  await page.waitForFunction(() => playing && at > 500 && cursor < end);
  await page.keyboard.press('Escape');
  await page.locator('#log').focus();
  await page.keyboard.press(' ');
  assert.equal(await page.evaluate('playing'), 0, 'the space bar does not pause');
  await page.locator('#turns button').nth(1).click();
  assert.ok((await shown(page)).includes('Second prompt'), 'a turn of the list is not shown');
  assert.deepEqual(errors, []);
});

test('it fits a phone and a desk, light and dark', async (t) => {
  const file = await aSession('sizes').export();
  for (const [width, height, colorScheme] of [[390, 844, 'dark'], [1280, 800, 'light']]) {
    const { page } = await openFile(t, file, { viewport: { width, height }, colorScheme });
    const wide = await page.evaluate(() => [document.documentElement.scrollWidth, document.querySelector('#log').scrollWidth - document.querySelector('#log').clientWidth]);
    assert.deepEqual(wide, [width, 0], `at ${width} px something is wider than the page`);
    for (const id of ['play', 'back', 'step', 'bar', 'speed']) {
      const box = await page.locator('#' + id).boundingBox();
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
  await page.evaluate(() => go(before(clock, total / 2), total / 2));
  const half = await shown(page);
  assert.ok(half.includes('word24000 ') && !half.includes('word26000 '), 'the middle of the replay is not half of the text');
  t.diagnostic(`opened in ${took} ms`);
});
