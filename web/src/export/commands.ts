// Commands that a person takes to a terminal. Ids of turns may hold quotes, so
// each word is quoted for a POSIX shell.

/** A word of a shell command. */
export function shellWord(text: string): string {
  return /^[A-Za-z0-9_./:=@%,+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A command of such words. */
export function shellLine(...words: string[]): string {
  return words.map(shellWord).join(' ');
}

/** Reads one event with curl, with the agent's own line. */
export function curlOf(base: string | URL, session: string, id: number): string {
  return shellLine('curl', '-s', new URL(`/v1/sessions/${encodeURIComponent(session)}/events?after=${id - 1}&until=${id}&raw=1`, base).href);
}

/** Reads one event with konlog. */
export function tailOf(base: string | URL, session: string, id: number): string {
  return shellLine('konlog', 'tail', session, '--after', String(id - 1), '--until', String(id), '--no-follow', '--json', '--raw', ...server(base));
}

/** Writes a session to a file with konlog. */
export function exportOf(base: string | URL, session: string, format: 'jsonl' | 'html' | 'sqlite', out: string): string {
  return shellLine('konlog', 'export', '--session', session, ...(format === 'jsonl' ? [] : ['--format', format]), '--out', out, ...server(base));
}

/** Shows a turn with konlog. */
export function turnOf(base: string | URL, session: string, turn: string): string {
  return shellLine('konlog', 'turns', session, turn, ...server(base));
}

const DEFAULT_SERVER = 'http://127.0.0.1:8787';

function server(base: string | URL): string[] {
  const { origin } = new URL(base);
  return origin === DEFAULT_SERVER ? [] : ['--server', origin];
}
