// Images that go with a prompt: uploaded as soon as they are there, so that
// sending is one small command.
import { ProblemError, type Blob as Stored } from '@konlog/client';
import { signal } from '@preact/signals';
import { bytes } from '../parts/format';
import { imageTypes } from '../parts/Image';

/** Images of one prompt. */
export const imagesMax = 10;
/** Bytes of one image: what the server takes as a blob. */
export const imageBytesMax = 32 << 20;

/** What was not taken is sent again after so long, or when the server says; not as late as it may like. */
const againMs = 5_000;
const againMaxMs = 300_000;

export interface Attachment {
  id: number;
  name: string;
  bytes: number;
  contentType: string;
  /** blob: address to look at it. */
  preview: string;
  /** kept: the server could not take it now, it is tried again. refused: it will not take it. */
  state: 'uploading' | 'kept' | 'refused' | 'done';
  say: string;
  stored?: Stored;
}

/** The images of a prompt box. */
export class Attachments {
  readonly list = signal<readonly Attachment[]>([]);
  private readonly contents = new Map<number, globalThis.Blob>();
  private readonly timers = new Map<number, ReturnType<typeof setTimeout>>();
  private next = 1;

  constructor(private readonly upload: (content: globalThis.Blob) => Promise<Stored>) {}

  /** Takes images; says why some were not, '' when all were. */
  add(files: readonly File[]): string {
    const troubles: string[] = [];
    for (const file of files) {
      const trouble = this.refuse(file);
      if (trouble) troubles.push(trouble);
      else this.take(file);
    }
    return [...new Set(troubles)].join(' ');
  }

  private refuse(file: File): string {
    if (!imageTypes.some((type) => type === file.type)) return `${file.name || 'It'} is no image that can be sent: use PNG, JPEG, GIF, WebP or AVIF.`;
    if (file.size > imageBytesMax) return `${file.name} has ${bytes(file.size)}; the most is ${bytes(imageBytesMax)}.`;
    if (file.size === 0) return `${file.name} is empty.`;
    if (this.list.value.length >= imagesMax) return `A prompt takes ${imagesMax} images.`;
    return '';
  }

  private take(file: File): void {
    const id = this.next++;
    this.contents.set(id, file);
    const one: Attachment = { id, name: file.name || 'image', bytes: file.size, contentType: file.type, preview: URL.createObjectURL(file), state: 'uploading', say: '' };
    this.list.value = [...this.list.value, one];
    void this.send(id);
  }

  /** Tries again what could not be uploaded: when the server is back, or when somebody asks. */
  retry(): void {
    for (const one of this.list.value) if (one.state === 'kept') void this.send(one.id);
  }

  private async send(id: number): Promise<void> {
    const content = this.contents.get(id);
    if (!content) return;
    clearTimeout(this.timers.get(id));
    this.change(id, { state: 'uploading', say: '' });
    try {
      const stored = await this.upload(content);
      this.change(id, { state: 'done', stored });
    } catch (reason) {
      const problem = reason instanceof ProblemError ? reason.problem : undefined;
      // 401: it is taken after the sign-in, which calls retry.
      const final = problem !== undefined && problem.status !== 0 && problem.status !== 401 && !problem.retryable;
      this.change(id, { state: final ? 'refused' : 'kept', say: final ? problem.detail || problem.title : 'Not uploaded yet.' });
      if (!final && problem?.status !== 401) this.later(id, problem?.retryAfter);
    }
  }

  /** The connection may stand all the while: nobody would call retry. */
  private later(id: number, seconds = 0): void {
    if (!this.contents.has(id)) return;
    const wait = Math.min(Math.max(againMs, seconds * 1000), againMaxMs);
    this.timers.set(id, setTimeout(() => void this.send(id), wait));
  }

  private change(id: number, to: Partial<Attachment>): void {
    this.list.value = this.list.value.map((one) => (one.id === id ? { ...one, ...to } : one));
  }

  remove(id: number): void {
    const one = this.list.value.find((a) => a.id === id);
    if (one) URL.revokeObjectURL(one.preview);
    this.contents.delete(id);
    clearTimeout(this.timers.get(id));
    this.timers.delete(id);
    this.list.value = this.list.value.filter((a) => a.id !== id);
  }

  /** As a prompt names them; undefined while one of them is not there. */
  images(): { sha256: string; contentType: string; bytes: number }[] | undefined {
    const all = this.list.value.filter((a) => a.state !== 'refused');
    if (all.some((a) => !a.stored)) return undefined;
    return all.map(({ stored }) => ({ sha256: stored!.sha256, contentType: stored!.contentType, bytes: stored!.bytes }));
  }

  clear(): void {
    for (const one of this.list.value) this.remove(one.id);
  }
}

/** The images in what was pasted or dropped. */
export function imagesOf(transfer: DataTransfer | null): File[] {
  return [...(transfer?.files ?? [])].filter((file) => file.type.startsWith('image/'));
}
