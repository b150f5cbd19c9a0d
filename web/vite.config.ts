import { defineConfig } from 'vite';

const file = (path: string) => new URL(path, import.meta.url).pathname;
const client = (name: string) => file(`../client/js/src/${name}`);

// What the binary embeds is committed, so its files have the same names and
// bytes wherever it is built: no hashes, no source maps, nothing of the machine.
export default defineConfig({
  base: '/',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  resolve: {
    alias: [
      { find: /^@konlog\/client$/, replacement: client('index.ts') },
      { find: /^@konlog\/client\/view$/, replacement: client('view/index.ts') },
    ],
  },
  server: { proxy: { '^/(v1|health|healthz|openapi.json)': { target: process.env.KONLOG_URL ?? 'http://127.0.0.1:8787', ws: true } } },
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0, // the page's policy lets no font come from a data: address
    reportCompressedSize: false,
    license: { fileName: 'assets/licenses.txt' }, // what is bundled asks for its notice
    rolldownOptions: {
      input: { app: file('index.html') },
      output: { entryFileNames: 'assets/[name].js', chunkFileNames: 'assets/[name].js', assetFileNames: 'assets/[name][extname]' },
    },
  },
});
