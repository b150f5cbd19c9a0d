// Sessions as they look in a working day, for the pictures of the docs and for
// the audit of what is shown. Past turns are imported with their times, so that
// durations and charts are those of real work; what waits for a person is live.

import { append } from './producer.mjs';

/** Events with times of their own, counted back from now. */
class Story {
  constructor(session, minutesAgo) {
    Object.assign(this, { session, lines: [], at: Date.now() - minutesAgo * 60_000, turn: undefined });
  }

  /** Adds an event so many seconds after the one before. */
  add(seconds, type, data, parent) {
    this.at += seconds * 1000;
    this.lines.push({ id: this.lines.length + 1, session: this.session, type, ...(this.turn && { turn: this.turn }), ...(parent && { parent }), time: new Date(this.at).toISOString(), data });
    return this;
  }

  begin(turn, prompt, { agent = 'claude-code', images } = {}) {
    this.turn = turn;
    return this.add(2, 'prompt', { text: prompt, source: 'user', ...(images && { images }) }).add(0.4, 'turn_start', { prompt, agent });
  }

  think(seconds, text) {
    return this.add(seconds / 2, 'thinking_delta', { text: text.slice(0, 20) }).add(seconds / 2, 'thinking', { text });
  }

  say(seconds, text, parent) {
    return this.add(seconds, 'text', { text }, parent);
  }

  tool(seconds, id, name, input, output, { isError = false, parent } = {}) {
    return this.add(0.3, 'tool_start', { id, name, input }, parent).add(seconds, 'tool_result', { id, name, output, isError }, parent);
  }

  end(data = { success: true, reason: 'done' }) {
    this.add(0.5, 'turn_end', data);
    this.turn = undefined;
    return this;
  }

  async import(server, { title, tags = [], scope = '' }) {
    await server.call(`/v1/sessions/${this.session}`, { title, tags, scope }, 'PUT');
    await server.lines(`/v1/sessions/${this.session}/import`, this.lines);
  }
}

const before = `func (s *Store) Migrate(ctx context.Context) error {
	for _, m := range migrations {
		if _, err := s.db.ExecContext(ctx, m.sql); err != nil {
			return err
		}
	}
	return nil
}
`;
const after = `// Migrate brings the schema up to date, all of it or nothing.
func (s *Store) Migrate(ctx context.Context) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer tx.Rollback()
	for _, m := range migrations {
		if _, err := tx.ExecContext(ctx, m.sql); err != nil {
			return fmt.Errorf("migrate to %d: %w", m.version, err)
		}
	}
	return tx.Commit()
}
`;

