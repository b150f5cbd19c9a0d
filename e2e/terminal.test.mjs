// A terminal in the console: a real shell behind the real server, in a real browser.

import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { at, until, useRig } from './rig.mjs';

const rig = useRig();
const on = ['--shell-realtime', '--shell-command', '/bin/sh'];

/** What the screen shows, without the blanks behind its lines. */
const screen = (page) => page.evaluate(() => [...document.querySelectorAll('.xterm-rows > div')].map((row) => row.textContent.trimEnd()).join('\n'));
const shows = (page, text) => until(async () => (await screen(page)).includes(text) || screen(page), `the screen showing ${text}`);
const phase = (page, name) => page.waitForSelector(`[data-testid=terminal][data-phase=${name}]`);
/** It is drawn as live a frame before it takes keys. */
const ready = async (page) => {
  await phase(page, 'live');
  await page.waitForFunction(() => document.activeElement?.matches('.xterm-helper-textarea'));
};

async function openTerminal(page, server) {
  await page.goto(server.url + '/');
  await page.getByRole('button', { name: 'New session' }).first().click();
  await page.locator('[data-testid=open-terminal]').click();
  await ready(page);
  return decodeURIComponent(new URL(page.url()).hash.replace('#/s/', ''));
}

describe('a terminal', { concurrency: 2 }, () => {
  test('takes what is typed, survives a reload and a server that is away, and is seen on a second device', async (t) => {
    const server = await rig.server(t, ...on);
    const device = await rig.device(t);
    const page = await device.context.newPage();
    const session = await openTerminal(page, server);
    await page.keyboard.type('echo sum $((40+2)); printf "\\033[38;2;255;100;0mcoloured\\033[0m\\n"\n');
    await shows(page, 'sum 42');
    await shows(page, '\ncoloured');
    const colour = await page.evaluate(() => getComputedStyle([...document.querySelectorAll('.xterm-rows span')].findLast((s) => s.textContent === 'coloured')).color);
    assert.equal(colour, 'rgb(255, 100, 0)', 'true colours are drawn');

    await page.reload();
    await phase(page, 'live');
    await shows(page, 'sum 42');
    const other = await rig.device(t, { viewport: { width: 390, height: 700 } });
    const phone = await other.open(at(server.url, session));
    await shows(phone, 'sum 42');
    await ready(phone);
    await phone.keyboard.type('echo from the phone\n');
    await shows(page, '\nfrom the phone');

    await page.keyboard.type('exit 3\n');
    await phase(page, 'over');
    await phase(phone, 'over');
    assert.match(await phone.locator('.terminal-foot').innerText(), /exit code 3/);
    const events = await server.events(session);
    assert.equal(events.filter((e) => e.type === 'terminal_exit').length, 1);
    device.check('the page');
    other.check('the phone');
  });

  test('that has ended is started again, and a phone has the keys that its keyboard lacks', async (t) => {
    const server = await rig.server(t, ...on);
    const device = await rig.device(t, { viewport: { width: 390, height: 700 }, hasTouch: true, isMobile: true });
    const page = await device.context.newPage();
    const session = await openTerminal(page, server);
    await page.keyboard.type('trap "echo int\'\'errupted" INT; echo waiting; sleep 600\n');
    await shows(page, '\nwaiting');
    await page.getByRole('button', { name: 'Control' }).tap();
    await page.waitForSelector('.terminal-key[aria-pressed=true]');
    await page.keyboard.type('c');
    await shows(page, 'interrupted'); // which is not how it was typed
    await page.waitForSelector('.terminal-key[aria-pressed=false]');
    await page.getByRole('button', { name: 'Arrow up' }).tap();
    await shows(page, '^[[A');
    await page.getByRole('button', { name: 'Control' }).tap();
    await page.waitForSelector('.terminal-key[aria-pressed=true]');
    await page.keyboard.type('u'); // takes the line away
    await page.keyboard.type('exit\n');
    await phase(page, 'over');
    await page.getByRole('button', { name: 'Start it again' }).tap();
    await ready(page);
    await page.keyboard.type('echo second $((1+1))\n');
    await shows(page, 'second 2');
    await page.reload();
    await phase(page, 'live');
    await shows(page, 'second 2');
    assert.doesNotMatch(await screen(page), /waiting/, 'nothing of the first program is left');
    const events = await server.events(session);
    assert.deepEqual(events.filter((e) => e.type === 'terminal_start').map((e) => e.data.command), [['/bin/sh'], ['/bin/sh']]);
    device.check('the page');
  });

  test('that its server took with it says so', async (t) => {
    const server = await rig.server(t, ...on);
    const device = await rig.device(t);
    const page = await device.context.newPage();
    await openTerminal(page, server);
    await page.keyboard.type('echo before\n');
    await shows(page, '\nbefore');
    await server.crash();
    await phase(page, 'over');
    assert.match(await page.locator('.terminal-foot').innerText(), /The server ended/);
    await shows(page, '\nbefore');
    device.check('the page');
  });

  test('is not offered where it is off, and its session says why it is not shown', async (t) => {
    const server = await rig.server(t);
    await server.call('/v1/sessions/old', { tags: ['shell'], title: 'An old terminal' }, 'PUT');
    await server.call('/v1/sessions/old/events', [
      { type: 'terminal_start', data: { cols: 80, rows: 24 } },
      { type: 'terminal_output', data: { bytes: btoa('old words') } },
    ]);
    const device = await rig.device(t);
    const page = await device.open(server.url + '/');
    await page.getByRole('button', { name: 'New session' }).first().click();
    await page.waitForSelector('[data-testid=open-terminal][disabled]');
    await page.getByText('ENABLE_SHELL_REALTIME=true switches them on').waitFor();
    await page.goto(at(server.url, 'old'));
    await page.reload();
    await page.getByText('Terminals are switched off on this server').waitFor();
    await page.keyboard.type('echo nobody\n');
    assert.equal((await server.events('old')).length, 2, 'nothing was typed');
    device.check('the page');
  });
});
