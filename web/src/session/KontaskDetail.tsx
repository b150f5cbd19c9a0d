import type { Kontask as Record_ } from '@konlog/client';
import type { KontaskItem } from '@konlog/client/view';
import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Dialog } from '../parts/Dialog';
import { moment } from '../parts/format';
import { Icon } from '../parts/Icon';
import { Json } from '../parts/Json';
import { Markdown } from '../parts/Markdown';
import { useView } from './hooks';
import { Choices, list } from './Kontask';
import { KontaskOutput } from './KontaskOutput';

/** All that is known of a kontask: a page of its own over the conversation. */
export function KontaskDetail({ item, onClose }: { item: KontaskItem; onClose: () => void }) {
  const { record, trouble } = useRecord(item);
  const request = useRequest(item, record);
  return (
    <Dialog open title={record.title || 'Kontask'} onClose={onClose} class="wide kontask-detail">
      <button type="button" class="button quiet back" onClick={onClose}>
        <Icon name="back" /> Back to the conversation
      </button>
      {record.description && <p>{record.description}</p>}
      {trouble && <p class="kontask-note">{trouble}</p>}
      <Part title="Output">{record.context?.output ? <KontaskOutput kontask={item.kontaskId} title={record.title || 'Kontask'} html={record.context.output} /> : <p class="kontask-note">It has no output.</p>}</Part>
      <Part title="Quick actions">
        <Choices item={item} />
      </Part>
      <Part title="Original request">{request ? <Markdown text={request} /> : <p class="kontask-note">No layout configured</p>}</Part>
      <Part title="Details">
        <Details record={record} />
      </Part>
      <details class="raw">
        <summary>Raw data</summary>
        <Json value={record} />
      </details>
    </Dialog>
  );
}

function Part({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <section class="detail-part">
      <h3>{title}</h3>
      {children}
    </section>
  );
}

function Details({ record }: { record: Record_ }) {
  const rows: [string, string][] = [
    ['Type', record.type ?? ''],
    ['Status', record.status ?? ''],
    ['Scope', record.scope ?? ''],
    ['Tags', list(record.tags).join(', ')],
    ['For', record.targetUser ?? ''],
    ['Created', time(record.createdAt)],
    ['Updated', time(record.updatedAt)],
    ['Created by', record.createdBy ?? ''],
    ['Request', record.requestId ?? ''],
    ['Id', record.id],
  ];
  return (
    <dl class="kontask-facts">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value || <span class="dim">none</span>}</dd>
        </div>
      ))}
    </dl>
  );
}

function time(value: string | undefined): string {
  return value ? moment(value) || value : '';
}

/** The record as the server has it, which knows times; until then, and without a server, as the log has it. */
function useRecord(item: KontaskItem): { record: Record_; trouble: string } {
  const { actions } = useView();
  const [fresh, setFresh] = useState<Record_>();
  const [trouble, setTrouble] = useState('');
  useEffect(() => {
    if (!actions) return;
    const stop = new AbortController();
    actions.get<Record_>(`/v1/kontasks/${encodeURIComponent(item.kontaskId)}`, { signal: stop.signal }).then(
      (got) => (setFresh(got), setTrouble('')),
      () => !stop.signal.aborted && setTrouble('The server could not be asked; this is what the log says.'),
    );
    return () => stop.abort();
  }, [item.kontaskId, item.last, actions]);
  return { record: { ...item.record, ...fresh, id: item.kontaskId }, trouble };
}

/** The prompt of the turn that the kontask came from: in the conversation, else from the server. */
function useRequest(item: KontaskItem, record: Record_): string {
  const { conversation, session, actions } = useView();
  const turn = record.requestId || (record.context as { requestId?: string } | undefined)?.requestId || item.turn;
  const here = turn ? conversation()?.sections.find((s) => s.turn === turn)?.prompt : '';
  const [found, setFound] = useState('');
  useEffect(() => {
    if (!turn || here || !actions) return;
    const stop = new AbortController();
    const path = `/v1/sessions/${encodeURIComponent(record.session || session)}/turns/${encodeURIComponent(turn)}`;
    // Not found means that there is no such turn, which is what is shown then.
    actions.get<{ prompt?: string }>(path, { signal: stop.signal }).then((t) => setFound(t.prompt ?? ''), () => undefined);
    return () => stop.abort();
  }, [turn, here, actions, session]);
  return here || found;
}
