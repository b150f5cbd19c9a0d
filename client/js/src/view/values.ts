// Readers of what agents wrote: any member may be missing or of another form,
// so each gives something harmless instead of throwing.
import type { ImageRef } from './types.js';

export type Bag = Record<string, unknown>;

export const bag = (v: unknown): Bag => (typeof v === 'object' && v !== null && !Array.isArray(v) ? (v as Bag) : {});
export const isBag = (v: unknown): v is Bag => typeof v === 'object' && v !== null && !Array.isArray(v);
export const str = (v: unknown): string => (typeof v === 'string' ? v : '');
export const list = (v: unknown): unknown[] => (Array.isArray(v) ? v : []);
export const num = (v: unknown): number | undefined => (typeof v === 'number' && Number.isFinite(v) ? v : undefined);
/** A name of something: ids are strings as a rule and sometimes numbers. */
export const idOf = (v: unknown): string => (typeof v === 'number' ? String(v) : str(v));

/** A value as one text: itself, or its JSON. */
export function textOf(v: unknown): string {
  if (typeof v === 'string') return v;
  return v === undefined || v === null ? '' : JSON.stringify(v) ?? '';
}

/** An error is a text or an object with a message. */
export function errorText(v: unknown): string {
  return str(v) || str(bag(v).message) || (isBag(v) ? JSON.stringify(v) : '');
}

/** Milliseconds of a time of the log; NaN when it is none. */
export const ms = (time: string): number => Date.parse(time);

/** From one time of the log to another, never negative: a server's clock may be set back. */
export function between(from: string, to: string): number {
  const passed = ms(to) - ms(from);
  return passed > 0 ? passed : 0;
}

const sha256 = /^[0-9a-f]{64}$/;
const shown = /^(image\/(?:png|jpeg|gif|webp|avif))$/i;
const inline = /^data:(image\/(?:png|jpeg|gif|webp|avif));base64,/i;
const own = /^\/v1\/blobs\/[0-9a-f]{64}$/;
/** Nested blocks that are looked through for images, and images of one item. */
const depthMax = 4;
const imagesMax = 64;

/**
 * The images that a value refers to, in the forms that the protocol and the agents' formats have. Only what can be shown without
 * asking another host has a url: text of an agent must not be able to call home.
 */
export function imagesOf(value: unknown): ImageRef[] {
  const found: ImageRef[] = [];
  gather(value, depthMax, found);
  return found;
}

function gather(value: unknown, depth: number, into: ImageRef[]): void {
  if (depth === 0 || typeof value !== 'object' || value === null || into.length >= imagesMax) return;
  if (Array.isArray(value)) {
    for (const v of value.slice(0, 1000)) gather(v, depth - 1, into);
    return;
  }
  const image = imageOf(value as Bag);
  if (image) {
    into.push(image);
    return;
  }
  const v = value as Bag;
  if (v.content !== undefined) gather(v.content, depth - 1, into);
  if (v.images !== undefined) gather(v.images, depth - 1, into);
}

function imageOf(v: Bag): ImageRef | undefined {
  const type = str(v.contentType) || str(v.mimeType) || str(v.media_type);
  if (sha256.test(str(v.sha256)) && (type === '' || type.startsWith('image/'))) {
    return { url: own.test(str(v.url)) ? str(v.url) : `/v1/blobs/${str(v.sha256)}`, contentType: type, bytes: num(v.bytes) ?? 0 };
  }
  if (v.type === 'image' && isBag(v.source)) return inlined(str(v.source.media_type), str(v.source.data));
  if (v.type === 'image' && typeof v.data === 'string') return inlined(type, v.data);
  const url = str(v.url) || str(v.image_url) || str(bag(v.image_url).url);
  const data = inline.exec(url);
  if (data) return { url, contentType: data[1]!, bytes: Math.floor((url.length - data[0].length) * 0.75) };
  if (url && (type.startsWith('image/') || /^(?:image_url|input_image|image)$/.test(str(v.type)))) return { url: own.test(url) ? url : '', contentType: type, bytes: num(v.bytes) ?? 0 };
  return undefined;
}

function inlined(contentType: string, base64: string): ImageRef {
  const url = shown.test(contentType) && base64 ? `data:${contentType};base64,${base64}` : '';
  return { url, contentType, bytes: Math.floor(base64.length * 0.75) };
}

/** The images of a prompt: every entry counts, also one of a form that nobody knows. */
export function promptImages(value: unknown): ImageRef[] {
  return list(value).slice(0, imagesMax).map((v) => {
    if (typeof v === 'string') return imageOf({ url: v, type: 'image' }) ?? { url: '', contentType: '', bytes: 0 };
    return imageOf(bag(v)) ?? { url: '', contentType: str(bag(v).contentType), bytes: num(bag(v).bytes) ?? 0 };
  });
}
