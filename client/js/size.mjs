// Prints what the entries of the package weigh, minified and gzipped, and
// fails when one is over its budget. Bundles the sources as an application's
// bundler would.
import { gzipSync } from 'node:zlib';
import { rolldown } from 'rolldown';

const src = new URL('./src/', import.meta.url).pathname;
const connect = `export { connect, ProblemError, dataOf } from './index.js'`;

/**
 * Budgets in bytes, gzipped; 1 KB is 1024. The core is what has to be there
 * before the first event: the rest is loaded when it is needed. The view has
 * no budget: it is part of an application's own.
 */
const entries = {
  core: { code: connect, max: 8 * 1024, later: ['feed.js', 'outbox.js', 'poll.js', 'rest.js', 'share.js', 'sse.js'] },
  all: { code: connect, max: 16 * 1024 },
  view: { code: `export { openSession, Fold } from './view/index.js'` },
  react: { code: `export { useSession, useConnection, usePending } from './react.js'`, max: 1024, external: ['react', /\/view\//] },
};

/** The chunks of an entry as text; with `later`, without what it imports later, which must be just that. */
async function bundle({ code, later, external = [] }) {
  const found = new Set();
  const made = await rolldown({
    input: 'entry',
    external,
    resolve: { extensionAlias: { '.js': ['.ts', '.tsx', '.js'] } },
    plugins: [
      { name: 'entry', resolveId: (id) => (id === 'entry' ? src + 'entry.ts' : null), load: (id) => (id === src + 'entry.ts' ? code : null) },
      { name: 'later', resolveDynamicImport: (id) => (later ? (found.add(id.replace(/^.*\//, '')), { id, external: true }) : null) },
    ],
  });
  const { output } = await made.generate({ format: 'esm', minify: true, codeSplitting: false, comments: false });
  await made.close();
  const names = [...found].sort().join(' ');
  if (later && names !== later.join(' ')) throw new Error(`imported later: ${names}; expected ${later.join(' ')}`);
  return output.filter((o) => o.type === 'chunk').map((o) => o.code);
}

for (const [name, entry] of Object.entries(entries)) {
  const chunks = await bundle(entry);
  const bytes = chunks.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  const gzip = chunks.reduce((sum, text) => sum + gzipSync(text, { level: 9 }).length, 0);
  const over = entry.max && gzip > entry.max;
  console.log(`${name.padEnd(6)} ${String(bytes).padStart(6)} bytes  ${String(gzip).padStart(5)} gzipped${entry.max ? `  of ${entry.max}` : ''}${over ? '  OVER ITS BUDGET' : ''}`);
  if (over) process.exitCode = 1;
}
