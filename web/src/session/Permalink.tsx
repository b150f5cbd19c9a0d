import { link } from '../app/route';
import { Icon } from '../parts/Icon';
import { useView } from './hooks';

/** A link to an event of this session. */
export function Permalink({ id, word = '' }: { id: number; word?: string }) {
  const { session } = useView();
  return (
    <a class="icon-button" href={link(session, '', { id })} aria-label={word ? undefined : `Link to event ${id}`} title={`Link to event ${id}`}>
      <Icon name="link" />
      {word}
    </a>
  );
}