function release() {
  const story = new Story('release-2-4', 48);
  story.add(0, 'session_init', { sessionId: 'c787fc3b', model: 'claude-opus-5-5', cwd: '/src/shop', tools: ['Bash', 'Read', 'Edit', 'Task'] });
  story.begin('r-1', 'Release 2.4 fails on databases with two pending migrations. Find out why.');
  story.think(4, 'The migrations run one by one without a transaction. If the second fails the first stays, and the version table is wrong.');
  story.say(3, "I'll look at how migrations are applied, and at the test that fails.");
  story.tool(1.2, 'tu-1', 'Bash', { command: 'go test ./store -run TestMigrate', description: 'Run the failing test' }, '--- FAIL: TestMigrateTwoPending (0.04s)\n    migrate_test.go:61: version is 7, want 6 after a failed migration\nFAIL\tshop/store\t0.112s', { isError: true });
  story.tool(0.4, 'tu-2', 'Read', { file_path: 'store/migrate.go' }, before);
  story.add(0.2, 'tool_start', { id: 'tu-3', name: 'Task', input: { description: 'Find other callers of Migrate', subagent_type: 'Explore' } });
  story.say(4, 'Two places call `Migrate`: the server at its start, and the command `shop migrate`.', 'tu-3');
  story.tool(0.8, 'tu-3a', 'Grep', { pattern: 'Migrate\\(' }, 'cmd/serve.go:41\ncmd/migrate.go:18', { parent: 'tu-3' });
  story.add(1.5, 'tool_result', { id: 'tu-3', name: 'Task', output: 'Both callers stop at an error, so a transaction is safe for both.' });
  story.say(2, 'Each migration commits on its own. When the second fails, the first stays, and **the next start believes that both are done**.\n\n| start | version table | schema |\n|---|---|---|\n| before | 5 | 5 |\n| first, fails | 7 | 6 |\n| second | 7 | 6 |\n\nOne transaction around all of them mends it.');
  story.end({ success: true, reason: 'done', usage: { input_tokens: 18_400, output_tokens: 1_210 }, costUsd: 0.214 });
  story.add(95, 'kontask_created', { id: 'k-bench', title: 'Migration benchmark', status: 'running' });
  story.begin('r-2', 'Do it, and add a test with three migrations of which the last fails.');
  story.add(1, 'plan', { items: [{ text: 'Wrap the migrations in one transaction', status: 'completed' }, { text: 'Test with three, the last fails', status: 'completed' }, { text: 'Run the whole suite', status: 'in_progress' }, { text: 'Write the changelog', status: 'pending' }] });
  story.tool(0.6, 'tu-4', 'Edit', { file_path: 'store/migrate.go', old_string: before, new_string: after }, 'The file store/migrate.go has been updated.');
  story.tool(7.5, 'tu-5', 'Bash', { command: 'go test ./...', description: 'Run the whole suite' }, 'ok  \tshop/cmd\t0.8s\nok  \tshop/store\t1.9s\nok  \tshop/web\t2.4s');
  story.add(0.5, 'task_start', { taskId: 'bench', title: 'Benchmark with 4 GB of data' });
  story.say(3, 'Done: all migrations of a start are now one transaction.\n\n```go\nif _, err := tx.ExecContext(ctx, m.sql); err != nil {\n\treturn fmt.Errorf("migrate to %d: %w", m.version, err)\n}\n```\n\nThe suite is green. A benchmark with a large database runs in the background; its result comes as a card.');
  story.end({ success: true, reason: 'done', usage: { input_tokens: 26_900, output_tokens: 2_050 }, costUsd: 0.337 });
  return story;
}

const card = `<style>body{font:15px system-ui,sans-serif;margin:16px;color:#1b1f24;background:#fff}table{border-collapse:collapse}td,th{padding:4px 14px;border-bottom:1px solid #ddd;text-align:left}b{color:#1a7f37}</style>
<h3>4 GB, 61 million rows</h3><table><tr><th></th><th>before</th><th>after</th></tr><tr><td>migrate</td><td>48.1 s</td><td><b>46.9 s</b></td></tr><tr><td>rollback</td><td>none</td><td><b>3.2 s</b></td></tr><tr><td>WAL</td><td>0.4 GB</td><td>1.1 GB</td></tr></table>`;

// The turn that runs now, and what waits for a person.
async function liveRelease(server) {
  await append(server, 'release-2-4', [{ type: 'task_end', data: { taskId: 'bench', success: true }, key: 'live-0' }]);
  await server.call('/v1/kontasks/k-bench', {
    session: 'release-2-4', type: 'benchmark', status: 'ready', title: 'Migration benchmark: 46.9 s, 3.2 s to roll back', description: 'One transaction costs nothing, and a failed start now cleans up after itself.', tags: ['release', 'database'], scope: 'shop',
    context: { output: card, choices: [{ label: 'Ship 2.4', value: 'Tag 2.4 and publish it.', primary: true }, { label: 'Run it with 40 GB', value: 'Run the benchmark again with 40 GB.' }, { label: 'Not now', value: 'Leave it for now.' }] },
  }, 'PUT');
  await append(server, 'release-2-4', [
    { type: 'prompt', turn: 'r-3', data: { text: 'Write the changelog and tag the release candidate.', source: 'user' } },
    { type: 'turn_start', turn: 'r-3', data: { agent: 'claude-code' } },
    { type: 'thinking', turn: 'r-3', data: { text: 'The changelog has a section for what is not released yet. The tag comes last.' } },
    { type: 'text', turn: 'r-3', data: { text: 'The changelog entry is written. To tag the candidate I need to push to the remote.' } },
    { type: 'tool_start', turn: 'r-3', data: { id: 'tu-6', name: 'Edit', input: { file_path: 'CHANGELOG.md', old_string: '## Unreleased\n', new_string: '## Unreleased\n\n- Migrations of one start are one transaction: a failed start leaves the database as it was.\n' } } },
    { type: 'tool_result', turn: 'r-3', data: { id: 'tu-6', name: 'Edit', output: 'The file CHANGELOG.md has been updated.' } },
    { type: 'plan', turn: 'r-3', data: { items: [{ text: 'Write the changelog', status: 'completed' }, { text: 'Tag v2.4.0-rc.1', status: 'in_progress' }, { text: 'Tell the team', status: 'pending' }] } },
    { type: 'permission_request', turn: 'r-3', data: { requestId: 'q-push', tool: 'Bash', input: { command: 'git tag v2.4.0-rc.1 && git push origin v2.4.0-rc.1', description: 'Tag the release candidate and push the tag' } } },
  ].map((e, i) => ({ ...e, key: `live-${i + 1}` })));
}

