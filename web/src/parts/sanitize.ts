// The one gate for HTML that came from a text. What is not named here is gone.
import DOMPurify, { type Config } from 'dompurify';

const config: Config = {
  ALLOWED_TAGS: [
    ...['a', 'abbr', 'b', 'blockquote', 'br', 'code', 'dd', 'del', 'details', 'div', 'dl', 'dt', 'em', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6'],
    ...['hr', 'i', 'ins', 'kbd', 'li', 'mark', 'ol', 'p', 'pre', 'q', 's', 'samp', 'small', 'span', 'strong', 'sub', 'summary', 'sup'],
    ...['table', 'tbody', 'td', 'tfoot', 'th', 'thead', 'tr', 'u', 'ul', 'var'],
  ],
  ALLOWED_ATTR: ['href', 'title', 'class', 'align', 'start', 'colspan', 'rowspan', 'open'],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  ALLOW_UNKNOWN_PROTOCOLS: false,
  // These go with what is in them: it was never text to read.
  FORBID_CONTENTS: ['script', 'style', 'template', 'noscript', 'iframe', 'object', 'embed', 'svg', 'math', 'audio', 'video', 'select', 'textarea', 'title', 'xmp', 'noembed', 'noframes', 'plaintext'],
  KEEP_CONTENT: true,
};

const purify = DOMPurify(window);

purify.addHook('uponSanitizeAttribute', (node, data) => {
  if (data.attrName === 'class') data.keepAttr = node.nodeName === 'CODE' && /^language-[\w+#.-]{1,40}$/.test(data.attrValue);
  if (data.attrName === 'align') data.keepAttr = /^T[DH]$/.test(node.nodeName) && /^(left|center|right)$/.test(data.attrValue);
  if (data.attrName === 'colspan' || data.attrName === 'rowspan') data.keepAttr = /^\d{1,2}$/.test(data.attrValue);
  if (data.attrName === 'start') data.keepAttr = /^\d{1,9}$/.test(data.attrValue);
  if (data.attrName === 'open') data.keepAttr = node.nodeName === 'DETAILS';
  if (data.attrName === 'href') data.keepAttr = node.nodeName === 'A' && safeHref(data.attrValue) !== undefined;
});

purify.addHook('afterSanitizeAttributes', (node) => {
  if (node.nodeName !== 'A') return;
  const href = safeHref(node.getAttribute('href') ?? '');
  if (href === undefined) return;
  node.setAttribute('href', href);
  if (href.startsWith('#')) return;
  node.setAttribute('target', '_blank');
  node.setAttribute('rel', 'noopener noreferrer');
});

/** HTML of which nothing runs, nothing is loaded, and nothing looks like a part of the page. */
export function clean(html: string): string {
  return purify.sanitize(html, config) as string;
}

/** An address that may be a link: http, https, mailto, or a place in this console (#/…). Else undefined. */
export function safeHref(href: string): string | undefined {
  // Browsers pass over these inside of a scheme.
  const text = href.replace(/[\u0000-\u0020\u007f\u200b-\u200f\u2028-\u202e\u2060\ufeff]/g, (c) => (c === ' ' ? ' ' : '')).trim();
  if (text.startsWith('#/')) return text;
  if (!/^(https?:\/\/|mailto:)/i.test(text)) return undefined;
  try {
    const url = new URL(text);
    return ['http:', 'https:', 'mailto:'].includes(url.protocol) ? text : undefined;
  } catch {
    return undefined;
  }
}

/** Text as HTML that shows it. */
export function escapeHTML(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}
