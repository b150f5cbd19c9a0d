'use strict';
// A reader holds nothing but a cursor, so this page keeps the last id and rows
// to look at, and leaves the rest to EventSource.
const LIST_MS = 3000, RETRY_MS = 3000, TAIL = 300, ROWS_MAX = 500, TEXT_MAX = 100000;
const $ = (id) => document.getElementById(id);
const log = $('log');
let source = null, session = '', lastId = 0, heard = 0, silenceMs = 30000, timer = 0, block = null, turnState = '', stuck = true;

function el(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

async function list() {
  if (document.hidden) return;
  try {
    const answer = await fetch('/v1/sessions?limit=200');
    if (!answer.ok) throw new Error(answer.status);
    const { sessions, next } = await answer.json();
    $('trouble').hidden = true;
    $('count').textContent = sessions.length + (next ? '+' : '') + (sessions.length === 1 ? ' session' : ' sessions');
    document.body.classList.toggle('bare', !sessions.length && !session);
    if (!sessions.length) {
      $('emptyTitle').textContent = 'Nothing here yet';
      $('emptyText').textContent = 'Append the first event, from any shell:';
    } else {
      $('emptyTitle').textContent = 'No session is open';
      $('emptyText').textContent = 'Choose one on the left, or append an event to a new one:';
    }
    $('sessions').replaceChildren(...sessions.map((s) => {
      const a = el('a'), detail = `${s.head} event${s.head === 1 ? '' : 's'} · ${s.state} · ${ago(s.updatedAt)}`;
      a.href = '#' + encodeURIComponent(s.id);
      if (s.id === session) a.setAttribute('aria-current', 'page');
      a.append(el('b', '', s.title || s.id), el('span', 'dim', detail));
      return a;
    }));
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
  lastId = 0; turnState = '';
  clear();
  document.body.classList.toggle('open', !!session);
  document.title = session ? session + ' · konlog' : 'konlog';
  $('bar').hidden = log.hidden = !session;
  $('empty').hidden = !!session;
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
  on('message', (event) => { lastId = event.id; render(event); about(); });
  on('hello', (f) => { silenceMs = 3 * f.heartbeatMs; turnState = f.status.state; if (!lastId && f.after) note(`Showing the newest ${TAIL} events.`); about(); });
  on('status', (f) => { turnState = f.state; about(); });
  on('ping', () => {});
  on('gap', (f) => { lastId = f.to; note(`Events ${f.from} to ${f.to} are no longer kept.`); });
  on('reset', () => { lastId = 0; clear(); note('The history of this session was replaced.'); });
  es.addEventListener('error', (e) => {
    if (es !== source || e.data) return; // data: an agent's event by that name, not a broken connection
    if (es.readyState === EventSource.CLOSED) return again('not available, trying again');
    show('reconnecting');
  });
}

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

function clear() { log.replaceChildren(); block = null; stuck = true; about(); }

function render(event) {
  const { type, data } = event, text = data && typeof data.text === 'string' ? data.text : null;
  const kind = type.replace(/_delta$/, '');
  if (text !== null && (kind === 'text' || kind === 'thinking')) {
    const key = [kind, event.turn, event.parent, data.block].join(' ');
    if (!block || block.key !== key) block = { key, node: add(el('div', 'text ' + kind, '')).appendChild(new Text()) };
    if (kind === type) block.node.data = text; // the whole block supersedes its deltas
    else block.node.appendData(text);
    if (block.node.length > TEXT_MAX) block.node.deleteData(0, block.node.length - TEXT_MAX);
    if (kind === type) block = null;
    return follow();
  }
  block = null;
  if (type === 'prompt' && text !== null) return add(el('div', 'text prompt', text));
  const row = el('details', /error/.test(type) || (data && (data.isError || data.success === false)) ? 'error' : '');
  const head = row.appendChild(el('summary'));
  head.append(el('i', '', event.id), el('b', '', type), el('span', '', (JSON.stringify(data) ?? '').slice(0, 300)));
  row.addEventListener('toggle', () => row.append(el('pre', '', JSON.stringify(event, null, 2))), { once: true });
  add(row);
}

function note(text) { block = null; add(el('div', 'note', text)); }

function add(row) {
  log.append(row);
  while (log.childElementCount > ROWS_MAX) log.firstElementChild.remove();
  follow();
  return row;
}

let due = 0;
function follow() { // one layout per frame, however many events came
  if (!due) due = requestAnimationFrame(() => { due = 0; if (stuck) log.scrollTop = log.scrollHeight; else $('end').hidden = false; });
}
log.addEventListener('scroll', () => { stuck = log.scrollHeight - log.scrollTop - log.clientHeight < 40; if (stuck) $('end').hidden = true; });
$('end').addEventListener('click', () => { log.scrollTop = log.scrollHeight; });

$('howto').textContent = `curl ${location.origin}/v1/sessions/demo/events \\\n  -d '{"type":"text","data":{"text":"Hello"}}'`;
setInterval(list, LIST_MS);
setInterval(() => { if (source && source.readyState === EventSource.OPEN && Date.now() - heard > silenceMs) again('silent, reconnecting'); }, 2000);
document.addEventListener('visibilitychange', list);
addEventListener('hashchange', open);
open();
