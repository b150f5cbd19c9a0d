// Image of an exported page: there is no server, so what events refer to by
// its SHA-256 comes out of the page.
import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import { Image as Shown } from '../parts/Image';

export { decode, imageTypes, localPath } from '../parts/Image';

/** The pictures of the page as data URLs, by SHA-256. */
export const Pictures = createContext<Readonly<Record<string, string>>>({});

/** As parts/Image, of a picture that stands in the page. One that does not is named and not fetched. */
export function Image(props: Parameters<typeof Shown>[0]) {
  const pictures = useContext(Pictures);
  const sha = /^\/v1\/blobs\/([0-9a-f]{64})$/.exec(props.url)?.[1];
  return <Shown {...props} url={sha ? (pictures[sha] ?? '') : props.url.startsWith('data:') ? props.url : ''} />;
}
