// What needs a real browser: Web Locks, BroadcastChannel and IndexedDB between
// real tabs. Passed over where there is no Chromium; CI has one.
import { execFileSync } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

const require = createRequire(import.meta.url);
const src = fileURLToPath(new URL('../src/', import.meta.url));
const test = fileURLToPath(new URL('./', import.meta.url));

function chromium(): string {
  for (const name of ['chromium-headless-shell', 'chromium'])
    try {
      return execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim();
    } catch {
      // the next one
    }
  return '';
}

interface Page {
  goto(url: string): Promise<unknown>;
  evaluate<T>(script: string): Promise<T>;
  close(): Promise<void>;
  reload(): Promise<unknown>;
}

const executablePath = chromium();

/** A page with a link to a server that is in the page itself, and an outbox whose server is this test. */
const script = `
  import { share } from ${JSON.stringify(src + 'share.js')};
  import { Outbox } from ${JSON.stringify(src + 'outbox.js')};
  import { Rest } from ${JSON.stringify(src + 'rest.js')};
  import { TestLink, TestReader } from ${JSON.stringify(test + 'tabs.js')};
  const links = [];
  const heads = new Map();
  const source = share('browser', () => (links.push(new TestLink(heads)), links.at(-1)));
  const reader = new TestReader('s1');
  source.follow(reader);
  const rest = new Rest(new URL(location.origin), { requestMs: 5000 });
  const outbox = new Outbox({ rest, limits: { baseMs: 20, maxMs: 50, outboxMax: 10, requestMs: 5000 }, store: 'indexeddb', scope: location.origin });
  Object.assign(window, { links, heads, source, reader, outbox, give: (n) => (heads.set('s1', n), links.at(-1).deliver()) });`;

describe.skipIf(!executablePath)('in Chromium', () => {
  let server: Server;
  let url = '';
  let up = true;
  const prompts: { text: string; key: string }[] = [];
  // playwright-core is a tool of the browser tests; its types are not needed here.
  let browser: { newPage(): Promise<Page>; newContext(): Promise<{ newPage(): Promise<Page> }>; close(): Promise<void> };

  beforeAll(async () => {
    const rolldown = ((await import(pathToFileURL(require.resolve('rolldown')).href)) as typeof import('rolldown')).rolldown;
    const entry = path.join(test, 'browser-entry.js');
    const bundle = await rolldown({
      input: 'entry',
      resolve: { extensionAlias: { '.js': ['.ts', '.js'] } },
      plugins: [{ name: 'entry', resolveId: (id) => (id === 'entry' ? entry : null), load: (id) => (id === entry ? script : null) }],
    });
    const code = (await bundle.generate({ format: 'esm' })).output[0].code;
    await bundle.close();
    server = createServer((request, response) => {
      if (request.method === 'GET') return void response.writeHead(200, { 'Content-Type': request.url === '/app.js' ? 'text/javascript' : 'text/html' }).end(request.url === '/app.js' ? code : '<script type=module src=/app.js></script>');
      let body = '';
      request.on('data', (part) => (body += part)).on('end', () => {
        if (!up) return void request.socket.destroy();
        prompts.push(JSON.parse(body) as { text: string; key: string });
        response.writeHead(201, { 'Content-Type': 'application/json' }).end(JSON.stringify({ session: 's1', id: prompts.length, duplicate: false }));
      });
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const playwright = (await import(pathToFileURL(require.resolve('playwright-core')).href)) as { chromium?: unknown; default?: { chromium: unknown } };
    const engine = (playwright.chromium ?? playwright.default?.chromium) as { launch(options: object): Promise<typeof browser> };
    browser = await engine.launch({ executablePath, args: ['--no-sandbox'] });
  }, 60_000);

  afterAll(async () => {
    await browser?.close();
    server?.closeAllConnections();
    server?.close();
  });

  const ready = (page: Page, condition: string) => vi.waitFor(async () => expect(await page.evaluate(`Boolean(${condition})`), condition).toBe(true), { timeout: 10_000, interval: 20 });

  it('tabs share one connection, and the next one goes on when the first is closed', async () => {
    const context = await browser.newContext();
    const [a, b] = [await context.newPage(), await context.newPage()];
    await a.goto(url);
    await ready(a, 'window.links?.length === 1');
    await b.goto(url);
    await ready(b, 'window.source?.state.shared && source.state.phase === "live"');
    await ready(a, 'links[0].follows.size === 2');
    await a.evaluate('give(20)');
    await ready(b, 'reader.got.length === 20');
    expect(await b.evaluate('links.length')).toBe(0);
    await a.close();
    await ready(b, 'links.length === 1 && !source.state.shared');
    await b.evaluate('give(30)');
    expect(await b.evaluate('[reader.got.join(), reader.doubles, reader.holes]')).toEqual([Array.from({ length: 30 }, (_, i) => i + 1).join(), 0, 0]);
  }, 30_000);

  it('a tab whose leader does not answer steals its lock, and the old one follows', async () => {
    const context = await browser.newContext();
    const [a, b] = [await context.newPage(), await context.newPage()];
    await a.goto(url);
    await ready(a, 'window.links?.length === 1');
    await a.evaluate('window.spin = (ms) => { const end = Date.now() + ms; while (Date.now() < end); }');
    await b.goto(url);
    await ready(b, 'window.source?.state.phase === "live"');
    await b.evaluate('Math.random = () => 0.1'); // no beat is passed over by chance
    void a.evaluate('setTimeout(() => spin(12000))').catch(() => {});
    await vi.waitFor(async () => expect(await b.evaluate('links.length')).toBe(1), { timeout: 11_500, interval: 200 });
    await vi.waitFor(async () => expect(await a.evaluate('links[0].closed && source.state.shared')).toBe(true), { timeout: 25_000, interval: 200 });
    await b.evaluate('give(5)');
    await ready(a, 'reader.got.length === 5');
  }, 60_000);

  it('a prompt that could not be sent is sent after a reload, and shown in another tab meanwhile', async () => {
    const context = await browser.newContext();
    const [a, b] = [await context.newPage(), await context.newPage()];
    up = false;
    await a.goto(url);
    await ready(a, 'window.outbox');
    await a.evaluate(`void outbox.add({ session: 's1', command: 'prompt', body: { text: 'kept' } })`);
    await ready(a, 'outbox.pending[0]?.problem');
    await b.goto(url);
    await ready(b, `window.outbox?.pending[0]?.body.text === 'kept'`);
    const key = await a.evaluate<string>('outbox.pending[0].key');
    expect(prompts).toEqual([]);
    await b.close();
    await a.reload();
    await ready(a, 'window.outbox?.pending.length === 1');
    up = true;
    await ready(a, 'outbox.pending.length === 0');
    expect(prompts).toEqual([{ text: 'kept', key }]);
    await a.reload();
    await ready(a, 'window.outbox');
    await new Promise((done) => setTimeout(done, 300));
    expect(prompts).toHaveLength(1);
  }, 30_000);
});
