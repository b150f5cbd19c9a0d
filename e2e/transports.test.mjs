// The console behind networks that do not let everything through: it goes down
// from WebSocket to event stream to polling, says so once, shows the same
// conversation, and climbs again when it can.

import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { at, until, useRig } from './rig.mjs';
import { level } from './oracle.mjs';
import { setStage } from './stage.mjs';

const rig = useRig();

/** Tests at a time: they wait more than they work. */
const concurrency = 2;
/** Milliseconds in which a page has found what works: two silences in a row and the back-off between. */
const settledWithin = 40_000;

/** What the badge says: the transport when it is live, else that it is not. */
const transport = (page) =>
  page.evaluate(() => {
    const badge = document.querySelector('[data-testid=transport]');
    return badge?.dataset.phase === 'live' ? badge.dataset.transport : `${badge?.dataset.transport} ${badge?.dataset.phase}`;
  });

const carriedBy = (page, name) => until(async () => (await transport(page)) === name || transport(page), `the badge saying ${name}`, settledWithin);

/** Puts a network in the way and reloads the page behind it. */
async function behind(stage, network) {
  Object.assign(stage.proxy, network);
  await stage.subject.reload();
}

const networks = [
  { name: 'WebSockets refused', network: { ws: 'refuse' }, to: 'sse', says: /refused|blocked|not allowed|WebSocket/i },
  { name: 'WebSocket upgrades that are never answered', network: { ws: 'hang' }, to: 'sse', says: /nothing comes through/i },
  { name: 'event streams refused', network: { sse: 'refuse' }, to: 'ws' },
  { name: 'event streams held back', network: { sse: 'buffer' }, to: 'ws' },
  { name: 'WebSockets and event streams refused', network: { ws: 'refuse', sse: 'refuse' }, to: 'poll', says: /./ },
  { name: 'WebSockets refused and event streams that never begin', network: { ws: 'refuse', sse: 'hang' }, to: 'poll', says: /./ },
  { name: 'WebSockets refused and event streams buffered', network: { ws: 'refuse', sse: 'buffer' }, to: 'poll', says: /./ },
];

describe('a network with', { concurrency }, () => {
  for (const { name, network, to, says } of networks) {
    test(`${name} gets the same conversation over ${to}`, async (t) => {
      const stage = await setStage(t, rig, { turns: 2, rate: 100 });
      await behind(stage, network);
      stage.begin();
      if (says) {
        const banner = stage.subject.locator('[data-testid=downgrade]');
        await banner.waitFor({ timeout: settledWithin });
        assert.match(await banner.innerText(), says, 'the reason');
        assert.equal(await banner.getAttribute('role'), 'status', 'a screen reader hears of it');
      }
      await carriedBy(stage.subject, to);
      await stage.finish(t);
      assert.equal(await transport(stage.subject), to, 'and stays with it');
      if (!says) assert.equal(await stage.subject.locator('[data-testid=downgrade]').count(), 0, 'no banner without a reason');
    });
  }

  test('carriers that are taken away in mid-turn, one by one, gets the same conversation', async (t) => {
    const stage = await setStage(t, rig, { turns: 3, rate: 60 });
    const { subject, proxy } = stage;
    const producer = stage.begin();
    await producer.part(0.1);
    await carriedBy(subject, 'ws');
    proxy.ws = 'refuse';
    proxy.cut();
    await carriedBy(subject, 'sse');
    proxy.sse = 'refuse';
    proxy.cut();
    await carriedBy(subject, 'poll');
    assert.ok(producer.sent < producer.total, 'the turn went on meanwhile');
    await stage.finish(t);
  });

  test('WebSockets again after a while gets them, and the badge says so', async (t) => {
    const stage = await setStage(t, rig, { turns: 2, rate: 60 });
    const { subject, proxy } = stage;
    await behind(stage, { ws: 'refuse' });
    const producer = stage.begin();
    await carriedBy(subject, 'sse');
    await producer.part(0.3);
    proxy.heal();
    await subject.evaluate(() => dispatchEvent(new Event('online'))); // another network: the platform says so
    await carriedBy(subject, 'ws');
    await subject.waitForSelector('[data-testid=downgrade]', { state: 'detached' });
    await stage.finish(t);
  });

  test('WebSockets again climbs by itself, without a word of the platform', async (t) => {
    const stage = await setStage(t, rig, { turns: 1 });
    const { device, proxy, server, session } = stage;
    await stage.subject.close();
    stage.subject = await device.context.newPage();
    await stage.subject.clock.install();
    Object.assign(proxy, { ws: 'refuse' });
    await stage.subject.goto(at(proxy.url, session));
    await carriedBy(stage.subject, 'sse');
    proxy.heal();
    const before = proxy.seen.ws;
    // The clock jumps over the wait, not over the attempt: that one has the time it takes.
    for (let minutes = 0; minutes < 5 && (await transport(stage.subject)) !== 'ws'; minutes++) {
      await stage.subject.clock.runFor(61_000);
      await carriedBy(stage.subject, 'ws').catch(() => {});
    }
    await carriedBy(stage.subject, 'ws');
    assert.ok(proxy.seen.ws > before);
    stage.begin();
    await stage.finish(t);
  });

  test('one single failure does not take the WebSocket away', async (t) => {
    const stage = await setStage(t, rig, { turns: 1, rate: 60 });
    const { subject, proxy } = stage;
    const producer = stage.begin();
    await carriedBy(subject, 'ws');
    for (const share of [0.2, 0.4, 0.6, 0.8]) {
      await producer.part(share);
      proxy.ws = 'drop';
      proxy.cut();
      await until(async () => (proxy.ws === 'pass' && proxy.open.ws === 1) || `next upgrade: ${proxy.ws}, open: ${JSON.stringify(proxy.open)}`, 'the WebSocket being there again');
      await carriedBy(subject, 'ws'); // two in a row before that would count
    }
    await stage.finish(t);
    assert.equal(await transport(subject), 'ws');
    assert.equal(proxy.seen.sse + proxy.seen.poll, 0, 'nothing else was tried');
  });

  test('WebSockets refused is remembered: the next page does not wait for them', async (t) => {
    const stage = await setStage(t, rig, { turns: 1 });
    await behind(stage, { ws: 'hang' });
    await carriedBy(stage.subject, 'sse');
    const before = stage.proxy.seen.ws;
    await stage.subject.reload();
    await carriedBy(stage.subject, 'sse');
    await level(stage.subject, stage.server, stage.session);
    assert.equal(stage.proxy.seen.ws, before, 'the page tried the WebSocket again before it was level');
    stage.begin();
    await stage.finish(t);
  });
});
