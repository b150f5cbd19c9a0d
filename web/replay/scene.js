'use strict';
// The scene is the whole session as elements, built once. What comes later in
// the recording is in it from the start and is hidden until its moment, so that
// going to any moment costs no more than what changes on the way.
//
// A moment is an index into the times at which something happened: moments are
// in the order of time, and events of one time in the order of their ids.
const LINE_MAX = 300, GROUP_MAX = 500, IMAGES_MAX = 20, CARD_BYTES_MAX = 2000000;

function el(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

const one = (s) => s.slice(0, LINE_MAX).replace(/\s+/g, ' ');
const obj = (v) => (v && typeof v === 'object' ? v : {});
const arr = (v) => (Array.isArray(v) ? v : []);
const str = (v) => (typeof v === 'string' ? v : '');
const brief = (v) => (v === undefined || v === null ? '' : typeof v === 'string' ? v : JSON.stringify(v));
function pretty(v) {
  if (typeof v !== 'string') return v === undefined ? '' : JSON.stringify(v, null, 2);
  try { return JSON.stringify(JSON.parse(v), null, 2); } catch { return v; }
}

function span(ms) {
  if (!(ms >= 0)) return '';
  if (ms < 1000) return Math.round(ms) + ' ms';
  if (ms < 60000) return (ms / 1000).toFixed(1) + ' s';
  const m = Math.floor(ms / 60000);
  return m < 60 ? `${m} min ${Math.round((ms % 60000) / 1000)} s` : `${Math.floor(m / 60)} h ${m % 60} min`;
}

// momentsOf gives every event its moment, and those of its text's pace, and
// returns the times.
function momentsOf(events) {
  const all = [];
  for (const e of events) {
    let t = e.start ?? e.time;
    e.at = [];
    for (let i = 0; i < (e.pace ?? []).length; i += 2) all.push({ t: (t += e.pace[i]), e, n: i / 2 });
    all.push({ t: e.time, e, n: -1 });
  }
  all.sort((a, b) => a.t - b.t); // stable, so ids stay in order
  all.forEach(({ e, n }, i) => { if (n < 0) e.moment = i; else e.at[n] = i; });
  return Float64Array.from(all, (m) => m.t);
}

// Scene builds the elements and shows them as of a moment.
class Scene {
  constructor(root, events, images) {
    Object.assign(this, { root, images, cursor: Infinity, marks: [], blocks: [], turns: [], byTurn: new Map(), open: new Map(), named: new Map(), tools: new Map(), tasks: new Map(), questions: new Map(), cards: new Map(), said: {}, loose: null, group: null });
    this.times = momentsOf(events);
    for (const e of events) this.add(e);
    for (const t of this.turns) this.sum(t);
    this.marks.sort((a, b) => a.m - b.m);
  }

  // mark shows an element from moment m on; with gone it hides it instead.
  mark(element, m, gone) {
    this.marks.push({ m, element, gone: !!gone });
    if (gone) element.hidden = true;
    return element;
  }

  // seek shows what there was up to the moment, -1 for nothing yet.
  seek(to) {
    const from = this.cursor, marks = this.marks, ahead = to > from;
    const first = (m) => { let lo = 0, hi = marks.length; while (lo < hi) { const mid = (lo + hi) >> 1; if (marks[mid].m <= m) lo = mid + 1; else hi = mid; } return lo; };
    if (ahead) for (let i = first(from), end = first(to); i < end; i++) marks[i].element.hidden = marks[i].gone;
    else for (let i = first(from) - 1, end = first(to); i >= end; i--) marks[i].element.hidden = !marks[i].gone;
    this.cursor = to;
    for (const b of this.blocks) if (b.first <= Math.max(from, to) && b.last > Math.min(from, to)) b.show(to);
  }

  add(e) {
    const d = obj(e.data), kind = e.type.replace(/_delta$/, '');
    if (e.redacted) return this.note(e, 'The content of this event was removed.');
    switch (e.type) {
      case 'text': case 'text_delta': case 'thinking': case 'thinking_delta':
        if (typeof d.text === 'string') return this.text(e, kind, d.text, d.block, kind === e.type && !e.from);
        break;
      case 'prompt': return this.prompt(e, d);
      case 'turn_start': return this.turnStart(e, d);
      case 'turn_end': return this.turnEnd(e, d);
      case 'tool_start': case 'tool_delta': case 'tool_result': return this.tool(e, d);
      case 'task_start': case 'task_update': case 'task_end': return this.task(e, d);
      case 'permission_request': case 'permission_response': return this.question(e, d);
      case 'kontask_created': case 'kontask_ready': case 'kontask_updated': case 'kontask_chosen': return this.card(e, d);
      case 'plan': if (Array.isArray(d.items)) return this.plan(e, d.items); break;
      case 'error': return this.row(e, 'error', 'error', brief(d.error ?? e.data), e.data);
      case 'redacted': return this.note(e, `Events ${d.from} to ${d.to} were redacted${d.reason ? ': ' + d.reason : ''}.`);
      case 'session_closed': return this.note(e, 'The session was closed.');
      case 'stop_turn': return this.note(e, 'Somebody asked to stop' + (d.reason ? ': ' + d.reason : ''));
      case 'session_init': case 'usage': case 'process_exit': return this.minor(e, e.type, e.data);
      case 'agent': return this.agent(e);
    }
    this.row(e, d.isError || d.success === false ? 'error' : '', e.type, brief(e.data), e.data);
  }

  // section returns the turn that an event belongs to. One without a turn goes
  // to the turn that is open, else to a place of its own between the turns.
  section(e) {
    if (e.turn) return this.byTurn.get(e.turn) ?? this.begin(e, e.turn);
    const last = this.turns.at(-1);
    if (last && !last.ended) return last;
    return this.loose ?? (this.loose = this.place('loose', e));
  }

  place(className, e) {
    const root = el('section', className);
    this.root.append(root);
    return { root: this.mark(root, e.at[0] ?? e.moment), first: e.at[0] ?? e.moment };
  }

  begin(e, turn) {
    this.loose = this.group = null;
    const t = Object.assign(this.place('turn', e), { turn, n: this.turns.length + 1, prompt: '', began: 0, asked: 0, heard: 0, spent: [], tools: 0, said: false, ended: null });
    t.root.append(el('h2', '', `Turn ${t.n}`));
    this.turns.push(t);
    if (turn) this.byTurn.set(turn, t);
    return t;
  }

  // put adds an element to the event's place.
  put(e, element, m = e.at[0] ?? e.moment) {
    const s = this.section(e);
    this.group = null;
    if (e.type !== 'prompt' && e.type !== 'turn_start' && e.type !== 'turn_end') s.heard ||= e.start ?? e.time;
    element.dataset.id = e.id;
    element.title ||= new Date(e.time).toISOString();
    s.root.append(this.mark(element, m));
    return s;
  }

  note(e, text) { this.put(e, el('p', 'note', text)); }

  text(e, kind, text, name, whole) {
    const key = [kind, e.turn, e.parent].join('\n'), other = [kind === 'text' ? 'thinking' : 'text', e.turn, e.parent].join('\n');
    this.open.delete(other);
    const blocks = name === undefined ? this.open : this.named, id = name === undefined ? key : key + '\n' + name;
    let b = blocks.get(id);
    if (!b && (text || !whole)) blocks.set(id, b = this.block(e, kind));
    if (b) {
      if (whole) b.replace(e, text);
      else b.append(e, text);
    }
    if (whole) blocks.delete(id);
    return b;
  }

  block(e, kind) {
    const b = new Block(kind === 'thinking'), s = this.put(e, b.root);
    if (kind === 'text') s.said = true;
    this.blocks.push(b);
    return b;
  }

  closeBlocks(e) {
    for (const kind of ['text', 'thinking']) this.open.delete([kind, e.turn, e.parent].join('\n'));
  }

  prompt(e, d) {
    this.closeBlocks(e);
    if (!e.turn && this.turns.at(-1)) this.turns.at(-1).ended ??= {};
    const t = e.turn ? this.section(e) : this.begin(e, '');
    const text = str(d.text) || (typeof e.data === 'string' ? e.data : '');
    t.prompt ||= text;
    t.asked ||= e.time;
    const bubble = el('div', 'prompt'), source = str(d.source);
    bubble.append(el('div', 'body', text));
    if (source && source !== 'user') bubble.append(el('span', 'dim', source));
    for (const image of arr(d.images).slice(0, IMAGES_MAX)) bubble.append(picture(image, this.images));
    this.put(e, bubble);
  }

  turnStart(e, d) {
    this.closeBlocks(e);
    const t = this.section(e), text = str(d.prompt);
    t.began ||= e.time;
    if (text && !t.prompt) {
      t.prompt = text;
      const bubble = el('div', 'prompt');
      bubble.append(el('div', 'body', text));
      this.put(e, bubble);
    }
    if (d.agent) t.root.querySelector('h2').append(this.mark(el('span', 'dim', ' ' + brief(d.agent)), e.moment));
  }

  turnEnd(e, d) {
    this.closeBlocks(e);
    const t = this.section(e), reason = str(d.reason), ok = d.success !== false;
    if (!t.said && str(d.fullText)) this.text({ ...e, at: [] }, 'text', d.fullText, 'fullText', true);
    const line = el('p', ok ? 'end' : 'end failed', (ok ? '✓ ' : '✗ ') + (reason || (ok ? 'done' : 'error')) + (d.error ? ': ' + brief(d.error) : ''));
    t.ended ??= { e, line, ok, reason: reason || (ok ? 'done' : 'error') };
    this.put(e, line);
  }

  // sum writes the timing of a turn into its last line.
  sum(t) {
    if (!t.ended?.line) return;
    const { e, line } = t.ended, d = obj(e.data), begin = t.began || t.asked, parts = [];
    if (begin) parts.push(span(e.time - begin));
    if (t.asked && t.began > t.asked) parts.push(`queued ${span(t.began - t.asked)}`);
    if (begin && t.heard) parts.push(`first event after ${span(t.heard - begin)}`);
    if (t.tools) parts.push(`${t.tools} tool call${t.tools === 1 ? '' : 's'}, ${span(covered(t.spent))}`);
    if (typeof d.costUsd === 'number') parts.push(`$${d.costUsd.toFixed(4)}`);
    line.append(el('span', 'dim', parts.join(' · ')));
  }

  tool(e, d) {
    const key = e.turn + '\n' + d.id, s = this.section(e);
    let t = this.tools.get(key);
    if (e.type === 'tool_start') this.closeBlocks(e);
    if (!t) {
      t = this.details(e, 'tool', str(d.name) || 'tool');
      Object.assign(t, { input: '', began: e.start ?? e.time });
      this.tools.set(key, t);
      s.tools = (s.tools ?? 0) + 1;
      this.part(t, 'Input', () => pretty(t.input), e.moment);
    }
    if (e.type === 'tool_result') {
      const end = el('span', d.isError ? 'say warn' : 'say', (d.isError ? '✗ ' : '↳ ') + one(brief(d.output))), took = e.time - t.began;
      t.head.append(this.mark(end, e.moment));
      if (took > 0) t.head.append(this.mark(el('span', 'dim', span(took)), e.moment));
      this.part(t, d.isError ? 'Error' : 'Output', () => pretty(d.output), e.moment);
      (s.spent ??= []).push([t.began, e.time]);
      return;
    }
    if (str(d.name)) t.name.textContent = d.name;
    if (typeof d.text === 'string') t.input = typeof t.input === 'string' ? t.input + d.text : t.input; // what a delta adds
    if (d.input !== undefined && d.input !== null) t.input = d.input;
    t.say.textContent = one(brief(t.input));
  }

  // details adds a line that opens.
  details(e, className, name) {
    const root = el('details', className), head = root.appendChild(el('summary')), b = head.appendChild(el('b', '', name)), say = head.appendChild(el('span', 'say'));
    this.put(e, root);
    return { root, head, name: b, say };
  }

  // part adds to what is seen when a line is open; it is made when it is.
  part(t, label, text, m) {
    const part = el('div', 'part');
    part.append(el('span', 'label', label));
    t.root.append(this.mark(part, m));
    t.root.addEventListener('toggle', () => { if (t.root.open && part.childElementCount < 2) part.append(el('pre', '', text())); });
  }

  row(e, className, name, say, data) {
    const t = this.details(e, 'row ' + className, name);
    t.say.textContent = one(say);
    this.part(t, `event ${e.id}`, () => pretty(data), e.moment);
  }

  // minor puts bookkeeping that stands together into one line.
  minor(e, label, data) {
    const s = this.section(e);
    if (this.group?.section !== s || this.group.n >= GROUP_MAX) {
      const g = { ...this.details(e, 'row minor', ''), section: s, labels: new Map(), list: [], n: 0 };
      this.part(g, '', () => g.list.map((v) => JSON.stringify(v)).join('\n'), e.moment);
      this.group = g;
    }
    const g = this.group;
    g.n++;
    g.list.push(data);
    g.labels.set(label, (g.labels.get(label) ?? 0) + 1);
    g.say.textContent = g.n === 1 ? `${label}  ${one(brief(data))}` : [...g.labels].slice(0, 12).map(([l, n]) => (n > 1 ? `${l} ×${n}` : l)).join(', ');
  }

  task(e, d) {
    let t = this.tasks.get(d.taskId);
    if (!t) {
      t = this.details(e, 'row task', 'task');
      this.tasks.set(d.taskId, t);
    }
    if (str(d.title)) t.say.textContent = d.title;
    const state = e.type === 'task_end' ? (d.success === false ? '✗ failed' : '✓ done') : str(d.status);
    if (state) {
      if (t.state) this.mark(t.state, e.moment, true);
      t.head.append(this.mark(t.state = el('span', /✗/.test(state) ? 'warn' : 'dim', state), e.moment));
    }
    this.part(t, `${e.type} · ${new Date(e.time).toLocaleTimeString()}`, () => pretty(e.data), e.moment);
  }

  question(e, d) {
    let q = this.questions.get(d.requestId);
    if (!q) {
      q = this.details(e, 'ask', '? ' + (str(d.tool) || 'permission'));
      this.questions.set(d.requestId, q);
      q.say.textContent = one(brief(d.input));
      if (e.type === 'permission_request') this.part(q, 'Asked for', () => pretty(d.input), e.moment);
    }
    if (e.type === 'permission_request') return;
    const answer = (d.allow ? '✓ allowed' : '✗ denied') + (str(d.by) ? ' by ' + d.by : '') + (str(d.message) ? ': ' + d.message : '');
    q.head.append(this.mark(el('span', d.allow ? 'ok' : 'warn', answer), e.moment));
    if (d.updatedInput !== undefined) this.part(q, 'Changed to', () => pretty(d.updatedInput), e.moment);
  }

  card(e, d) {
    const id = str(d.kontaskId) || str(d.id);
    let c = this.cards.get(id);
    if (!c) {
      c = { root: el('article', 'card'), record: {}, face: null, choice: null };
      this.put(e, c.root);
      this.cards.set(id, c);
    }
    if (e.type === 'kontask_chosen') c.choice ??= { d, m: e.moment };
    else Object.assign(c.record, d);
    if (c.face) this.mark(c.face, e.moment, true);
    c.root.append(this.mark(c.face = cardFace(c.record, c.choice?.d), e.moment));
  }

  plan(e, items) {
    const s = this.section(e), list = el('ul', 'plan');
    if (s.plan) this.mark(s.plan, e.moment, true);
    for (const item of items) {
      const i = obj(item), done = i.completed === true || /^(completed|done)$/.test(i.status), text = typeof item === 'string' ? item : str(i.text) || str(i.content) || str(i.title) || str(i.step) || JSON.stringify(item);
      list.append(el('li', done ? 'done' : '', (done ? '✓ ' : i.status === 'in_progress' ? '▸ ' : '○ ') + text));
    }
    this.put(e, s.plan = list);
  }

  // agent shows a line that is an agent's own.
  agent(e) {
    for (const p of pieces(e)) {
      switch (p.is) {
        case 'text': case 'thinking': {
          if (!p.text && !p.whole) break;
          if (p.whole && this.said[p.is]?.full.includes(p.text)) break; // said again as a whole
          this.said[p.is] = this.text(e, p.is, p.text, 'agent ' + p.key, p.whole);
          break;
        }
        case 'prompt':
          if (p.once && p.once === this.prompted) break;
          this.prompted = p.once;
          this.said = {};
          this.endNamed();
          this.prompt(e, { text: p.text });
          break;
        case 'tool': this.agentTool(e, p); break;
        case 'result': this.tool({ ...e, type: 'tool_result' }, { id: p.id, output: p.text, isError: p.failed }); break;
        case 'end': this.endNamed(); break;
        default: if (p.minor) this.minor(e, p.label, e.data); else this.row(e, p.failed ? 'error' : '', p.label, brief(e.data), e.data);
      }
    }
  }

  agentTool(e, p) {
    this.endNamed();
    if (p.id) this.toolNow = p.id;
    const id = p.id || this.toolNow;
    if (!id && p.more) return;
    const d = { id, name: p.name };
    if (p.more) d.text = p.args;
    else if (p.args) d.input = p.args;
    this.tool({ ...e, type: 'tool_start' }, d);
  }

  endNamed() { for (const key of this.named.keys()) if (/\nagent /.test(key)) this.named.delete(key); }
}

// covered is how long at least one of the spans lasted.
function covered(spans) {
  let sum = 0, end = -Infinity;
  for (const [a, b] of [...spans].sort((x, y) => x[0] - y[0])) {
    if (b > end) sum += b - Math.max(a, end);
    end = Math.max(end, b);
  }
  return sum;
}

// Block is text that comes bit by bit.
class Block {
  constructor(thinking) {
    this.node = new Text();
    this.root = thinking ? el('details', 'thinking') : el('div', 'text');
    if (thinking) this.root.append(el('summary', '', 'Thinking'), el('div', 'body'));
    (thinking ? this.root.lastChild : this.root).append(this.node);
    Object.assign(this, { full: '', steps: [], first: Infinity, last: -1 }); // steps: [moment, length]
  }

  step(m, length) {
    this.steps.push([m, length]);
    this.first = Math.min(this.first, m);
    this.last = Math.max(this.last, m);
  }

  append(e, text) {
    let length = this.full.length;
    e.at.forEach((m, i) => this.step(m, (length += e.pace[2 * i + 1])));
    this.full += text;
    this.step(e.moment, this.full.length);
    this.node.data = this.full.trimEnd();
  }

  // replace is what a whole does: it says how all of the text came, or stands
  // for what came before.
  replace(e, text) {
    let length = 0;
    if (e.at.length) this.steps = [];
    e.at.forEach((m, i) => this.step(m, (length += e.pace[2 * i + 1])));
    this.full = text;
    this.step(e.moment, text.length);
    this.node.data = text.trimEnd();
  }

  show(cursor) {
    let length = 0;
    for (const [m, n] of this.steps) if (m <= cursor) length = n; else break;
    const text = this.full.slice(0, length).trimEnd();
    if (this.node.length !== text.length) this.node.data = text;
  }
}

// picture shows an image that the event or the page holds; nothing is loaded.
function picture(image, images) {
  const i = obj(image), type = str(i.mediaType) || str(i.mimeType) || str(i.media_type) || str(i.contentType) || 'image/png';
  const url = [image, i.url, i.data, images[str(i.sha256)]].find((s) => typeof s === 'string' && /^data:image\/(png|jpeg|gif|webp);/.test(s)) ?? (/^image\/(png|jpeg|gif|webp)$/.test(type) && /^[A-Za-z0-9+/=]{64,}$/.test(str(i.data)) ? `data:${type};base64,${i.data}` : '');
  if (!url) return el('span', 'dim', 'image ' + one(str(i.name) || str(i.sha256) || brief(image)));
  const img = el('img');
  img.src = url;
  img.alt = str(i.name) || 'image';
  return img;
}

// cardFace is a kontask as it was at one moment.
function cardFace(record, choice) {
  const face = el('div'), context = obj(record.context), head = face.appendChild(el('header'));
  head.append(el('b', '', str(record.title) || 'Kontask'), el('span', 'pill', choice ? 'chosen' : str(record.status) || 'ready'));
  if (str(record.description)) face.append(el('p', '', record.description));
  if (str(context.output)) face.append(cardOutput(context.output));
  const choices = arr(context.choices).map(obj);
  if (choices.length) {
    const list = face.appendChild(el('ul', 'choices'));
    choices.forEach((c, n) => {
      const chosen = choice && (choice.choice === n || choice.choice === c.label || (choice.choice === undefined && choice.value === c.value) || (str(choice.label) && choice.label === c.label)), item = el('li', (chosen ? 'chosen' : '') + (c.primary ? ' primary' : ''), (chosen ? '✓ ' : '') + (str(c.label) || str(c.value)));
      item.title = str(c.value);
      list.append(item);
    });
  } else if (choice) face.append(el('p', 'ok', '✓ ' + (str(choice.label) || brief(choice.choice) || str(choice.value))));
  return face;
}

// cardOutput shows an agent's HTML, which nobody has checked: in a frame
// without scripts, forms or an origin, under this page's policy, and without
// what could make a browser look at the network.
function cardOutput(html) {
  if (!/<[a-z!/]/i.test(html) || html.length > CARD_BYTES_MAX) return el('pre', 'output', html);
  const doc = new DOMParser().parseFromString(html, 'text/html');
  doc.querySelectorAll('script, link, meta, base, iframe, frame, frameset, object, embed, template, noscript').forEach((n) => n.remove());
  for (const n of doc.querySelectorAll('*')) {
    if (n.getAttribute('href')) n.title ||= n.getAttribute('href');
    for (const { name, value } of [...n.attributes]) if (/^on|^(href|xlink:href|srcset|background|poster|data|ping|http-equiv)$/i.test(name) || (name === 'src' && !value.startsWith('data:image/'))) n.removeAttribute(name);
  }
  const frame = el('iframe', 'output'), root = doc.documentElement;
  frame.setAttribute('sandbox', '');
  frame.title = 'Output of the kontask';
  frame.srcdoc = '<!doctype html><meta name="color-scheme" content="light dark"><style>body{font:14px/1.5 system-ui,sans-serif;margin:.5rem;overflow-wrap:anywhere}img{max-width:100%}</style>' + root.outerHTML;
  return frame;
}
