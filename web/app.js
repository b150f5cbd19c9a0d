'use strict';
// A reader holds nothing but a cursor, so this page keeps the last id and rows
// to look at, and leaves the rest to EventSource.
const LIST_MS = 3000, RETRY_MS = 3000, ABSENT_MS = 6000, TAIL = 1000, ROWS_MAX = 500, PAGES_MAX = 10, GROUP_MAX = 200, TEXT_MAX = 100000, LINE_MAX = 300;
const $ = (id) => document.getElementById(id);
const log = $('log');
let source = null, session = '', lastId = 0, heard = 0, silenceMs = 30000, timer = 0, turnState = '', stuck = true, floor = 1, live = null, caughtUp = false;
const earlier = { first: 0, pages: 0 };

function el(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

let asked = 0;
async function list() {
  if (document.hidden) return;
  const q = $('find').value.trim(), mine = ++asked;
  try {
    const answer = await fetch('/v1/sessions?limit=200' + (q && '&q=' + encodeURIComponent(q)));
    if (!answer.ok) throw new Error(answer.status);
    const { sessions, next } = await answer.json();
    if (mine !== asked) return; // a later question is on its way
    $('trouble').hidden = true;
    $('count').textContent = sessions.length + (next ? '+' : '') + (sessions.length === 1 ? ' session' : ' sessions');
    const none = !sessions.length && !q;
    document.body.classList.toggle('bare', none && !session);
    if (!session) {
      $('emptyTitle').textContent = none ? 'Nothing here yet' : 'No session is open';
      $('emptyText').textContent = none ? 'Append the first event, from any shell:' : 'Choose one from the list, or append an event to a new one:';
    }
    $('sessions').replaceChildren(...sessions.map((s) => {
      const a = el('a'), n = s.head - s.floor + 1, detail = `${n} event${n === 1 ? '' : 's'} · ${s.state} · ${ago(s.updatedAt)}`;
      a.href = '#' + encodeURIComponent(s.id);
      if (s.id === session) a.setAttribute('aria-current', 'page');
      a.append(el('b', '', s.title || s.id), el('span', 'dim', detail));
      return a;
    }));
    if (q && !sessions.length) $('sessions').append(el('p', 'dim', 'No session matches.'));
  } catch {
    $('trouble').hidden = false;
    $('trouble').textContent = 'The server does not answer. Trying again …';
  }
}

function ago(time) {
  const s = Math.max(0, (Date.now() - Date.parse(time)) / 1000);
  if (s < 60) return 'just now';
  if (s < 3600) return Math.floor(s / 60) + ' min ago';
  return s < 86400 ? Math.floor(s / 3600) + ' h ago' : new Date(time).toLocaleDateString();
}

function open() {
  if (source) source.close();
  clearTimeout(timer);
  source = null;
  try { session = decodeURIComponent(location.hash.slice(1)); } catch { session = ''; }
  lastId = 0; turnState = ''; caughtUp = false;
  clear();
  document.body.classList.toggle('open', !!session);
  document.title = session ? session + ' · konlog' : 'konlog';
  $('bar').hidden = !session;
  present(!!session);
  if (!session) howto('demo');
  $('title').textContent = session;
  $('end').hidden = true;
  if (session) connect();
  list();
}

function connect() {
  const from = lastId ? 'after=' + lastId : 'tail=' + TAIL;
  show('connecting');
  heard = Date.now();
  const es = source = new EventSource(`/v1/sessions/${encodeURIComponent(session)}/sse?${from}`);
  const on = (name, f) => es.addEventListener(name, (e) => { heard = Date.now(); if (es === source) f(e.data ? JSON.parse(e.data) : null, e); });
  on('open', () => show('live'));
  on('message', (event) => {
    lastId = event.id;
    // What it takes back may be on the page: it is drawn anew, from a log that does not say it any more.
    if (event.type === 'redacted' && caughtUp) return open();
    live.show(event);
    about();
  });
  on('caught_up', () => { caughtUp = true; });
  on('hello', (f) => { silenceMs = 3 * f.heartbeatMs; turnState = f.status.state; floor = f.floor; if (!lastId) offer(f.after + 1, floor); about(); });
  on('status', (f) => { turnState = f.state; about(); });
  on('ping', () => {});
  on('gap', (f) => { lastId = f.to; note(gone(f)); });
  on('reset', () => { lastId = 0; clear(); note('The history of this session was replaced.'); });
  es.addEventListener('error', (e) => {
    if (es !== source || e.data) return; // data: an agent's event by that name, not a broken connection
    if (es.readyState === EventSource.CLOSED) return closed();
    show('reconnecting');
  });
}

function gone({ from, to, reason }) {
  const what = from === to ? `Event ${from} ` : `Events ${from} to ${to} `;
  return what + (from === to ? 'was ' : 'were ') + (reason === 'redacted' ? 'redacted.' : 'removed by retention.');
}

// closed: the answer was no stream. Whether there is a session says why.
async function closed() {
  const of = session, es = source;
  try {
    const { status } = await fetch('/v1/sessions/' + encodeURIComponent(of));
    if (of !== session || es !== source) return;
    if (status === 404 || status === 400) {
      absent(status === 404 ? `There is no session ${of}` : `${of} cannot be the name of a session`, status === 404 ? of : 'demo');
      timer = setTimeout(closed, ABSENT_MS);
      return;
    }
    if (status !== 200 || !log.hidden) throw new Error(status);
    present(true);
    connect();
  } catch {
    if (of === session && es === source) again('not available, trying again');
  }
}

function absent(title, name) {
  source.close();
  clear();
  lastId = 0;
  present(false);
  show('waiting');
  $('about').textContent = '';
  $('emptyTitle').textContent = title;
  $('emptyText').textContent = 'Append an event, which makes it, and it is shown here:';
  howto(name);
}

function present(yes) { log.hidden = !yes; $('empty').hidden = yes; }

function howto(name) { $('howto').textContent = `curl ${location.origin}/v1/sessions/${name}/events \\\n  -d '{"type":"text","data":{"text":"Hello"}}'`; }

function again(why) {
  source.close();
  show(why);
  clearTimeout(timer);
  timer = setTimeout(connect, RETRY_MS);
}

function show(state) {
  $('state').textContent = state;
  $('state').classList.toggle('live', state === 'live');
}

function about() { $('about').textContent = `last id ${lastId}` + (turnState ? ` · ${turnState}` : ''); }

function clear() {
  live = new Rows($('rows'), ROWS_MAX);
  for (const page of log.querySelectorAll('.page')) page.remove();
  earlier.pages = 0;
  offer(0, 0);
  stuck = true;
  about();
}

// Rows shows events in one element. Text runs on as text, a tool call is a row
// that its arguments grow in, and bookkeeping between them shares one row.
const SHOW = { text: 'text', thinking: 'text', prompt: 'prompt', tool: 'call', result: 'result', end: 'end', row: 'other' };
class Rows {
  constructor(root, max) {
    Object.assign(this, { root, max, block: null, recent: {}, group: null, tools: new Map(), tool: null, prompted: '' });
    root.replaceChildren();
  }

  show(event) { for (const piece of pieces(event)) this[SHOW[piece.is]](piece, event); }

  text(p, event) {
    const key = [p.is, p.key, event.turn].join(' '), was = this.recent[p.is];
    if (p.whole && was && was.node.isConnected && (was === this.block && was.key === key || p.text.includes(was.node.data))) this.block = was;
    else if (!this.block || this.block.key !== key) {
      if (!p.text) return;
      this.block = this.recent[p.is] = { key, node: this.add(el('div', 'text ' + p.is, ''), event).appendChild(new Text()) };
    }
    const { node } = this.block;
    if (p.whole) node.data = p.text; // the whole block supersedes its deltas
    else node.appendData(p.text);
    if (node.length > TEXT_MAX) node.deleteData(0, node.length - TEXT_MAX);
    if (p.whole) this.recent[p.is] = this.block = null;
    follow();
  }

  prompt(p, event) {
    if (p.once && p.once === this.prompted) return;
    this.prompted = p.once;
    this.end();
    this.add(el('div', 'text prompt', p.text), event);
  }

  call(p, event) {
    let t = p.id ? this.tools.get(p.id) : p.more ? this.tool : null;
    if (!t && p.more) return;
    if (!t) {
      this.end();
      t = { name: p.name, args: '', ...this.row(event, 'tool', p.name || 'tool', '', () => pretty(t.args)) };
      this.tools.set(p.id, t);
      if (this.tools.size > ROWS_MAX) this.tools.delete(this.tools.keys().next().value);
    }
    this.tool = t;
    if (p.more) t.args = (t.args + p.args).slice(0, TEXT_MAX);
    else if (p.args) t.args = p.args.slice(0, TEXT_MAX);
    t.say.textContent = one(t.args);
    follow();
  }

  result(p, event) {
    const t = this.tools.get(p.id);
    this.end();
    this.row(event, 'result' + (p.failed ? ' error' : ''), (p.failed ? '✗ ' : '↳ ') + (t ? t.name : 'result'), one(p.text), () => pretty(p.text.slice(0, TEXT_MAX)));
  }

  end() { this.block = null; }

  other(p, event) {
    const json = () => JSON.stringify(event, null, 2);
    const { data } = event, said = one(JSON.stringify((event.type === 'agent' && data?.msg) || data) ?? '');
    if (!p.minor) {
      this.end();
      return this.row(event, p.failed ? 'error' : '', p.label, said, json);
    }
    const g = this.group ??= { labels: new Map(), events: [], first: event.id, ...this.row(event, 'minor', '', '', () => g.events.map((e) => JSON.stringify(e)).join('\n')) };
    g.labels.set(p.label, (g.labels.get(p.label) ?? 0) + 1);
    if (g.events.length < GROUP_MAX) g.events.push(event);
    g.say.textContent = g.labels.size === 1 && g.events.length === 1 ? `${p.label}  ${said}`
      : [...g.labels].slice(0, 12).map(([l, n]) => (n > 1 ? `${l} ×${n}` : l)).join(', ');
  }

  // row adds a line that opens to what full() gives then.
  row(event, className, name, text, full) {
    const row = el('details', className), head = row.appendChild(el('summary')), say = el('span', '', text), pre = el('pre');
    head.append(el('i', '', event.id));
    if (name) head.append(el('b', '', name));
    head.append(say);
    head.title = event.time;
    row.addEventListener('toggle', () => { if (row.open) { pre.textContent = full(); row.append(pre); } });
    this.add(row, event);
    return { say };
  }

  note(text) { this.end(); this.add(el('div', 'note', text), { id: lastId }); }

  add(row, event) {
    this.group = null; // what comes after this row is not put before it
    row.dataset.id = event.id;
    this.root.append(row);
    if (this.root.childElementCount > this.max) this.trim();
    follow();
    return row;
  }

  trim() { // the pages above would no longer join up, so they go too
    while (this.root.childElementCount > this.max) this.root.firstElementChild.remove();
    for (const page of log.querySelectorAll('.page')) page.remove();
    earlier.pages = 0;
    offer(Number(this.root.firstElementChild.dataset.id), floor);
  }
}

const one = (s) => s.slice(0, LINE_MAX).replace(/\s+/g, ' ');
function pretty(s) { try { return JSON.stringify(JSON.parse(s), null, 2); } catch { return s; } }
function note(text) { live.note(text); }

// offer shows the way to the events before the first one that is shown.
function offer(first, from) {
  earlier.first = first;
  $('earlier').hidden = !(first > from);
}

async function loadEarlier() {
  const of = session, before = earlier.first;
  if (earlier.pages >= PAGES_MAX) return location.assign(`/v1/sessions/${encodeURIComponent(of)}/events?before=${before}`);
  $('earlier').disabled = true;
  try {
    const answer = await fetch(`/v1/sessions/${encodeURIComponent(of)}/events?before=${before}&limit=${TAIL}`);
    if (!answer.ok) throw new Error(answer.status);
    const page = await answer.json();
    if (of !== session || before !== earlier.first) return;
    const box = el('div', 'page'), height = log.scrollHeight;
    $('earlier').after(box);
    const rows = new Rows(box, Infinity);
    stuck = false;
    for (const event of page.events) rows.show(event);
    earlier.pages++;
    log.scrollTop += log.scrollHeight - height;
    offer(page.events.length ? page.events[0].id : 0, page.floor);
    $('earlier').textContent = earlier.pages < PAGES_MAX ? '↑ earlier events' : '↑ earlier events, as JSON';
  } catch {
    $('earlier').textContent = '↑ that did not work; try again';
  } finally {
    $('earlier').disabled = false;
  }
}

let due = 0;
function follow() { // one layout per frame, however many events came
  if (!due) due = requestAnimationFrame(() => { due = 0; if (stuck) log.scrollTop = log.scrollHeight; else $('end').hidden = false; });
}
log.addEventListener('scroll', () => { stuck = log.scrollHeight - log.scrollTop - log.clientHeight < 40; if (stuck) $('end').hidden = true; });
$('end').addEventListener('click', () => { log.scrollTop = log.scrollHeight; });

$('earlier').addEventListener('click', loadEarlier);
let typed = 0;
$('find').addEventListener('input', () => { clearTimeout(typed); typed = setTimeout(list, 200); });
setInterval(list, LIST_MS);
setInterval(() => { if (source && source.readyState === EventSource.OPEN && Date.now() - heard > silenceMs) again('silent, reconnecting'); }, 2000);
document.addEventListener('visibilitychange', list);
addEventListener('hashchange', open);
open();
