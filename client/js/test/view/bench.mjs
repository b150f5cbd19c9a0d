// How fast the fold is, in milliseconds of the processor: other work on the machine does not count.
//   npx tsc -p client/js/tsconfig.build.json --outDir /tmp/out && node client/js/test/view/bench.mjs /tmp/out
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const { Fold } = await import(pathToFileURL(path.resolve(process.argv[2] ?? 'dist', 'view/index.js')).href);

/** Turns of 200 events: a prompt, deltas of text and of tools, results. */
function events(n) {
  const all = [];
  for (let id = 1; id <= n; id++) {
    const at = id % 200;
    const turn = `r-${Math.floor(id / 200)}`;
    const time = new Date(1.7e12 + id * 20).toISOString();
    const tool = `t${Math.floor(id / 20)}`;
    const [type, data] = at === 0 ? ['turn_start', { prompt: 'go' }] : at === 199 ? ['turn_end', { success: true }]
      : at % 20 === 10 ? ['tool_start', { id: tool, name: 'Bash', input: { command: 'ls' } }] : at % 20 === 11 ? ['tool_result', { id: tool, output: 'a\nb' }]
      : ['text_delta', { text: 'some words ', block: Math.floor(id / 20) }];
    all.push({ id, session: 's', type, turn, time, data });
  }
  return all;
}

const cpu = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
const took = (what, run) => {
  const start = cpu();
  const note = run() ?? '';
  console.log(`${what}: ${(cpu() - start).toFixed(0)} ms ${note}`);
};

const all = events(200_000);
for (let i = 0; i < 3; i++) took('200,000 events at once, with a snapshot', () => {
  const fold = new Fold();
  fold.apply(all);
  void fold.conversation;
});
took('50,000 events one by one, a snapshot after each', () => {
  const fold = new Fold();
  for (const e of all.slice(0, 50_000)) {
    fold.apply([e]);
    void fold.conversation;
  }
});
took('50,000 events held; 10,000 more, a snapshot after every 3 (200 a second at 60 frames)', () => {
  const fold = new Fold();
  fold.apply(all.slice(0, 50_000));
  void fold.conversation;
  let worst = 0;
  const start = cpu();
  for (let i = 50_000; i < 60_000; i += 3) {
    const t = cpu();
    fold.apply(all.slice(i, i + 3));
    void fold.conversation;
    worst = Math.max(worst, cpu() - t);
  }
  return `(${(((cpu() - start) * 3) / 10_000).toFixed(3)} ms a frame, worst ${worst.toFixed(2)} ms)`;
});
took('one block of 200,000 deltas, its text read every 3', () => {
  const fold = new Fold();
  let length = 0;
  for (let id = 1; id <= 200_000; id++) {
    fold.apply([{ id, session: 's', type: 'text_delta', turn: 'r', time: '2026-01-01T00:00:00Z', data: { text: 'word ' } }]);
    if (id % 3 === 0) length = fold.conversation.sections[0].items[0].text.length;
  }
  return `${length} characters`;
});
took('50,000 rows in one section without turns, a snapshot after every 3', () => {
  const fold = new Fold();
  for (let id = 1; id <= 50_000; id++) {
    fold.apply([{ id, session: 's', type: 'app.thing', time: '2026-01-01T00:00:00Z', data: {} }]);
    if (id % 3 === 0) void fold.conversation;
  }
});
