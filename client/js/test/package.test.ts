// The package as a user gets it: packed, unpacked into a project of its own,
// imported by plain Node and checked by TypeScript.
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const run = promisify(execFile);
const here = fileURLToPath(new URL('..', import.meta.url));
const modules = path.join(here, '../../node_modules');
const timeout = 120_000;
let dir = '';
let listed: string[] = [];

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'konlog-package-'));
  const { stdout } = await run('npm', ['pack', '--offline', '--json', '--pack-destination', dir], { cwd: here, timeout });
  listed = (JSON.parse(stdout.slice(stdout.indexOf('[\n'))) as { files: { path: string }[] }[])[0]!.files.map((f) => f.path);
  const at = path.join(dir, 'node_modules/@konlog/client');
  await mkdir(at, { recursive: true });
  const packed = (await readdir(dir)).find((name) => name.endsWith('.tgz'))!;
  await run('tar', ['-xzf', path.join(dir, packed), '--strip-components=1', '-C', at]);
  for (const name of ['react', '@types']) await symlink(path.join(modules, name), path.join(dir, 'node_modules', name));
  await writeFile(path.join(dir, 'package.json'), '{"type":"module"}');
}, timeout);

afterAll(() => rm(dir, { recursive: true, force: true }));

describe('the package', () => {
  it('has its code, its types, its README, its licence, and nothing else', () => {
    for (const file of ['package.json', 'README.md', 'LICENSE', ...['index', 'view/index', 'react'].flatMap((name) => [`dist/${name}.js`, `dist/${name}.d.ts`])]) expect(listed).toContain(file);
    expect(listed.filter((file) => !/^(dist\/.+\.(js|d\.ts)|package\.json|README\.md|LICENSE)$/.test(file))).toEqual([]);
  });

  it('needs no other package, and names only what is there', () => {
    const own = createRequire(import.meta.url)('../package.json') as { dependencies?: object; exports: Record<string, Record<string, string>> };
    expect(own.dependencies).toBeUndefined();
    for (const target of Object.values(own.exports).flatMap((entry) => Object.values(entry))) expect(listed).toContain(target.replace('./', ''));
  });

  it('is imported by plain Node, each entry', async () => {
    const script = `
      import { connect, ProblemError, dataOf } from '@konlog/client';
      import { openSession, Fold } from '@konlog/client/view';
      import { useSession, useConnection, usePending } from '@konlog/client/react';
      const connection = connect({ url: 'http://127.0.0.1:9' });
      connection.close();
      console.log([ProblemError, dataOf, openSession, Fold, useSession, useConnection, usePending].map((f) => typeof f).join(), connection.state.phase);`;
    await writeFile(path.join(dir, 'script.js'), script);
    const { stdout } = await run(process.execPath, ['script.js'], { cwd: dir, timeout });
    expect(stdout).toBe(`${Array(7).fill('function').join()} closed\n`);
  }, timeout);

  for (const resolution of ['nodenext', 'bundler'])
    it(`has types that are found and hold with ${resolution} resolution`, async () => {
      const sample = `
        import { connect, dataOf, ProblemError, type Connection, type LogEvent, type Pending } from '@konlog/client';
        import { openSession, type Item } from '@konlog/client/view';
        import { useSession, type SessionHook } from '@konlog/client/react';
        const connection: Connection = connect({ url: 'http://127.0.0.1:8787', transport: 'sse', auth: async () => 'token' });
        for await (const event of connection.session('s1')) show(event);
        function show(event: LogEvent): string | undefined { return event.type === 'text_delta' ? dataOf(event, 'text_delta').text : undefined; }
        const ack: { id: number } = await connection.send({ session: 's1', command: 'prompt', body: { text: 'a' } });
        const waiting: readonly Pending[] = connection.pending;
        const items: readonly Item[] = openSession(connection, 's1').snapshot.conversation.sections.flatMap((s) => s.items);
        export function Hook(): SessionHook { return useSession(connection, 's1'); }
        try { await connection.get('/v1/sessions'); } catch (e) { if (e instanceof ProblemError && e.problem.code === 'unreachable') console.log(ack, waiting, items); }
        // @ts-expect-error no such transport
        connect({ transport: 'carrier pigeon' });
        // @ts-expect-error no such command
        void connection.send({ session: 's1', command: 'pray' });
        // @ts-expect-error no such member of this type of event
        show({ id: 1, session: 's', type: 'x', time: '', data: null }) && dataOf({} as LogEvent, 'text_delta').txt;`;
      await writeFile(path.join(dir, 'sample.ts'), sample);
      const module = resolution === 'bundler' ? 'esnext' : 'nodenext';
      const flags = ['--noEmit', '--strict', '--target', 'es2022', '--lib', 'es2023,dom,dom.iterable,dom.asynciterable', '--module', module, '--moduleResolution', resolution, '--types', 'react', 'sample.ts'];
      const { stdout } = await run(process.execPath, [path.join(modules, 'typescript/bin/tsc'), ...flags], { cwd: dir, timeout }).catch((e: { stdout: string }) => e);
      expect(stdout).toBe('');
    }, timeout);
});
