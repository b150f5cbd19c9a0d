// Colours in code: the highlighter comes as a chunk of its own, with the first
// code that wants it.

/** Characters of one piece of code that are coloured; more would hold up the page. */
export const highlightMax = 60_000;

let chunk: Promise<typeof import('./languages')> | undefined;

/** HTML with the code's colours; undefined when its language is not known or it is too long. */
export async function highlight(code: string, language: string): Promise<string | undefined> {
  if (!language || code.length > highlightMax) return undefined;
  chunk ??= import('./languages');
  try {
    return (await chunk).colour(code, language);
  } catch {
    // Without the chunk the code is still there to read; the next one tries again.
    chunk = undefined;
    return undefined;
  }
}

/** Colours the code in an element that was made of Markdown. The returned function gives up. */
export function highlightNested(element: HTMLElement): () => void {
  let gone = false;
  for (const code of element.querySelectorAll<HTMLElement>('pre > code[class^="language-"]')) {
    const language = code.className.slice('language-'.length);
    const text = code.textContent ?? '';
    void highlight(text, language).then((html) => {
      if (html !== undefined && !gone && code.isConnected && code.textContent === text) code.innerHTML = html;
    });
  }
  return () => (gone = true);
}

const byEnding: Record<string, string> = {
  ts: 'typescript', tsx: 'typescript', mts: 'typescript', js: 'javascript', jsx: 'javascript', mjs: 'javascript', cjs: 'javascript',
  py: 'python', go: 'go', rs: 'rust', java: 'java', c: 'c', h: 'c', cc: 'cpp', cpp: 'cpp', hpp: 'cpp', cs: 'csharp', rb: 'ruby', php: 'php',
  sh: 'bash', bash: 'bash', zsh: 'bash', json: 'json', jsonl: 'json', yaml: 'yaml', yml: 'yaml', toml: 'ini', ini: 'ini', html: 'xml', xml: 'xml', svg: 'xml',
  css: 'css', sql: 'sql', md: 'markdown', diff: 'diff', patch: 'diff', dockerfile: 'dockerfile', kt: 'kotlin', swift: 'swift',
};

/** The language of a file by its name, '' when unknown. */
export function languageOf(path: string): string {
  const name = path.split(/[/\\]/).at(-1)!.toLowerCase();
  return byEnding[name] ?? byEnding[name.split('.').at(-1)!] ?? '';
}
