// The speed that was promised, with mercy for a machine that does other things:
// the best of three counts. perf.mjs prints the figures.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import { fillList, fillLong, firstPaint, listOfMany, longList, longSession, rate, scrollSeconds, scrollUnderLoad } from './perf.mjs';
import { at, useRig } from './rig.mjs';

const rig = useRig();

/** Milliseconds. */
const paintMax = 1000;
const taskMax = 100;
/** Rows of the list and items of a conversation that may be in the document. */
const rowsMax = 400;

/** Tries up to three times; gives the first that is good, else the last. */
async function bestOfThree(t, measure, good) {
  for (let i = 0; ; i++) {
    const figures = await measure();
    t.diagnostic(JSON.stringify(figures));
    if (good(figures) || i === 2) return figures;
  }
}

test(`a session of ${longSession} events is painted within ${paintMax} ms`, async (t) => {
  const server = await rig.server(t);
  const head = await fillLong(server, 'long', longSession);
  assert.ok(head >= longSession);
  const paint = await bestOfThree(t, () => firstPaint(rig.browser, at(server.url, 'long'), 'These are the last words.', 3), (p) => p.median <= paintMax);
  assert.ok(paint.median <= paintMax, `painted after ${paint.median} ms (${paint.all})`);

  await t.test(`scrolling it has no task over ${taskMax} ms while ${rate} events arrive a second`, async (t) => {
    const scroll = await bestOfThree(t, () => scrollUnderLoad(rig.browser, server, 'long'), (s) => s.longest <= taskMax);
    assert.ok(scroll.events >= scrollSeconds * rate, `only ${scroll.events} events came`);
    assert.ok(scroll.back > 1000, `only ${scroll.back} older events were shown`);
    assert.ok(scroll.rows <= rowsMax, `${scroll.rows} items in the document`);
    assert.ok(scroll.longest <= taskMax, `a task of ${scroll.longest} ms`);
  });
});

test(`a list of ${longList} sessions is there within ${paintMax} ms, scrolls and is searched`, async (t) => {
  const server = await rig.server(t);
  await fillList(server, longList);
  const list = await bestOfThree(t, () => listOfMany(rig.browser, server), (l) => l.shown <= paintMax && l.found <= paintMax);
  assert.ok(list.shown <= paintMax, `the first row after ${list.shown} ms`);
  assert.ok(list.found <= paintMax, `found after ${list.found} ms`);
  assert.ok(list.rows <= rowsMax, `${list.rows} rows in the document`);
});
