import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { announce } from '../app/announce';
import { connectionState, pending } from '../app/connection';
import { downgradeWords, stateWords, transportNames } from '../app/linkstate';
import { bytes, count, duration } from '../parts/format';
import { copy } from '../parts/copy';
import { Icon, type IconName } from '../parts/Icon';
import { Badge } from '../parts/Badge';
import { abilities, type Ability } from './browser';
import './diagnostics.css';
import { cancel, examine, findings, realtime, running, walks } from './doctor';
import { Timeline } from './Timeline';
import { report, summary, type Finding } from './verdict';

const names: Record<string, string> = { server: 'Server', clocks: 'Clocks', ws: 'WebSocket', sse: 'Server-sent events', poll: 'Long-polling' };
const icons: Record<Finding['status'], IconName> = { ok: 'check', warn: 'warning', fail: 'close', off: 'info' };
const words: Record<Finding['status'], string> = { ok: 'OK', warn: 'Look at this', fail: 'Broken', off: 'Off' };
const CHECKS = 5;

/** The doctor in the browser: what gets through from here to the server, and what to do about what does not. */
export function DiagnosticsPage(_: Record<string, never>) {
  const idle = useSignal(0);
  const able = useSignal<Ability[]>([]);
  useEffect(() => {
    void abilities().then((all) => (able.value = all));
    void run(0);
    return cancel;
  }, []);
  return (
    <div class="sheet diagnostics">
      <header class="sheet-head">
        <h1>Diagnostics</h1>
        <div class="row">
          <select class="field diag-idle" aria-label="Silence to test" value={String(idle.value)} onChange={(e) => (idle.value = Number(e.currentTarget.value))}>
            <option value="0">Quick</option>
            <option value="30">With 30 s of silence</option>
            <option value="90">With 90 s of silence</option>
          </select>
          <button type="button" class="button" disabled={running.value} onClick={() => void run(idle.value)}>
            <Icon name="refresh" />
            Run again
          </button>
          <CopyReport able={able.value} />
        </div>
      </header>
      <Verdict />
      <ul class="card diag-list">
        {findings.value.map((f) => (
          <FindingRow key={f.check} finding={f} />
        ))}
        {running.value && findings.value.length < CHECKS && (
          <li class="diag-row dim">
            <span class="spinner" /> {idle.value > 0 ? 'Listening, also to silence …' : 'Listening …'}
          </li>
        )}
      </ul>
      <div class="diag-columns">
        <ThisPage />
        <TheServer />
        <section class="card diag-facts" aria-label="This browser">
          <h2>This browser</h2>
          <ul>
            {able.value.map((a) => (
              <li key={a.name}>
                <Icon name={a.has ? 'check' : 'close'} class={a.has ? 'good' : 'dim'} />
                <span>
                  {a.name}
                  <span class="visually-hidden">{a.has ? ', yes' : ', no'}</span> <span class="dim">{a.means}</span>
                </span>
              </li>
            ))}
          </ul>
        </section>
      </div>
    </div>
  );
}

async function run(idle: number): Promise<void> {
  await examine(idle);
  if (!running.value && findings.value.length === CHECKS) announce(summary(findings.value).text);
}

function Verdict() {
  const done = !running.value && findings.value.length === CHECKS;
  const { status, text } = done ? summary(findings.value) : { status: 'off' as const, text: 'Looking …' };
  return (
    <p class={`diag-verdict ${status}`} data-testid="verdict" data-status={done ? status : 'running'}>
      {done ? <Icon name={icons[status]} /> : <span class="spinner" />}
      {text}
    </p>
  );
}

