import { ProblemError, type Ack, type Blob as Stored } from '@konlog/client';
import { useComputed, useSignal, type ReadonlySignal } from '@preact/signals';
import type { RefObject } from 'preact';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { owner } from '../account/owner';
import { useShortcuts } from '../app/shortcuts';
import { bytes } from '../parts/format';
import { Icon } from '../parts/Icon';
import { Attachments, imagesOf, type Attachment } from './attachments';
import { draftName, loadDraft, saveDraft } from './drafts';
import type { Actions } from './context';

/** Bytes of a prompt's text: what fits into one event with room for the rest. */
export const promptBytesMax = 900_000;
/** A draft is kept this long after the last key. */
const draftMs = 300;

export interface ComposerProps {
  session: string;
  actions: Actions;
  upload: (content: globalThis.Blob) => Promise<Stored>;
  /** Id of the turn that runs, '' when none does. */
  turn: string;
  closed: boolean;
  /** The server can be reached. */
  online: ReadonlySignal<boolean>;
  /** Told when something is sent, before anybody has taken it. */
  onSend?: () => void;
  /** Told of each prompt that was taken, with its text. */
  onSent?: (ack: Ack, text: string) => void;
}

/** The prompt box. What is typed is never lost: it is a draft, then it waits in the outbox, then it is in the log. */
export function Composer(props: ComposerProps) {
  if (props.closed) {
    return (
      <div class="composer-closed">
        <Icon name="lock" /> This session is closed: it takes no more prompts.
      </div>
    );
  }
  const why = props.actions.why?.(props.session) ?? '';
  if (why) {
    return (
      <div class="composer-closed" data-testid="read-only">
        <Icon name="eye" /> {why}
      </div>
    );
  }
  // Somebody else has drafts of their own.
  const draft = draftName(props.session);
  return <Box key={draft} draft={draft} {...props} />;
}

function Box(props: ComposerProps & { draft: string }) {
  const { turn, online } = props;
  const field = useRef<HTMLTextAreaElement>(null);
  const box = useComposer(props, field);
  useShortcuts([['c', 'Write a prompt', () => field.current?.focus()]]);
  return (
    <form
      class={`composer ${box.dropping.value ? 'dropping' : ''}`}
      aria-label="Prompt"
      onSubmit={(e) => {
        e.preventDefault();
        box.send();
      }}
      onDragOver={(e) => {
        e.preventDefault();
        box.dropping.value = true;
      }}
      onDragLeave={() => (box.dropping.value = false)}
      onDrop={(e) => {
        e.preventDefault();
        box.dropping.value = false;
        box.attach(imagesOf(e.dataTransfer));
      }}
    >
      {turn && <Aim steer={box.steer.value} onChange={(steer) => (box.steer.value = steer)} />}
      <Previews list={box.attachments.list.value} attachments={box.attachments} />
      <div class="composer-line">
        <AttachButton onFiles={box.attach} />
        <Field field={field} box={box} turn={turn} />
        {turn && <Stop key={turn} {...props} />}
        <button type="submit" class="button primary composer-send" data-testid="send" disabled={!box.ready.value} title={box.why.value} aria-label={turn ? (box.steer.value ? 'Steer the turn' : 'Queue the prompt') : 'Send the prompt'}>
          <Icon name="send" />
          <span>{turn ? (box.steer.value ? 'Steer' : 'Queue') : 'Send'}</span>
        </button>
      </div>
      <p class="composer-say" role="status">
        {box.trouble.value || box.why.value || (!online.value && box.text.value !== '' ? awayWords(props.actions) : '')}
      </p>
    </form>
  );
}

function awayWords({ signedOut }: Actions): string {
  return signedOut?.value ? 'You are signed out: what you send is kept and goes out when you have signed in.' : 'The server cannot be reached: what you send is kept and goes out when it is back.';
}

type PromptBox = ReturnType<typeof useComposer>;

