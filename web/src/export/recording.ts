// The session that stands in an exported page.
import type { LogEvent } from '@konlog/client';
import { PAGE, type PageBody, type ReadPage } from '../replay/log';
import type { Hole } from '../replay/slice';

/** What konlog export --format html puts into a page. */
export interface Recording {
  konlog: 'replay/2';
  session: { id: string; head: number; floor: number; title?: string; scope?: string; tags?: string[]; state: string; createdAt: string };
  /** What could not be read, in words. */
  missing?: string[];
  /** Pictures as data URLs, by SHA-256. */
  images?: Record<string, string>;
  events: (LogEvent | Redacted)[];
}

/** In the place of an event whose content was removed. */
interface Redacted {
  id: number;
  redacted: true;
}

/** Reads what stands in the page: JSON, compressed, as base64. */
export async function unpack(text: string): Promise<Recording> {
  const bytes = Uint8Array.from(atob(text.trim()), (c) => c.charCodeAt(0));
  const json = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).text();
  const recording = JSON.parse(json) as Recording;
  if (recording.konlog !== 'replay/2') throw new Error(`This page holds a recording of another kind: ${String(recording.konlog)}.`);
  return recording;
}

/** The recording as a log to read, one page after the other. Nothing of it has to go, so it is never read twice. */
export function recordingLog(recording: Recording): ReadPage {
  const pages = pagesOf(recording);
  const head = recording.events.at(-1)?.id ?? 0;
  return async ({ after }) => {
    const found = pages.find((p) => p.next > Number(after ?? 0)) ?? { next: head, events: [] };
    return { page: { epoch: 'recording', floor: recording.session.floor, head, ...found }, size: 0 };
  };
}

type Stretch = Pick<PageBody, 'gap' | 'events' | 'next'>;

// A hole stands before the events of a page, so a page ends where one begins.
function pagesOf({ events, session }: Recording): Stretch[] {
  const pages: Stretch[] = [];
  let expected = Math.max(1, session.floor);
  for (const event of events) {
    let page = pages.at(-1);
    const gone = 'redacted' in event;
    const hole: Hole | undefined = gone
      ? { from: event.id, to: event.id, reason: 'redacted' }
      : event.id > expected
        ? { from: expected, to: event.id - 1, reason: 'retention' }
        : undefined;
    if (gone && page?.gap?.reason === 'redacted' && page.gap.to === event.id - 1 && page.events.length === 0) page.gap.to = event.id;
    else if (hole || !page || page.events.length >= PAGE) pages.push((page = { next: 0, events: [], ...(hole && { gap: hole }) }));
    if (!gone) page!.events.push(event);
    page!.next = event.id;
    expected = event.id + 1;
  }
  return pages;
}
