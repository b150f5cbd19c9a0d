// What a page shows, and whether it is what it should be. Two measures that do
// not know of each other: the conversation of an undisturbed reader, text for
// text; and the marks of the script, by the log itself.

import assert from 'node:assert/strict';
import { levelWithin, until } from './rig.mjs';
import { Script } from './script.mjs';

/** The conversation of the console. */
export const conversation = '[data-testid=conversation]';

/** Where the conversation of a page is: its phase and the last event that it has. */
export function place(page) {
  return page.evaluate((selector) => {
    const log = document.querySelector(selector);
    return log ? { phase: log.dataset.phase, last: Number(log.dataset.last) } : { phase: 'no conversation', last: 0 };
  }, conversation);
}

/** Waits until the page shows the session up to its head. */
export async function level(page, server, session, within = levelWithin) {
  const { head } = await server.call(`/v1/sessions/${session}`);
  await until(
    async () => {
      const is = await place(page);
      return (is.phase === 'live' && is.last >= head) || { ...is, head };
    },
    `the page being level with ${session}`,
    within,
  );
}

/** Opens every card and thought, as Shift+E does for a person: what is closed is not in the document. */
export async function openDetails(page) {
  await page.waitForSelector(`${conversation}[data-last]:not([data-last="0"])`); // and not the place that is kept for it
  await until(
    () =>
      page.evaluate((selector) => {
        const log = document.querySelector(selector);
        const closed = [...log.querySelectorAll('[data-fold][aria-expanded=false]')];
        if (closed.length === 0) return true;
        log.dispatchEvent(new KeyboardEvent('keydown', { key: 'E', bubbles: true }));
        return `${closed.length} are closed`;
      }, conversation),
    'all details being open',
  );
}

/**
 * What the page shows of the whole session: [{turn, kind, depth, text}], items and the heads of turns. A bounded part of it is in the
 * document, so this goes back as a person does, by scrolling up and asking for what is earlier. What the clock says is left out, and so
 * are ids: a reader whose replay was folded has not seen the first delta of a block that a whole one supersedes.
 */
export async function readAll(page) {
  await openDetails(page);
  // Twice: with the page that has its beginning a block may get another first event, and so another row.
  for (const time of ['first', 'second']) {
    const end = page.locator('[data-testid=to-end]');
    if (await end.count()) await end.click({ timeout: 2000 }).catch(() => {}); // it may go by itself
    await page.evaluate(installReader);
    await until(() => page.evaluate((selector) => window.readRows(document.querySelector(selector)), conversation), `the beginning of the conversation, for the ${time} time`);
  }
  return page.evaluate(() => window.rowsRead.flatMap(([, items]) => items));
}

// Runs in the page. readRows takes what is in the document and goes up; it is true at the beginning.
function installReader() {
  const inline = /^(SPAN|CODE|EM|STRONG|A|B|I|DEL)$/;
  const textOf = (element) => {
    const copy = element.cloneNode(true);
    // Nested items are told by themselves; what the clock changes is no text of the log.
    for (const out of copy.querySelectorAll('[data-volatile], [data-item], script, style')) out.remove();
    const walker = document.createTreeWalker(copy, NodeFilter.SHOW_TEXT);
    let text = '';
    while (walker.nextNode()) text += walker.currentNode.data + (inline.test(walker.currentNode.parentNode.nodeName) ? '' : ' ');
    return text.replace(/\s+/g, ' ').trim();
  };
  const depthOf = (element) => {
    const parent = element.parentElement.closest('[data-item]');
    return parent ? 1 + depthOf(parent) : 0;
  };
  const itemsOf = (row) => {
    const turn = row.closest('[data-section]')?.dataset.turn ?? '';
    const head = textOf(row);
    const items = [...row.querySelectorAll('[data-item]')].filter((e) => !e.closest('[data-volatile]'));
    return [...(head ? [{ turn, kind: 'head', depth: 0, text: head }] : []), ...items.map((e) => ({ turn, kind: e.dataset.item, depth: depthOf(e), text: textOf(e) }))];
  };
  window.rowsRead = [];
  window.readRows = async (log) => {
    const rows = [...log.querySelectorAll('[data-key]')].map((row) => [row.dataset.key, itemsOf(row)]);
    const known = new Set(window.rowsRead.map(([key]) => key));
    const fresh = rows.filter(([key]) => !known.has(key));
    if (window.rowsRead.length && fresh.length && rows.length === fresh.length) throw new Error('the rows do not hang together: the window jumped');
    window.rowsRead.unshift(...fresh);
    if (fresh.length === 0 && log.scrollTop === 0 && !document.querySelector('[data-testid=earlier]')) return true;
    document.querySelector('[data-testid=earlier]')?.click();
    log.scrollTop = 0;
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    return `${window.rowsRead.length} rows, ${log.scrollTop} pixels from the top`;
  };
}