function Field({ field, box, turn }: { field: RefObject<HTMLTextAreaElement | null>; box: PromptBox; turn: string }) {
  const steers = turn !== '' && box.steer.value;
  return (
    <textarea
      ref={field}
      class="composer-field"
      data-testid="composer"
      rows={1}
      enterkeyhint="send"
      aria-label={steers ? 'Prompt into the running turn' : 'Prompt'}
      placeholder={steers ? 'To the running turn…' : turn ? 'The next prompt…' : 'Write a prompt…'}
      value={box.text.value}
      onInput={(e) => box.type(e.currentTarget.value)}
      onKeyDown={(e) => {
        if (!sends(e)) return;
        e.preventDefault();
        box.send();
      }}
      onPaste={(e) => {
        const images = imagesOf(e.clipboardData);
        // Text that comes with pictures of itself (a spreadsheet) is pasted as text.
        if (images.length === 0 || e.clipboardData?.types.includes('text/plain')) return;
        e.preventDefault();
        box.attach(images);
      }}
    />
  );
}

function useComposer({ session, draft, actions, upload, turn, online, onSend, onSent }: ComposerProps & { draft: string }, field: RefObject<HTMLTextAreaElement | null>) {
  const text = useSignal(loadDraft(draft));
  const steer = useSignal(false);
  const dropping = useSignal(false);
  const trouble = useSignal('');
  const attachments = useMemo(() => new Attachments(upload), []);
  useDraft(session, draft, text);
  useEffect(() => () => attachments.clear(), []);
  useEffect(() => {
    if (online.value) attachments.retry();
  }, [online.value]);
  const why = useComputed(() => (attachments.list.value.some((a) => a.state === 'uploading') ? 'The images are being uploaded.' : attachments.list.value.some((a) => a.state === 'kept') ? 'The server has not taken the images yet: they are kept here, and sent once it does. Reloading the page loses them.' : ''));
  const ready = useComputed(() => why.value === '' && (text.value.trim() !== '' || attachments.list.value.some((a) => a.state === 'done')));

  const send = () => {
    if (!ready.peek()) return;
    const images = attachments.images();
    const body = promptBody(text.peek(), images ?? [], turn && steer.peek() ? turn : '');
    const size = new TextEncoder().encode(body.text).length;
    if (size > promptBytesMax) {
      trouble.value = `This prompt has ${bytes(size)}; the most is ${bytes(promptBytesMax)}. Make it shorter.`;
      return;
    }
    // Kept in the outbox from here on; what is refused shows there.
    onSend?.();
    void actions.send({ session, command: 'prompt', body }).then((ack) => onSent?.(ack, body.text), (reason) => notKept(reason) && back(body.text, reason.message));
    text.value = trouble.value = '';
    steer.value = false;
    saveDraft(draft, '');
    attachments.clear();
    field.current?.focus();
  };
  /** Gives the text back, unless something else is written by now. */
  const back = (was: string, say: string) => {
    if (text.peek() === '') text.value = was;
    if (loadDraft(draft) === '') saveDraft(draft, was);
    trouble.value = say;
  };
  const type = (now: string) => {
    text.value = now;
    trouble.value = '';
  };
  const attach = (files: readonly File[]) => {
    if (files.length > 0) trouble.value = attachments.add(files);
  };
  return { text, steer, dropping, trouble, attachments, why, ready, send, type, attach };
}

/** The outbox did not take it: it was full, or did not load. What it took and the server refused shows there; a status tells. */
function notKept(reason: unknown): reason is ProblemError {
  return reason instanceof ProblemError && reason.problem.status === 0 && ['outbox_full', 'unreachable'].includes(reason.problem.code);
}

/** The command's body; into a running turn it goes by that turn's id, marked as what it is. */
export function promptBody(text: string, images: readonly object[], into: string) {
  return { text: text.trimEnd(), ...(images.length > 0 && { images }), ...(into !== '' && { requestId: into, source: 'inject' }) };
}

