// Highlight the code and typeset the formulas of a document that grows, beside its painting: little at
// a time, so that the page stays responsive, and finished blocks before the one that still changes.

import { highlight, isPlain } from "./highlighting.js";
import { isKnown, typeset } from "./typesetting.js";
import { areHere, library, load, tellOnce } from "./vendored.js";

const AT_ONCE = 6; // milliseconds
const LONG = 16; // milliseconds, with the layout, after which less is done at once
const PAUSE = 200; // milliseconds until code that grows is highlighted again, or ten times as long as it took
const FORMULAS_LIMIT = 2_000; // of a document, since each becomes many nodes
const WANTED = { katex: ".math:not(.plain-math)", highlighter: "code[data-language]" };

const all = (node, selector) => [...(node.matches(selector) ? [node] : []), ...node.querySelectorAll(selector)];
const formulasIn = (node) => all(node, WANTED.katex);
const codesIn = (node, isFinished) => all(node, WANTED.highlighter).filter((code) => isPlain(code, isFinished));

export class Enricher {
  #root;
  #keepUp;
  #waiting = new Set(); // finished blocks
  #growing = []; // blocks that may still change
  #growingAfter = 0; // the time from which they may be highlighted again
  #formulas = 0; // in finished blocks
  #loading = new Set(); // names of libraries that have not been waited for yet
  #asked = new Set(); // names of libraries
  #timer = null;
  #atOnce = AT_ONCE;

  /** `keepUp`: a function to call when a height may have changed, or null. It forces the layout. */
  constructor(root, keepUp) {
    this.#root = root;
    this.#keepUp = keepUp;
  }

  reset() {
    this.#waiting.clear();
    this.#growing = [];
    this.#formulas = 0;
  }

  /** Take the blocks that were made or have grown: pairs of a node and whether it is finished. */
  take(made) {
    this.#growing = [];
    const end = performance.now() + AT_ONCE;
    for (const [node, isFinished] of made) {
      const formulas = formulasIn(node);
      if (isFinished) this.#formulas += formulas.length;
      if (formulas.length + codesIn(node, isFinished).length === 0 || this.#formulas > FORMULAS_LIMIT) continue;
      if (!areHere()) return tellOnce(this.#root);
      if (isFinished) this.#waiting.add(node);
      else this.#growing.push(node);
      for (const name of ["katex", "highlighter"]) if (all(node, WANTED[name]).length > 0) this.#load(name);
      // What was seen typeset is not seen as LaTeX again while its block changes.
      this.#typeset(node, (each) => isKnown(each) || performance.now() < end);
    }
    if (this.#waiting.size + this.#growing.length > 0) this.#later(0);
  }

  #load(name) {
    if (this.#asked.has(name)) return;
    this.#asked.add(name);
    this.#loading.add(name);
    load(name).then(() => {
      this.#loading.delete(name);
      this.#later(0);
    });
  }

  #later(wait) {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      const began = performance.now();
      this.#work(began + this.#atOnce);
      this.#keepUp?.(); // now, since to the browser the text has moved if its layout comes before it is followed
      this.#atOnce = performance.now() - began > LONG ? Math.max(1, this.#atOnce / 2) : Math.min(AT_ONCE, 1.2 * this.#atOnce);
    }, wait);
  }

  #work(end) {
    const inTime = () => performance.now() < end;
    for (const node of this.#waiting) {
      if (node.isConnected && !(this.#typeset(node, inTime) && this.#highlight(node, true, inTime))) return this.#later(0);
      if (this.#loading.size === 0) this.#waiting.delete(node);
    }
    if (this.#loading.size > 0 || this.#growing.length === 0) return;
    const began = performance.now();
    if (began < this.#growingAfter) return this.#later(this.#growingAfter - began);
    const isDone = this.#growing.every((node) => this.#typeset(node, inTime) && (isSelected(node) || this.#highlight(node, false, inTime)));
    this.#growingAfter = performance.now() + Math.max(PAUSE, 10 * (performance.now() - began));
    if (!isDone) this.#later(PAUSE);
  }

  /** Return whether all formulas of a block are done, or KaTeX is not loaded. */
  #typeset(node, inTime) {
    const katex = library("katex");
    return katex === null || formulasIn(node).every((each) => inTime(each) && (typeset(katex, each), true));
  }

  #highlight(node, hasEnded, inTime) {
    const highlighter = library("highlighter");
    return highlighter === null || codesIn(node, hasEnded).every((each) => inTime() && (highlight(highlighter, each, hasEnded), true));
  }
}

/** Whether a person has selected some of it: new nodes would undo that. */
function isSelected(node) {
  const selection = getSelection();
  return selection !== null && !selection.isCollapsed && selection.containsNode(node, true);
}
