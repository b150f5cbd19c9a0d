// Makes pictures of screens small: a screen has few colours, so 256 of them say
// the same in a third of the bytes. Reads what Chromium writes, nothing else.

import { crc32, deflateSync, inflateSync } from 'node:zlib';

const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
/** Colours of a palette. */
const paletteMax = 256;
/** Of these the commonest; the rest are those that would be missed most. */
const commonMax = 160;

/** The same picture with a palette. */
export function shrink(png) {
  const { width, height, pixels } = decode(png);
  const palette = choose(count(pixels));
  const nearest = finder(palette);
  const rows = Buffer.alloc(height * (width + 1)); // each row begins with its filter: none
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++) rows[y * (width + 1) + 1 + x] = nearest(pixels[at++]);
  }
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 3, 0, 0, 0], 8);
  const colours = Buffer.from(palette.flatMap((c) => [c >> 16, (c >> 8) & 255, c & 255]));
  return Buffer.concat([signature, chunk('IHDR', head), chunk('PLTE', colours), chunk('IDAT', deflateSync(rows, { level: 9, memLevel: 9 })), chunk('IEND', Buffer.alloc(0))]);
}

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const out = Buffer.alloc(8 + data.length + 4);
  out.writeUInt32BE(data.length, 0);
  body.copy(out, 4);
  out.writeUInt32BE(crc32(body), 8 + data.length);
  return out;
}

/** Pixels as 0xRRGGBB; screens have no transparency. */
function decode(png) {
  const data = [];
  let head;
  for (let at = 8; at < png.length; ) {
    const length = png.readUInt32BE(at);
    const type = png.toString('latin1', at + 4, at + 8);
    const body = png.subarray(at + 8, at + 8 + length);
    if (type === 'IHDR') head = body;
    if (type === 'IDAT') data.push(body);
    at += 12 + length;
  }
  const [width, height] = [head.readUInt32BE(0), head.readUInt32BE(4)];
  const bytes = { 2: 3, 6: 4 }[head[9]];
  if (head[8] !== 8 || !bytes || head[12] !== 0) throw new Error(`a PNG of depth ${head[8]}, type ${head[9]}, interlace ${head[12]} is not read here`);
  const rows = unfilter(inflateSync(Buffer.concat(data)), width * bytes, height, bytes);
  const pixels = new Uint32Array(width * height);
  for (let i = 0, at = 0; i < pixels.length; i++, at += bytes) pixels[i] = (rows[at] << 16) | (rows[at + 1] << 8) | rows[at + 2];
  return { width, height, pixels };
}

// Takes back what each row's filter did, as the PNG specification (section 9) has it.
function unfilter(raw, stride, height, bytes) {
  const out = Buffer.alloc(stride * height);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)];
    for (let x = 0; x < stride; x++) {
      const at = y * stride + x;
      const left = x >= bytes ? out[at - bytes] : 0;
      const up = y > 0 ? out[at - stride] : 0;
      const corner = x >= bytes && y > 0 ? out[at - stride - bytes] : 0;
      out[at] = raw[y * (stride + 1) + 1 + x] + predict(filter, left, up, corner);
    }
  }
  return out;
}

function predict(filter, left, up, corner) {
  if (filter === 0) return 0;
  if (filter === 1) return left;
  if (filter === 2) return up;
  if (filter === 3) return (left + up) >> 1;
  const p = left + up - corner;
  const [a, b, c] = [Math.abs(p - left), Math.abs(p - up), Math.abs(p - corner)];
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

function count(pixels) {
  const counts = new Map();
  for (const c of pixels) counts.set(c, (counts.get(c) ?? 0) + 1);
  return counts;
}

const distance = (a, b) => ((a >> 16) - (b >> 16)) ** 2 + (((a >> 8) & 255) - ((b >> 8) & 255)) ** 2 + ((a & 255) - (b & 255)) ** 2;

// The commonest colours, then again and again the one that is furthest from all that were taken, by how often it is there.
function choose(counts) {
  const all = [...counts].sort((a, b) => b[1] - a[1]);
  const palette = all.slice(0, commonMax).map(([c]) => c);
  const rest = all.slice(commonMax).map(([c, n]) => ({ c, n, far: Math.min(...palette.map((p) => distance(c, p))) }));
  while (palette.length < paletteMax && rest.length > 0) {
    const next = rest.reduce((a, b) => (b.far * Math.sqrt(b.n) > a.far * Math.sqrt(a.n) ? b : a));
    if (next.far === 0) break;
    palette.push(next.c);
    for (const r of rest) r.far = Math.min(r.far, distance(r.c, next.c));
  }
  return palette;
}

function finder(palette) {
  const known = new Map(palette.map((c, i) => [c, i]));
  return (c) => {
    let best = known.get(c);
    if (best !== undefined) return best;
    best = 0;
    for (let i = 1; i < palette.length; i++) if (distance(c, palette[i]) < distance(c, palette[best])) best = i;
    known.set(c, best);
    return best;
  };
}
