import { useEffect, useMemo, useState } from 'preact/hooks';
import { bytes as size } from './format';
import { Icon } from './Icon';
import { safeHref } from './sanitize';
import './content.css';

/** The kinds of image that are shown: pixels only. SVG is a document and can hold anything. */
export const imageTypes = ['image/png', 'image/jpeg', 'image/gif', 'image/webp', 'image/avif'] as const;
/** Characters of base64 that are decoded; about the largest event. */
const base64Max = 1_500_000;

interface Props {
  /** Where it is: a path of this server, or data: of an allowed kind. Anything else becomes a link. */
  url: string;
  contentType?: string;
  bytes?: number;
  alt?: string;
}

/** An image of this server or out of an event, small until it is pressed. Others are links: nothing is fetched from elsewhere. */
export function Image({ url, contentType = '', bytes, alt = 'Image' }: Props) {
  const [large, setLarge] = useState(false);
  const [failed, setFailed] = useState(false);
  const source = useSource(url);
  const about = [contentType.replace('image/', '').toUpperCase(), bytes ? size(bytes) : ''].filter(Boolean).join(', ');
  if (failed || !source) return <NoImage url={url} about={about} failed={failed} />;
  return (
    <button type="button" class={`image ${large ? 'large' : ''}`} aria-label={`${alt}${about && ` (${about})`}: ${large ? 'smaller' : 'larger'}`} aria-pressed={large} title={about} onClick={() => setLarge(!large)}>
      <img src={source} alt={alt} loading="lazy" decoding="async" referrerpolicy="no-referrer" onError={() => setFailed(true)} />
    </button>
  );
}

function NoImage({ url, about, failed }: { url: string; about: string; failed: boolean }) {
  const href = localPath(url) ?? safeHref(url);
  const say = failed ? 'Image cannot be shown' : 'Image';
  return (
    <span class="no-image">
      <Icon name="image" />
      {href && !href.startsWith('#') ? (
        <a href={href} target="_blank" rel="noopener noreferrer">
          {say}
          {about && ` (${about})`}
        </a>
      ) : (
        <span>
          {say}
          {about && ` (${about})`}
          {!failed && ', not in the log'}
        </span>
      )}
    </span>
  );
}

/** What an img may load: the server's own blobs, and pictures that stand in the event, as blob: of an allowed type. */
function useSource(url: string): string | undefined {
  const local = localPath(url);
  const made = useMemo(() => (local ? undefined : decode(url)), [url]);
  const [object, setObject] = useState<string>();
  useEffect(() => {
    if (!made) return setObject(undefined);
    const address = URL.createObjectURL(made);
    setObject(address);
    return () => URL.revokeObjectURL(address);
  }, [made]);
  return local ?? object;
}

/** Where this server has a blob. No other path of it: a stream that never ends would hold one of the browser's few connections. */
export function localPath(url: string): string | undefined {
  return /^\/v1\/blobs\/[0-9a-f]{64}$/.test(url) ? url : undefined;
}

/** The picture in a data: address, as an allowed type; undefined for anything else. */
export function decode(url: string): Blob | undefined {
  const found = /^data:(image\/[a-z]+);base64,/.exec(url.slice(0, 64));
  const type = imageTypes.find((t) => t === found?.[1]);
  if (!type || url.length > base64Max) return undefined;
  try {
    const binary = atob(url.slice(found![0].length));
    return new Blob([Uint8Array.from(binary, (c) => c.charCodeAt(0))], { type });
  } catch {
    return undefined;
  }
}
