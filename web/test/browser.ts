// A real browser for what no imitation of one can prove: what the sanitiser
// lets through, where a scroll ends up, how long a frame takes.
import { existsSync } from 'node:fs';
import { chromium, type Browser, type Page } from 'playwright-core';
import { build, type Rolldown } from 'vite';

const root = new URL('..', import.meta.url).pathname;
const origin = 'http://konlog.test';
/** The policy of the console. */
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'";

/** Where a Chromium is, '' without one. */
export const chromiumPath = [process.env.CHROMIUM_PATH ?? '', '/usr/bin/chromium-headless-shell', '/usr/bin/chromium'].find((path) => path !== '' && existsSync(path)) ?? '';

export interface Harness {
  browser: Browser;
  /** A page with the harness (harness.tsx) loaded. What it asked for beyond its own files is in `asked`, what went wrong in `errors`. */
  open(size?: { width: number; height: number }): Promise<{ page: Page; asked: string[]; errors: string[] }>;
  close(): Promise<void>;
}

/** Builds the harness and starts the browser. */
export async function harness(): Promise<Harness> {
  const files = await bundle();
  const browser = await chromium.launch({ executablePath: chromiumPath, args: ['--no-sandbox'] });
  return {
    browser,
    close: () => browser.close(),
    async open(size = { width: 1000, height: 700 }) {
      const page = await browser.newPage({ viewport: size });
      const asked: string[] = [];
      const errors: string[] = [];
      page.on('pageerror', (error) => errors.push(String(error)));
      page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
      await page.route('**/*', (route) => {
        const url = route.request().url();
        const file = url.startsWith(`${origin}/`) ? files.get(url.slice(origin.length + 1).split('?')[0]!) : undefined;
        if (file) return route.fulfill({ body: file.body, contentType: file.type, headers: { 'content-security-policy': policy } });
        asked.push(url);
        return route.fulfill({ status: 404, body: '' });
      });
      await page.goto(`${origin}/index.html`);
      await page.waitForFunction(() => 'harness' in window);
      return { page, asked, errors };
    },
  };
}

async function bundle(): Promise<Map<string, { body: string | Buffer; type: string }>> {
  const made = (await build({
    root,
    configFile: `${root}vite.config.ts`,
    logLevel: 'error',
    build: { write: false, minify: false, rolldownOptions: { input: `${root}test/harness.tsx`, output: { entryFileNames: 'app.js', chunkFileNames: '[name].js', assetFileNames: '[name][extname]' } } },
  })) as Rolldown.RolldownOutput;
  const files = new Map<string, { body: string | Buffer; type: string }>();
  const styles: string[] = [];
  for (const one of made.output) {
    const css = one.fileName.endsWith('.css');
    if (css) styles.push(one.fileName);
    files.set(one.fileName, { body: one.type === 'chunk' ? one.code : Buffer.from(one.source), type: css ? 'text/css' : 'text/javascript' });
  }
  const links = styles.map((name) => `<link rel="stylesheet" href="/${name}">`).join('');
  files.set('index.html', { type: 'text/html', body: `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>harness</title><link rel="icon" href="data:,">${links}</head><body><div id="root"></div><script type="module" src="/app.js"></script></body></html>` });
  return files;
}
