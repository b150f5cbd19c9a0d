// A file that grows: straight to the disk where the browser can, else as a
// blob, which browsers keep on disk when it is large.
import type { LineSink } from './jsonl';

/** Text that is gathered before it becomes a part of the blob, in UTF-16 units. */
const PART_MAX = 4 << 20;

export interface FileSink extends LineSink {
  /** The file is complete: shows it to the person. */
  done(): Promise<void>;
  /** It is not wanted any more. */
  drop(): Promise<void>;
}

type Picker = (options: { suggestedName: string }) => Promise<{ createWritable(): Promise<FileSystemWritableFileStream> }>;

/** Asks where to write; undefined when the person changed their mind. */
export async function openFile(name: string, type: string): Promise<FileSink | undefined> {
  const pick = (globalThis as { showSaveFilePicker?: Picker }).showSaveFilePicker;
  if (!pick) return blobSink(name, type);
  try {
    const file = await (await pick({ suggestedName: name })).createWritable();
    return { write: (text) => file.write(text), done: () => file.close(), drop: () => file.abort() };
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') return undefined;
    return blobSink(name, type); // such as in a frame, where no picker may open
  }
}

function blobSink(name: string, type: string): FileSink {
  const blobs: Blob[] = [];
  let parts: string[] = [];
  let size = 0;
  const settle = () => {
    blobs.push(new Blob(parts));
    parts = [];
    size = 0;
  };
  return {
    async write(text) {
      parts.push(text);
      if ((size += text.length) > PART_MAX) settle();
    },
    async done() {
      settle();
      download(new Blob(blobs, { type }), name);
    },
    async drop() {
      blobs.length = parts.length = 0;
    },
  };
}

/** How long the address of a download must stand: the browser reads it after the click. */
const ADDRESS_MS = 60_000;

function download(blob: Blob, name: string) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), ADDRESS_MS);
}

/** A name for a file that every system takes. */
export function fileName(session: string, ending: string): string {
  return session.replace(/[^A-Za-z0-9._-]+/g, '-').replace(/^[.-]+/, '').slice(0, 100) + ending;
}
