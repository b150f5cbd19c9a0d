'use strict';
// The player moves the scene's cursor: over the recording's own times, but that
// nobody waits longer than GAP_MAX for what comes next.
const GAP_MAX = 3000, MAX_SECONDS = 4, FRAMES = 60;
const $ = (id) => document.getElementById(id);
const recording = JSON.parse($('data').textContent);
const scene = new Scene($('scene'), recording.events, recording.images ?? {});
const times = scene.times, end = times.length - 1;

// clock[m] is when moment m comes in the replay, in ms.
const clock = new Float64Array(times.length);
for (let m = 1; m <= end; m++) clock[m] = clock[m - 1] + Math.min(GAP_MAX, times[m] - times[m - 1]);
const total = end < 0 ? 0 : clock[end];
const stops = Int32Array.from(recording.events, (e) => e.moment).sort();

// before is the last index whose value is not above v, or -1.
function before(list, v) {
  let lo = 0, hi = list.length;
  while (lo < hi) { const mid = (lo + hi) >> 1; if (list[mid] <= v) lo = mid + 1; else hi = mid; }
  return lo - 1;
}

let cursor = Infinity, at = total, playing = 0, was = 0, stuck = false, current = null;

function readable(ms) {
  const s = Math.floor(ms / 1000), p = (n) => String(n).padStart(2, '0');
  return s < 3600 ? `${Math.floor(s / 60)}:${p(s % 60)}` : `${Math.floor(s / 3600)}:${p(Math.floor(s / 60) % 60)}:${p(s % 60)}`;
}

// go shows the session as of a moment.
function go(m, time = m < 0 ? 0 : clock[m]) {
  at = time;
  if (m !== cursor) scene.seek(cursor = m);
  $('bar').value = Math.round(at);
  $('bar').setAttribute('aria-valuetext', `${readable(at)} of ${readable(total)}`);
  $('clock').textContent = `${readable(at)} / ${readable(total)}`;
  $('clock').title = m < 0 || end < 0 ? '' : new Date(times[m]).toLocaleString();
  $('still').hidden = m >= end;
  const n = before(scene.turns.map((t) => t.first), m), turn = scene.turns[n];
  if (turn !== current) {
    current?.link?.removeAttribute('aria-current');
    (current = turn)?.link?.setAttribute('aria-current', 'step');
    if (playing) current?.link?.scrollIntoView({ block: 'nearest' });
  }
  if (stuck) $('log').scrollTop = $('log').scrollHeight;
}

function play() {
  if (end < 0) return;
  if (cursor >= end) { go(-1); $('log').scrollTop = 0; }
  stuck = true;
  was = 0;
  playing = requestAnimationFrame(frame);
  button();
}

function pause() {
  cancelAnimationFrame(playing);
  playing = 0;
  button();
}

function button() {
  $('play').firstChild.data = playing ? '▮▮ ' : '▶ ';
  $('play').lastElementChild.textContent = playing ? 'Pause' : 'Play';
}

function frame(now) {
  const speed = Number($('speed').value), passed = was ? Math.min(now - was, 1000) : 0; // a hidden tab makes no leap
  was = now;
  if (speed) {
    const time = Math.min(total, at + passed * speed);
    go(Math.max(cursor, before(clock, time)), time);
  } else go(Math.min(end, cursor + Math.max(1, Math.ceil(end / (MAX_SECONDS * FRAMES)))));
  if (cursor >= end) pause();
  else playing = requestAnimationFrame(frame);
}

function step(by) {
  pause();
  const i = before(stops, Math.min(cursor, end));
  stuck = true;
  go(by > 0 ? (stops[i + 1] ?? end) : stops[i] === cursor ? (stops[i - 1] ?? -1) : (stops[i] ?? -1));
}

