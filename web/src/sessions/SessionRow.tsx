import { link, route } from '../app/route';
import { Ago, Elapsed } from '../parts/Ago';
import { Menu } from '../parts/Menu';
import { clip, plural } from '../parts/format';
import { sessionMenu } from './actions';
import { badges, note, type BadgeName } from './badges';
import { StateDot } from './StateDot';
import { rowOf } from './store';

const words: Partial<Record<BadgeName, { text: string; tone: string }>> = {
  'needs-you': { text: 'Needs you', tone: 'warn' },
  kontask: { text: 'Kontask', tone: 'accent' },
  failed: { text: 'Failed', tone: 'bad' },
  unread: { text: 'New', tone: 'ok' },
  working: { text: 'Working', tone: 'neutral' },
};

/** One session of the list. It is drawn anew when its own row is another, and only then. */
export function SessionRow({ id, top, place, of }: { id: string; top: number; place: number; of: number }) {
  const row = rowOf(id).value;
  if (!row) return null;
  const at = route.value;
  const here = 'session' in at && at.session === id;
  const all = badges(row);
  const say = note(row);
  const bold = all.some((b) => b !== 'working');
  return (
    <li class={`srow ${bold ? 'bold' : ''}`} data-session={id} style={{ top: `${top}px` }} aria-posinset={place} aria-setsize={of}>
      <a href={link(id)} aria-current={here ? 'page' : undefined} data-row>
        <StateDot row={row} />
        <span class="srow-lines">
          <span class="srow-line">
            <span class="srow-title" title={row.title ? `${row.title}\n${id}` : id}>
              {row.title || id}
            </span>
            {row.turn && !row.closed && row.turnSince > 0 ? <Elapsed since={row.turnSince} /> : row.updatedAt > 0 && <Ago time={row.updatedAt} />}
          </span>
          <span class="srow-line">
            <span class="srow-note">{say ? clip(say, 120) : row.title ? id : plural(row.head, 'event')}</span>
            {all.map((name) => (
              <span key={name} class={`badge ${words[name]?.tone ?? ''}`} data-badge={name}>
                {words[name]?.text}
              </span>
            ))}
          </span>
        </span>
      </a>
      <Menu label={`Actions for ${row.title || id}`} items={() => sessionMenu(row)} />
    </li>
  );
}