/** Fails with the first item that differs: a whole conversation as a message helps nobody. */
export function assertSame(got, want, who) {
  for (let i = 0; i < Math.max(got.length, want.length); i++) {
    const [is, should] = [got[i], want[i]].map((item) => (item ? `${item.turn} ${item.kind} ${item.depth}: ${item.text}` : 'nothing'));
    if (is !== should) assert.fail(`${who}: item ${i} of ${got.length} is not that of the undisturbed reader (${want.length} items)\n${difference(is, should)}`);
  }
  assert.ok(want.length > 0, `${who}: the undisturbed reader shows nothing`);
}

// The place where two texts part, with what is around it.
function difference(got, want) {
  let at = 0;
  while (at < got.length && got[at] === want[at]) at++;
  const cut = (text) => `${text.slice(0, 40)} … ${text.slice(Math.max(0, at - 80), at)}>>>${text.slice(at, at + 160)}`;
  return ` got ${cut(got)}\nwant ${cut(want)}`;
}

/** Each mark that the log's turns say stands in the page once, in order. */
export function assertMarks(items, events, who) {
  const turns = [...new Set(events.map((e) => e.turn).filter(Boolean))];
  let marks = 0;
  for (const turn of turns) {
    const want = Script.marks(events, turn);
    const text = items.filter((i) => i.kind === 'text' && i.turn === turn && i.depth === 0).map((i) => i.text);
    const got = text.join(' ').match(/m\d+x\d+/g) ?? [];
    const missing = want.filter((m) => !got.includes(m));
    const double = got.filter((m, i) => got.indexOf(m) !== i);
    assert.deepEqual({ missing, double }, { missing: [], double: [] }, `${who}: words of turn ${turn}`);
    assert.deepEqual(got, want, `${who}: the order of turn ${turn}`);
    marks += want.length;
  }
  return marks;
}

// Letters, and digits that are parts of words: what Markdown makes of the rest, numbers of lists too, is not the server's business.
const bare = (text) => text.replace(/(?<![\p{L}\p{N}])\d+(?![\p{L}\p{N}])/gu, '').replace(/[^\p{L}\p{N}]+/gu, '');

/** The texts of the turns as the server has them (GET …/turns/t) are those of the page. */
export async function assertTurns(items, server, session, who) {
  const { turns } = await server.call(`/v1/sessions/${session}/turns?limit=500`);
  for (const { turn } of turns) {
    const { text = '' } = await server.call(`/v1/sessions/${session}/turns/${turn}`);
    const got = items.filter((i) => i.kind === 'text' && i.turn === turn && i.depth === 0).map((i) => i.text).join(' ');
    if (bare(got) !== bare(text)) assert.fail(`${who}: the text of turn ${turn}\n${difference(bare(got), bare(text))}`);
  }
}

/** The whole measure: level, complete, the same as the reference, each word once. */
export async function assertConversation(page, { server, session, events, reference, who }) {
  await level(page, server, session);
  const items = await readAll(page);
  assertMarks(items, events, who);
  if (reference) assertSame(items, reference, who);
  return items;
}