function FindingRow({ finding }: { finding: Finding }) {
  const tone = ({ ok: 'ok', warn: 'warn', fail: 'bad', off: 'neutral' } as const)[finding.status];
  const result = walks.value.find((w) => w.transport === finding.check);
  return (
    <li class="diag-row" data-check={finding.check} data-status={finding.status}>
      <div class="diag-name">
        <b>{names[finding.check] ?? finding.check}</b>
        <Badge tone={tone}>{words[finding.status]}</Badge>
      </div>
      <div class="diag-text">
        <p>{finding.detail}</p>
        {finding.hint && <p class="diag-hint">{finding.hint}</p>}
        {result && result.arrivals.length > 0 && <Timeline walk={result} />}
      </div>
    </li>
  );
}

function ThisPage() {
  const { transport, phase, attempt, downgrade, trouble, shared } = connectionState.value;
  return (
    <section class="card diag-facts" aria-label="This page">
      <h2>This page</h2>
      <dl class="facts">
        <dt>Connection</dt>
        <dd>{stateWords.value}</dd>
        <dt>Transport</dt>
        <dd>{transportNames[transport]}</dd>
        <dt>Shared</dt>
        <dd>{shared ? 'another tab has the connection' : 'this tab has the connection'}</dd>
        <dt>To be sent</dt>
        <dd>{count(pending.value.length)}</dd>
        {phase !== 'live' && attempt > 0 && (
          <>
            <dt>Attempts</dt>
            <dd>{count(attempt)}</dd>
          </>
        )}
        {downgrade && (
          <>
            <dt>Why not better</dt>
            <dd>{downgradeWords(downgrade)}</dd>
          </>
        )}
        {trouble && (
          <>
            <dt>Last trouble</dt>
            <dd>{trouble}</dd>
          </>
        )}
      </dl>
    </section>
  );
}

function TheServer() {
  const of = realtime.value;
  if (!of) return null;
  const sum = Object.values(of.connections).reduce((a, b) => a + b, 0);
  const { ageMs = 0, events = 0, bytes: size = 0 } = of.retention;
  return (
    <section class="card diag-facts" aria-label="The server">
      <h2>The server</h2>
      <dl class="facts">
        <dt>Version</dt>
        <dd>{of.version}</dd>
        <dt>Offers</dt>
        <dd>{Object.entries(of.transports).filter(([, on]) => on).map(([name]) => name).join(', ') || 'plain reads only'}</dd>
        <dt>Pushes</dt>
        <dd>{[of.channels.taskmaster && 'lists', of.channels.shell && 'shell sessions'].filter(Boolean).join(', ') || 'sessions only'}</dd>
        <dt>Connections</dt>
        <dd data-volatile>
          {count(sum)} of {count(of.limits.connections ?? 0)}
        </dd>
        <dt>Heartbeat</dt>
        <dd>{duration(of.heartbeatMs)}</dd>
        <dt>Keeps</dt>
        <dd>{[ageMs && `${duration(ageMs)}`, events && `${count(events)} events`, size && bytes(size)].filter(Boolean).join(', ') || 'everything'}{(ageMs || events || size) ? ' per session' : ''}</dd>
        <dt>Event, at most</dt>
        <dd>{bytes(of.limits.eventBytes ?? 0)}</dd>
        <dt>Upload, at most</dt>
        <dd>{bytes(of.limits.blobBytes ?? 0)}</dd>
      </dl>
    </section>
  );
}

function CopyReport({ able }: { able: Ability[] }) {
  const done = useSignal(false);
  const take = async () => {
    const { transport, phase } = connectionState.value;
    const facts = {
      at: new Date().toISOString(),
      page: location.origin,
      server: realtime.value?.version ?? 'unknown',
      connection: `${phase} over ${transport}`,
      browser: navigator.userAgent,
      without: able.filter((a) => !a.has).map((a) => a.name).join(', ') || 'nothing',
    };
    done.value = await copy(report(facts, findings.value));
    announce(done.value ? 'Report copied' : 'Copying is not allowed here');
  };
  return (
    <button type="button" class="button" disabled={running.value} onClick={() => void take()}>
      <Icon name={done.value ? 'check' : 'copy'} />
      Copy report
    </button>
  );
}