/** Keeps the text as a draft a moment after the last key, when the page goes, and when it turns out whose it is. */
function useDraft(session: string, name: string, text: ReadonlySignal<string>): void {
  // Only what was changed here: another tab may have written since.
  const kept = useRef(text.peek());
  const save = () => {
    if (text.peek() !== kept.current) saveDraft(name, (kept.current = text.peek()));
  };
  useEffect(() => {
    const timer = setTimeout(save, draftMs);
    return () => clearTimeout(timer);
  }, [text.value]);
  useEffect(() => {
    const mine = () => draftName(session) === name;
    // Before the box of the one who is known by now is drawn: that takes it over.
    const stop = owner.subscribe(() => mine() || save());
    addEventListener('pagehide', save);
    return () => {
      stop();
      removeEventListener('pagehide', save);
      if (mine()) save();
    };
  }, []);
}

/** Enter sends, unless an input method is composing, or there is no Shift to make a line with (on a phone). */
export function sends(e: KeyboardEvent): boolean {
  // Safari ends a composition before the key that ended it: 229 tells.
  if (e.key !== 'Enter' || e.shiftKey || e.altKey || e.isComposing || e.keyCode === 229) return false;
  if (e.ctrlKey || e.metaKey) return true;
  return !matchMedia('(hover: none) and (pointer: coarse)').matches;
}

/** Where a prompt goes while a turn runs. */
function Aim({ steer, onChange }: { steer: boolean; onChange: (steer: boolean) => void }) {
  return (
    <div class="aim" role="radiogroup" aria-label="Where the prompt goes">
      <label class={steer ? '' : 'on'}>
        <input type="radio" name="aim" checked={!steer} onChange={() => onChange(false)} />
        After this turn
      </label>
      <label class={steer ? 'on steer' : ''} data-testid="steer">
        <input type="radio" name="aim" checked={steer} onChange={() => onChange(true)} />
        <Icon name="bolt" />
        Into the running turn
      </label>
    </div>
  );
}

/** Asks whoever runs the turn to stop it. */
function Stop({ session, actions, turn }: ComposerProps) {
  const asked = useSignal(false);
  const stop = () => {
    asked.value = true;
    actions.send({ session, command: 'stop', body: { requestId: turn } }).catch(() => (asked.value = false));
  };
  return (
    <button type="button" class="button danger" data-testid="stop" disabled={asked.value} onClick={stop} aria-label={asked.value ? 'Stopping' : 'Stop the turn'}>
      <Icon name="stop" />
      <span>{asked.value ? 'Stopping…' : 'Stop'}</span>
    </button>
  );
}

function AttachButton({ onFiles }: { onFiles: (files: File[]) => void }) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <button type="button" class="icon-button" aria-label="Attach images" title="Attach images (or paste, or drop them here)" onClick={() => input.current?.click()}>
        <Icon name="image" />
      </button>
      <input
        ref={input}
        type="file"
        accept="image/png,image/jpeg,image/gif,image/webp,image/avif"
        multiple
        hidden
        data-testid="attach"
        onChange={(e) => {
          onFiles([...(e.currentTarget.files ?? [])]);
          e.currentTarget.value = '';
        }}
      />
    </>
  );
}

function Previews({ list, attachments }: { list: readonly Attachment[]; attachments: Attachments }) {
  if (list.length === 0) return null;
  return (
    <ul class="previews" aria-label="Images of the prompt">
      {list.map((one) => (
        <li key={one.id} class={`preview ${one.state}`} data-testid="preview" data-state={one.state}>
          <img src={one.preview} alt={one.name} />
          <span>
            {bytes(one.bytes)}
            {one.state === 'uploading' && <span class="spinner" role="img" aria-label="Uploading" />}
            {one.state === 'kept' && ' waits'}
            {one.state === 'refused' && ' refused'}
          </span>
          {one.state === 'refused' && <span class="preview-say">{one.say}</span>}
          <button type="button" class="icon-button" aria-label={`Remove ${one.name}`} onClick={() => attachments.remove(one.id)}>
            <Icon name="close" />
          </button>
        </li>
      ))}
    </ul>
  );
}
