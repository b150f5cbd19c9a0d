// Builds the page of konlog export --format html: one script and one sheet,
// which web/replay.go puts into a file together with a session.
import { defineConfig, type Plugin } from 'vite';
import base from './vite.config.ts';

const file = (path: string) => new URL(path, import.meta.url).pathname;

/** What needs a server, and what stands in for it in a page that has none. */
const offline = new Map([
  ['src/parts/Image.tsx', 'src/export/OfflineImage.tsx'],
  ['src/session/KontaskOutput.tsx', 'src/export/OfflineOutput.tsx'],
]);

function withoutServer(): Plugin {
  const places = new Map([...offline].map(([from, to]) => [file(from), file(to)]));
  return {
    name: 'without-server',
    enforce: 'pre',
    async resolveId(source, importer, options) {
      const found = await this.resolve(source, importer, { ...options, skipSelf: true });
      const instead = found && places.get(found.id);
      return instead && importer !== instead ? instead : found;
    },
  };
}

/** A script in a page must not hold what would end it, or begin a comment. */
function insideHTML(): Plugin {
  return {
    name: 'inside-html',
    generateBundle(_, files) {
      // Last of all: a minifier would write it out again.
      for (const f of Object.values(files)) if (f.type === 'chunk') f.code = f.code.replace(/<(?=!--|\/?script)/gi, '\\x3c');
    },
  };
}

export default defineConfig({
  ...base,
  publicDir: false,
  define: { 'process.env.NODE_ENV': '"production"' },
  plugins: [withoutServer(), insideHTML()],
  build: {
    outDir: 'replay/dist',
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: false,
    cssCodeSplit: false,
    reportCompressedSize: false,
    license: { fileName: 'licenses.txt' }, // what is bundled asks for its notice
    lib: { entry: file('src/export/main.tsx'), formats: ['iife'], name: 'konlog', fileName: () => 'page.js', cssFileName: 'page' },
    rolldownOptions: { output: { codeSplitting: false } },
  },
});