function jump(t) {
  if (playing || t.first > cursor) {
    go(t.first);
    stuck = !!playing;
  }
  t.root.scrollIntoView({ block: 'start' });
  if (matchMedia('(max-width: 720px)').matches) $('contents').open = false;
}

function turnBy(by) {
  const top = $('log').getBoundingClientRect().top + 8, shown = scene.turns.filter((t) => !t.root.hidden);
  let i = shown.findLastIndex((t) => t.root.getBoundingClientRect().top <= top);
  if (shown[i + by]) jump(shown[i + by]);
}

const keys = {
  ' ': () => (playing ? pause() : play()), ArrowLeft: () => step(-1), ArrowRight: () => step(1),
  j: () => turnBy(1), k: () => turnBy(-1), Home: () => { pause(); stuck = false; go(-1); }, End: () => { pause(); go(end); },
};
addEventListener('keydown', (e) => {
  if (e.ctrlKey || e.altKey || e.metaKey || !keys[e.key]) return;
  if (e.target.closest?.('input, select, button, summary, a, iframe')) return; // they have keys of their own
  e.preventDefault();
  keys[e.key]();
});

$('play').addEventListener('click', keys[' ']);
$('back').addEventListener('click', () => step(-1));
$('step').addEventListener('click', () => step(1));
$('bar').max = Math.max(1, Math.round(total));
$('bar').addEventListener('input', () => {
  if (end < 0) return;
  const time = Number($('bar').value);
  stuck = true;
  go(time >= Math.round(total) ? end : before(clock, time), time);
});
$('log').addEventListener('wheel', () => { stuck = false; }, { passive: true });
$('log').addEventListener('touchmove', () => { stuck = false; }, { passive: true });
$('log').addEventListener('scroll', () => { const l = $('log'); if (playing && l.scrollHeight - l.scrollTop - l.clientHeight < 40) stuck = true; });

function contents() {
  for (const t of scene.turns) {
    const link = t.link = el('button', '', '');
    link.type = 'button';
    link.append(el('b', '', `${t.n}. ${one(t.prompt) || 'Turn'}`));
    const state = t.ended?.line ? `${t.ended.ok ? '✓' : '✗'} ${t.ended.reason}` : t.ended ? '' : 'open', time = new Date(t.asked || t.began || times[t.first]).toLocaleString();
    link.append(el('span', 'dim', [state, time].filter(Boolean).join(' · ')));
    link.addEventListener('click', () => jump(t));
    $('turns').append(link);
  }
  $('turnCount').textContent = scene.turns.length;
  $('contents').hidden = !scene.turns.length;
}

function facts() {
  const s = recording.session, n = (count, what) => `${count} ${what}${count === 1 ? '' : 's'}`;
  const all = recording.events.reduce((sum, e) => sum + (e.from ? e.id - e.from + 1 : 1), 0);
  $('title').textContent = s.title || s.id;
  document.title = `${s.title || s.id} · konlog`;
  const parts = [s.title ? s.id : '', n(Math.max(all, s.head - s.floor + 1), 'event'), n(scene.turns.length, 'turn'), s.state, s.scope ?? '', ...(s.tags ?? []).map((t) => '#' + t)];
  if (end >= 0) parts.push(`${new Date(times[0]).toLocaleString()}, ${span(times[end] - times[0])}`);
  $('facts').textContent = parts.filter(Boolean).join(' · ');
  const missing = [...(s.floor > 1 ? [`Events before ${s.floor} were no longer kept.`] : []), ...(recording.missing ?? [])];
  $('missing').hidden = !missing.length;
  $('missing').textContent = missing.join(' ');
  $('still').textContent = 'The recording goes on.';
  if (end < 0) $('scene').append(el('p', 'note', 'This session has no events.'));
}

contents();
facts();
$('contents').open = !matchMedia('(max-width: 720px)').matches;
if (end < 0) for (const id of ['play', 'back', 'step', 'bar']) $(id).disabled = true;
scene.cursor = cursor = end;
go(end);
