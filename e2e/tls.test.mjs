// Over TLS a browser speaks HTTP/2 for all but WebSockets, and both at once.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { Server, freePort, levelWithin, useRig } from './rig.mjs';

process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'; // the certificate is this test's own, and so is the server

const rig = useRig({
  prepare(rig) {
    const goRoot = execFileSync('go', ['env', 'GOROOT'], { encoding: 'utf8' }).trim();
    const generate = path.join(goRoot, 'src/crypto/tls/generate_cert.go');
    execFileSync('go', ['run', generate, '--host', '127.0.0.1', '--ecdsa-curve', 'P256'], { cwd: rig.work, stdio: 'pipe' });
  },
});

test('HTTP/2 and a WebSocket beside it', async (t) => {
  const port = await freePort();
  const flags = ['--tls-cert', path.join(rig.work, 'cert.pem'), '--tls-key', path.join(rig.work, 'key.pem')];
  const server = new Server(rig.binary, port, path.join(rig.work, 'data'), flags);
  server.url = `https://127.0.0.1:${port}`;
  t.after(() => server.stop('SIGKILL'));
  await server.start();
  await server.call('/v1/sessions/s1/events', { type: 'text', data: { text: 'over TLS' } });
  const device = await rig.device(t, { ignoreHTTPSErrors: true });
  const page = await device.context.newPage();
  const opened = page.waitForEvent('websocket', { timeout: levelWithin });
  await page.goto(server.url + '/#/s/s1');
  await page.getByText('over TLS').first().waitFor({ timeout: levelWithin });
  const socket = (await opened).url();
  assert.ok(socket.startsWith('wss://'), `the console opened ${socket}`);
  const seen = await page.evaluate(async (within) => {
    const first = (open) =>
      new Promise((resolve, reject) => {
        const source = open();
        setTimeout(() => reject(new Error('no event came')), within);
        source.onmessage = (m) => {
          for (const line of m.data.split('\n')) {
            if (JSON.parse(line).type === 'text') resolve(source.constructor.name);
          }
        };
        source.onerror = () => reject(new Error('the connection broke'));
      });
    const came = await Promise.all([
      first(() => new WebSocket(`wss://${location.host}/v1/sessions/s1/ws?after=0`)),
      first(() => new EventSource('/v1/sessions/s1/sse?after=0')),
    ]);
    await (await fetch('/v1/sessions/s1/events')).json();
    const entries = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
    return { came, protocols: [...new Set(entries.map((e) => e.nextHopProtocol).filter(Boolean))] };
  }, levelWithin);
  assert.deepEqual(seen, { came: ['WebSocket', 'EventSource'], protocols: ['h2'] });
  device.check('the console over TLS');
});
