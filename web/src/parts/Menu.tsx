import type { ComponentChildren } from 'preact';
import { useSignal } from '@preact/signals';
import { useId, useLayoutEffect, useRef } from 'preact/hooks';
import { Icon, type IconName } from './Icon';
import './parts.css';

export interface MenuItem {
  label: string;
  icon?: IconName;
  run: () => void;
  danger?: boolean;
  disabled?: boolean;
  /** Why it is disabled. */
  why?: string;
}

/** A button that opens a list of actions in the top layer, so that no scroller cuts it. */
export function Menu({ label, items, children }: { label: string; items: () => MenuItem[]; children?: ComponentChildren }) {
  const id = useId();
  const button = useRef<HTMLButtonElement>(null);
  const list = useRef<HTMLDivElement>(null);
  // Lists have many menus: one is filled when it is opened.
  const open = useSignal(false);
  useLayoutEffect(() => {
    if (open.value) place(button.current, list.current);
  }, [open.value]);
  return (
    <>
      <button ref={button} type="button" class="icon-button menu-button" aria-label={label} aria-haspopup="menu" popovertarget={id} onClick={(e) => e.stopPropagation()}>
        {children ?? <Icon name="more" />}
      </button>
      <div
        ref={list}
        id={id}
        class="menu"
        role="menu"
        aria-label={label}
        popover="auto"
        onToggle={(e) => (open.value = e.newState === 'open')}
        onKeyDown={(e) => move(e, list.current)}
      >
        {(open.value ? items() : []).map((item) => (
          <button
            key={item.label}
            type="button"
            role="menuitem"
            tabIndex={-1}
            class={item.danger ? 'danger' : ''}
            disabled={item.disabled}
            title={item.why}
            onClick={() => {
              list.current?.hidePopover();
              item.run();
            }}
          >
            {item.icon && <Icon name={item.icon} />}
            {item.label}
          </button>
        ))}
        {open.value && reasons(items()).map((why) => (
          <p key={why} class="menu-why" role="none">
            {why}
          </p>
        ))}
      </div>
    </>
  );
}

/** Each reason once, however many entries have it. */
const reasons = (items: readonly MenuItem[]): string[] => [...new Set(items.flatMap(({ why }) => why ?? []))];

const EDGE = 8;

/** Puts a popover under what opened it, or over it where there is no room; within the page in any case. */
export function place(anchor: HTMLElement | null, popover: HTMLElement | null): void {
  if (!anchor || !popover) return;
  const at = anchor.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = popover;
  const below = at.bottom + 4;
  const top = below + height + EDGE <= innerHeight ? below : Math.max(EDGE, at.top - height - 4);
  popover.style.top = `${top}px`;
  popover.style.left = `${Math.min(Math.max(EDGE, at.right - width), innerWidth - width - EDGE)}px`;
  popover.querySelector<HTMLElement>('[role=menuitem]:not(:disabled)')?.focus();
}

function move(e: KeyboardEvent, list: HTMLElement | null): void {
  const step = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[e.key];
  if (step === undefined || !list) return;
  e.preventDefault();
  e.stopPropagation();
  const all = [...list.querySelectorAll<HTMLElement>('[role=menuitem]:not(:disabled)')];
  const at = all.indexOf(document.activeElement as HTMLElement);
  const next = Number.isFinite(step) ? (at + step + all.length) % all.length : step < 0 ? 0 : all.length - 1;
  all[next]?.focus();
}