// The other sessions of the day: [id, title, tags, what happened].
const others = [
  ['login-loop', 'Fix the login redirect loop', ['auth'], 'working'],
  ['nightly', 'Nightly build and dependency report', ['ci'], 'done'],
  ['flaky-cart', 'Flaky test in the cart', ['tests'], 'failed'],
  ['search-index', 'Rebuild the search index without downtime', ['search'], 'done'],
  ['invoices', 'Invoices: round per line, not per total', ['billing'], 'done'],
  ['a11y', 'Contrast of the checkout buttons', ['web'], 'done'],
  ['upgrade-go', 'Upgrade to Go 1.27', ['chore'], 'stopped'],
];

async function other(server, [id, title, tags, fate], index) {
  await server.call(`/v1/sessions/${id}`, { title, tags }, 'PUT');
  const turn = `${id}-1`;
  const events = [
    { type: 'prompt', turn, data: { text: title + '.', source: 'user' } },
    { type: 'turn_start', turn, data: { agent: index % 2 ? 'codex' : 'claude-code' } },
    { type: 'text', turn, data: { text: `I'll begin with the tests for: ${title}.` } },
    { type: 'tool_start', turn, data: { id: `${id}-t`, name: 'Bash', input: { command: 'make test' } } },
  ];
  if (fate !== 'working') {
    events.push({ type: 'tool_result', turn, data: { id: `${id}-t`, name: 'Bash', output: fate === 'failed' ? 'exit status 2' : 'ok', isError: fate === 'failed' } });
    events.push({ type: 'turn_end', turn, data: fate === 'failed' ? { success: false, reason: 'error', error: 'The cart test still fails one run in five.' } : { success: fate === 'done', reason: fate } });
  }
  await append(server, id, events.map((e, i) => ({ ...e, key: `${id}-${i}` })));
}

/**
 * Fills a server with a day's sessions. quiet: nothing waits in the main one.
 * Gives its id and the pages of the console: name, hash, and what says that it is there.
 */
export async function fillPleasantly(server, { quiet = false } = {}) {
  for (const [i, entry] of others.entries()) await other(server, entry, i);
  await release().import(server, { title: 'Release 2.4: migrations', tags: ['release', 'database'], scope: 'shop' });
  if (!quiet) await liveRelease(server);
  const session = 'release-2-4';
  const pages = [
    { name: 'list', hash: '#/', ready: '[data-session]' },
    { name: 'session', hash: `#/s/${session}`, ready: '[data-item=tool]' },
    { name: 'replay', hash: `#/s/${session}/replay`, ready: '[data-testid=conversation]' },
    { name: 'events', hash: `#/s/${session}/events`, ready: '[data-testid=event-rows] [data-id]' },
    { name: 'timing', hash: `#/s/${session}/timing`, ready: 'main svg' },
    { name: 'inbox', hash: '#/inbox', ready: 'main article, main li, main [data-request]' },
    { name: 'search', hash: '#/search?q=transaction', ready: 'main mark' },
    { name: 'diagnostics', hash: '#/diagnostics', ready: 'main h1' },
  ];
  return { session, pages };
}
