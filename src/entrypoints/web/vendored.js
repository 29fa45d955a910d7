// The libraries beside the page, which it loads once an answer needs one: highlight.js and KaTeX. They
// come with a built package; a clone has them after `make vendor`. Without them code and formulas are
// shown as they are written, and the page says so once.

import { keep } from "./remembered.js";
import { text } from "./texts.js";

const TOLD = "longtask.plain"; // whether this browser was told
const loading = new Map(); // by name: the promise of a library
const loaded = new Map();

const LOADERS = {
  async highlighter() {
    return (await import("./vendor/highlight/highlight.min.js")).default;
  },
  async katex() {
    const style = document.createElement("link");
    style.rel = "stylesheet";
    style.href = new URL("./vendor/katex/katex.min.css", import.meta.url).href;
    const styled = new Promise((resolve) => (style.onload = style.onerror = resolve));
    document.head.append(style);
    await import("./vendor/katex/katex.min.js"); // no module: it sets a global
    await styled;
    return globalThis.katex;
  },
};

/** Whether the service has the libraries. */
export const areHere = () => document.documentElement.hasAttribute("data-vendored");

/** Load a library, `highlighter` or `katex`. If that fails, all stays plain. */
export function load(name) {
  if (!loading.has(name)) loading.set(name, LOADERS[name]().then((library) => loaded.set(name, library), () => {}));
  return loading.get(name);
}

/** Return a library, or null if it is not loaded. */
export const library = (name) => loaded.get(name) ?? null;

/** Say, once in a browser, that code and formulas are shown as they are written. */
export function tellOnce(root) {
  if (localStorage.getItem(TOLD) !== null) return;
  keep(TOLD, "told");
  const node = document.createElement("p");
  node.className = "hint";
  node.dataset.text = "plainOnly";
  node.textContent = text("plainOnly");
  root.after(node);
}
