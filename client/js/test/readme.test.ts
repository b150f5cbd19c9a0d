// The README's blocks are run as they stand: by plain Node, from the built
// package, against the real server.
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defaults } from '../src/limits.js';
import { startServer, type Server } from './rig.js';

const run = promisify(execFile);
const here = fileURLToPath(new URL('..', import.meta.url));
const modules = path.join(here, '../../node_modules');
const tsc = path.join(modules, 'typescript/bin/tsc');
const timeout = 60_000;

const readme = await readFile(path.join(here, 'README.md'), 'utf8');
const blocks = [...readme.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language, code]) => ({ language: language!, code: code! }));

/** What a block of this name prints, first to last, among other lines. */
const prints: Record<string, (string | RegExp)[]> = {
  'for await': ['1 prompt { text: ', /^5 turn_end/m],
  'session.onMessage': ['Hel', 'lo', 'up to date at 5'],
  'try {': [/it is event \d+ and will be turn \S+/, 'refused: question_not_found'],
  dropPending: ['waiting Go on', 'sending Go on'],
  downgrade: [/live (ws|sse)/],
  readToken: ['1\n'],
  signIn: ['local may write to *'],
  openSession: [/^r1 ended \[.*'text'.*\]/m],
};

let server: Server;
let dir = '';

beforeAll(async () => {
  server = await startServer();
  await server.append('s1', [
    { type: 'prompt', turn: 'r1', data: { text: 'hi' } },
    { type: 'turn_start', turn: 'r1', data: {} },
    { type: 'text_delta', turn: 'r1', data: { text: 'Hel' } },
    { type: 'text_delta', turn: 'r1', data: { text: 'lo' } },
    { type: 'turn_end', turn: 'r1', data: { success: true, reason: 'done' } },
  ]);
  dir = await mkdtemp(path.join(tmpdir(), 'konlog-readme-'));
  const own = path.join(dir, 'node_modules/@konlog/client');
  await mkdir(own, { recursive: true });
  await run(process.execPath, [tsc, '-p', path.join(here, 'tsconfig.build.json'), '--outDir', path.join(own, 'dist')], { timeout });
  await symlink(path.join(here, 'package.json'), path.join(own, 'package.json'));
  for (const name of ['react', '@types']) await symlink(path.join(modules, name), path.join(dir, 'node_modules', name));
  await writeFile(path.join(dir, 'package.json'), '{"type":"module"}');
}, 300_000);

afterAll(async () => {
  await server?.close();
  await rm(dir, { recursive: true, force: true });
});

describe('the README', () => {
  const scripts = blocks.filter((block) => block.language === 'js');

  it('has only blocks that are tried here', () => {
    expect(blocks.map((block) => block.language).filter((language) => !['sh', 'js', 'tsx'].includes(language))).toEqual([]);
    expect(blocks.filter((block) => block.language === 'sh').map((block) => block.code)).toEqual(['npm install konlog-client-0.1.0.tgz\n']);
    expect(scripts).toHaveLength(Object.keys(prints).length);
  });

  for (const [name, expected] of Object.entries(prints))
    it(`has a block with "${name}" that runs, ends, and prints what it should`, async () => {
      const found = scripts.filter(({ code }) => code.includes(name));
      expect(found).toHaveLength(1);
      const file = path.join(dir, `${name.replace(/\W/g, '')}.mjs`);
      await writeFile(file, found[0]!.code.replaceAll('http://127.0.0.1:8787', server.url));
      const { stdout, stderr } = await run(process.execPath, [file], { cwd: dir, timeout: 15_000 });
      expect(stderr).toBe('');
      let from = 0;
      for (const text of expected) {
        const rest = stdout.slice(from);
        const at = typeof text === 'string' ? rest.indexOf(text) : rest.search(text);
        expect(at, `${text} after ${from} in:\n${stdout}`).toBeGreaterThanOrEqual(0);
        from += at + 1;
      }
    }, timeout);

  it('has React code whose types hold', async () => {
    for (const [i, { code }] of blocks.filter((block) => block.language === 'tsx').entries()) {
      await writeFile(path.join(dir, `block${i}.tsx`), code);
      const flags = ['--noEmit', '--strict', '--target', 'es2022', '--lib', 'es2023,dom,dom.iterable,dom.asynciterable', '--module', 'esnext', '--moduleResolution', 'bundler', '--jsx', 'react-jsx', '--types', 'react', `block${i}.tsx`];
      const { stdout } = await run(process.execPath, [tsc, ...flags], { cwd: dir, timeout }).catch((e: { stdout: string }) => e);
      expect(stdout).toBe('');
    }
  }, timeout);

  it('has a table of all limits with their defaults', () => {
    const rows = [...readme.matchAll(/^\| (`\w+`(?:, `\w+`)*) \| ([\d, ]+) \|/gm)].flatMap(([, names, values]) => {
      const numbers = values!.split(',').map(Number);
      return [...names!.matchAll(/\w+/g)].map(([name], i) => [name, numbers[i]]);
    });
    expect(Object.fromEntries(rows)).toEqual(defaults);
  });
});
