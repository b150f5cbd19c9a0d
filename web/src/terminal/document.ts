// The terminal's library writes style sheets and style attributes as text, which
// the page's policy forbids. While a terminal is open, elements that are made do
// the same by the object model, which the policy allows.

/** How many terminals are open: each may be drawn before another is gone. */
let open = 0;

/** Makes the document obey its policy; the function that it returns ends that. */
export function quiet(real: Document): () => void {
  if (open++ === 0) {
    const make = real.createElement.bind(real) as (tag: string, options?: ElementCreationOptions) => HTMLElement;
    real.createElement = ((tag: string, options?: ElementCreationOptions) => (tag === 'style' ? styleOf(real, make) : plain(make(tag, options)))) as Document['createElement'];
  }
  return () => {
    if (--open === 0) delete (real as { createElement?: unknown }).createElement; // what the prototype has
  };
}

/** Stands for a <style>: what is written into it becomes a sheet of the document. */
function styleOf(real: Document, make: (tag: string) => HTMLElement): HTMLElement {
  const sheet = new CSSStyleSheet();
  const stand = make('i');
  stand.hidden = true;
  real.adoptedStyleSheets = [...real.adoptedStyleSheets, sheet];
  Object.defineProperty(stand, 'textContent', { get: () => '', set: (text: string) => sheet.replaceSync(text) });
  stand.remove = () => {
    real.adoptedStyleSheets = real.adoptedStyleSheets.filter((s) => s !== sheet);
    Element.prototype.remove.call(stand);
  };
  return stand;
}

/** An element whose style attribute is set by the object model. */
function plain(element: HTMLElement): HTMLElement {
  element.setAttribute = (name: string, value: string) => {
    if (name === 'style') element.style.cssText = value;
    else Element.prototype.setAttribute.call(element, name, value);
  };
  return element;
}
