/** Characters of a line: far over what an event may have, and below what would take the memory of a page. */
const lineMax = 64 << 20;

/**
 * Reads an event stream as it comes: UTF-8 and lines may be cut anywhere, lines end with LF, CR or both. It gives the data of
 * each event; konlog says everything else in there.
 */
export class EventStream {
  readonly #decoder = new TextDecoder(); // drops a byte order mark at the beginning
  readonly #data: (data: string) => void;
  #rest = ''; // of a line that has not ended
  #lines: string[] = []; // of data
  #cr = false; // the last chunk ended with CR: a LF now belongs to it

  constructor(data: (data: string) => void) {
    this.#data = data;
  }

  push(chunk: Uint8Array): void {
    let text = this.#decoder.decode(chunk, { stream: true });
    if (!text) return;
    if (this.#cr && text[0] === '\n') text = text.slice(1);
    this.#cr = text.endsWith('\r');
    const lines = text.split(/\r\n|\n|\r/);
    lines[0] = this.#rest + lines[0];
    this.#rest = lines.pop()!;
    if (this.#rest.length > lineMax) throw new Error('a line of the event stream does not end');
    for (const line of lines) this.#line(line);
  }

  #line(line: string): void {
    if (line.startsWith('data:')) this.#lines.push(line.slice(line[5] === ' ' ? 6 : 5));
    else if (line === 'data') this.#lines.push('');
    else if (!line && this.#lines.length) {
      const data = this.#lines.join('\n');
      this.#lines = [];
      this.#data(data);
    }
  }
}
