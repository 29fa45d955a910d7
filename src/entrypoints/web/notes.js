// Footnotes: `[^1]` leads to the note `[^1]: …` and back, once both are there. A `[^1]` without a note
// is text. Each shows the label that the model has written, so none changes as more arrives.

import { text } from "./texts.js";

const REFERENCE = /^\[\^([^\s\]^]{1,60})\]/;
const NOTE = /^ {0,3}\[\^([^\s\]^]{1,60})\]:[ \t]*/;

export const isNote = (line) => NOTE.test(line);

/** Return the label and the text of a note. */
export function noteOf(lines) {
  const [opening, label] = NOTE.exec(lines[0]);
  return { label, content: [lines[0].slice(opening.length), ...lines.slice(1)].map((line) => line.trimStart()).join("\n").trimEnd() };
}

/** Return a node for the reference at this place of a text, or null. */
export function referenceAt(source, at) {
  const found = REFERENCE.exec(source.slice(at, at + 64));
  if (found === null) return null;
  const node = document.createElement("span");
  node.dataset.reference = found[1];
  node.textContent = found[0];
  return node;
}

/** Return the node of a note, with this content. */
export function note(label, content) {
  const node = document.createElement("div");
  node.className = "note";
  node.dataset.note = label;
  node.tabIndex = -1;
  const mark = document.createElement("sup");
  mark.append(jump("back", label));
  node.append(mark, " ", content);
  return node;
}

function jump(kind, label) {
  const button = document.createElement("button");
  button.type = "button";
  button.dataset[kind] = label;
  button.textContent = label;
  button.dataset.label = kind === "back" ? "noteBack" : "note";
  button.ariaLabel = text(button.dataset.label, button.dataset);
  return button;
}

/** The notes of one document and what refers to them. */
export class Notes {
  #root;
  #noted = new Set(); // labels of notes
  #waiting = new Map(); // by label: finished references that have no note yet

  constructor(root) {
    this.#root = root;
    root.addEventListener("click", ({ target }) => this.#go(target.dataset));
  }

  reset() {
    this.#noted.clear();
    this.#waiting.clear();
  }

  /** Connect the blocks that were made: pairs of a node and whether it is finished. */
  connect(made) {
    for (const [node] of made) {
      const label = node.dataset.note;
      if (label === undefined || this.#noted.has(label)) continue;
      this.#noted.add(label);
      this.#waiting.get(label)?.forEach(link);
      this.#waiting.delete(label);
    }
    for (const [node, isFinished] of made) {
      for (const each of node.querySelectorAll("[data-reference]")) {
        const label = each.dataset.reference;
        if (this.#noted.has(label)) link(each);
        else if (isFinished && !this.#waiting.get(label)?.push(each)) this.#waiting.set(label, [each]);
      }
    }
  }

  #go({ to, back }) {
    const [kind, label] = to === undefined ? ["to", back] : ["note", to];
    if (label === undefined) return;
    const target = this.#root.querySelector(`[data-${kind}="${CSS.escape(label)}"]`);
    target?.focus({ preventScroll: true });
    target?.scrollIntoView({ block: "center" });
  }
}

function link(reference) {
  const node = document.createElement("sup");
  node.append(jump("to", reference.dataset.reference));
  reference.replaceWith(node);
}
