// Show Markdown that arrives piece by piece.
//
// The text comes from a model and may be hostile, so it is never parsed as HTML: elements are created
// by name and filled with text. Links go to http, https and mailto only. An image becomes a link,
// since loading it would tell its server who reads. A finished block is rendered once; only the last
// block, which may still change, is rendered again. After very many nodes the rest is plain text.

import { DEPTH_LIMIT, START, blocks, cells, glued, headingOf, isClosed, isUnderline, items, linesOf, mark, openingOf, unquoted } from "./blocks.js";
import { Enricher } from "./enriching.js";
import { inline } from "./inline.js";
import { displayOf, formula } from "./formulas.js";
import { Notes, note, noteOf } from "./notes.js";
import { Plain } from "./plain.js";
import { text } from "./texts.js";

const ELEMENTS_LIMIT = 50_000;
const FRESH = 48; // blocks at the end that are always laid out: more than a screen has
const PROSE = 40; // characters of a cell, from which its column needs some width
const TASK = /^\[([ xX])\][ \t]+/;

export class Markdown {
  #root;
  #open = ""; // the text of the last block, which may still change
  #before = START; // the block before the last one
  #tail = []; // the nodes of the last block
  #growing = null; // the fence that is the last block, and the node of its code
  #notes;
  #enricher;
  #isFollowed;
  #fresh = []; // the newest nodes
  #elements = 0; // finished ones
  #rest = null; // the plain text after the limit

  /** `keepUp`: what keeps the end in view for a reader who follows it, if one may. Then the height of the
   * newest blocks is known at once, and not guessed until they are in sight. */
  constructor(root, keepUp = null) {
    this.#root = root;
    this.#isFollowed = keepUp !== null;
    this.#notes = new Notes(root);
    this.#enricher = new Enricher(root, keepUp);
  }

  reset() {
    this.#open = "";
    this.#before = START;
    this.#tail = [];
    this.#growing = null;
    this.#fresh = [];
    this.#notes.reset();
    this.#enricher.reset();
    this.#elements = 0;
    this.#rest = null;
    this.#root.replaceChildren();
  }

  append(text) {
    if (this.#rest !== null) return this.#rest.append(text);
    this.#open += text;
    const lines = linesOf(this.#open);
    const found = [...blocks(lines, this.#before)];
    const grown = this.#grow(found[0]);
    for (const node of this.#tail) if (node !== grown) node?.remove();
    this.#tail = [];
    for (const node of this.#fresh.splice(0, Math.max(0, this.#fresh.length - FRESH))) node.classList.remove("fresh");
    const made = [];
    let before = this.#before;
    let kept = 0;
    for (const [number, block] of found.entries()) {
      const isGrown = number === 0 && grown !== null;
      const node = isGrown ? grown : block.to > block.from ? this.#show(block, before) : null;
      before = block;
      if (node !== null) made.push([node, block.kind === "fence" && isClosed(block.lines)]);
      // A line that has not ended may still become a part of the block before it, and a list may
      // continue after empty lines.
      const next = block.kind === "list" ? found[number + 1]?.from : block.to;
      if (!block.cut && !(next < lines.length - 1)) {
        this.#tail.push(node);
        continue;
      }
      kept = block.to;
      this.#before = block;
      if (node !== null) made.at(-1)[1] = true;
      if (node !== null) this.#elements += 1 + (isGrown ? 0 : node.getElementsByTagName("*").length);
      if (this.#elements > ELEMENTS_LIMIT) break;
    }
    this.#notes.connect(made);
    this.#enricher.take(made.map(([node, isFinished]) => [ownPart(node), isFinished]));
    const last = found.at(-1);
    const node = this.#tail.length === 1 && last.kind === "fence" && !last.cut ? this.#tail[0] : null;
    this.#growing = node && [last, node];
    // Of several empty lines only the last one matters.
    if (this.#tail.length === 0 && this.#elements <= ELEMENTS_LIMIT) kept = Math.max(kept, lines.length - 1);
    this.#open = this.#open.slice(lines.slice(0, kept).reduce((length, line) => length + line.length + (glued(line) ? 0 : 1), 0));
    if (this.#elements > ELEMENTS_LIMIT) {
      this.#rest = new Plain(this.#root);
      this.#rest.append(this.#open);
    }
  }

  /** If this is the fence that was the last block, change nothing but its code, so that a reader can select
   * it and press its button. Return its node, or null. */
  #grow(block) {
    if (this.#growing === null || block === undefined) return null;
    const [begun, node] = this.#growing;
    if (block.kind !== "fence" || block.lines[0] !== begun.lines[0] || block.carried !== begun.carried) return null;
    const code = node.querySelector("code") ?? node;
    const [written, shown] = [codeIn(block), code.textContent];
    if (!written.startsWith(shown)) return null;
    if (written.length > shown.length) code.append(written.slice(shown.length));
    code.normalize();
    return node;
  }

  /** Add a block to the document. `before` is the block before it. */
  #show(block, before) {
    if (block.kind === "fence" && block.carried > 0) {
      const code = codeOf(block);
      this.#root.lastElementChild.querySelector("pre").append(code);
      return code;
    }
    const node = make(block, 0);
    if (before.cut && before.kind === block.kind) node.classList.add("more");
    if (this.#isFollowed) {
      node.classList.add("fresh");
      this.#fresh.push(node);
    }
    this.#root.append(node);
    return node;
  }
}

function element(name, ...children) {
  const node = document.createElement(name);
  node.append(...children);
  return node;
}

function make(block, depth) {
  const isText = depth > DEPTH_LIMIT || (depth > 0 && block.kind === "note");
  const kind = isText ? "paragraph" : block.kind;
  const node = MAKERS[kind](block.lines, depth, block);
  node.dir = "auto";
  return node;
}

/** Return what a block has of its node: to the figure of a fence that was cut for its size, the code of
 * the blocks behind it is added, which may still grow when this block is finished. */
const ownPart = (node) => (node.localName === "figure" ? node.querySelector("code") : node);

const inner = (lines, depth) => [...blocks(lines)].filter(({ from, to }) => to > from).map((block) => make(block, depth));

/** Return the code of a fence. A fence that was cut between two lines ends with a newline. */
function codeIn({ lines, cut }) {
  const code = lines.slice(1, isClosed(lines) ? -1 : undefined);
  return code.join("\n") + (cut && code.length > 0 && !glued(code.at(-1)) ? "\n" : "");
}

function codeOf(block) {
  const node = element("code", codeIn(block));
  const { language } = openingOf(block.lines[0]);
  if (language !== "") node.dataset.language = language;
  return node;
}

const MAKERS = {
  heading([line]) {
    const { level, text } = headingOf(line);
    // The page itself has the headings of level 1 and 2.
    return element(`h${Math.min(6, level + 2)}`, inline(text));
  },
  rule: () => document.createElement("hr"),
  fence(lines, _, block) {
    const copy = element("button");
    copy.type = "button";
    copy.dataset.copy = "code";
    copy.dataset.text = "copy";
    copy.textContent = text("copy");
    const pre = element("pre", codeOf(block));
    pre.dir = "ltr";
    pre.tabIndex = 0;
    return element("figure", element("figcaption", element("span", openingOf(lines[0]).language), copy), pre);
  },
  formula(lines) {
    const [written, after] = displayOf(lines);
    const node = element("div", formula(written), inline(after));
    node.className = "display";
    return node;
  },
  note(lines) {
    const { label, content } = noteOf(lines);
    return note(label, inline(content));
  },
  quote: (lines, depth) => element("blockquote", ...inner(lines.map(unquoted), depth + 1)),
  list(lines, depth) {
    const first = mark(lines[0]);
    const list = document.createElement(first.length === 1 ? "ul" : "ol");
    const number = Number.parseInt(first, 10);
    if (first.length > 1 && number !== 1) list.start = number;
    for (const item of items(lines)) list.append(makeItem(item, depth));
    return list;
  },
  table([head, delimiter, ...lines]) {
    const aligned = cells(delimiter).map((cell) => (/^:-+:$/.test(cell) ? "center" : /-:$/.test(cell) ? "end" : ""));
    const row = (line, name) => {
      const found = cells(line).map((text, column) => {
        const cell = element(name, inline(text));
        if (aligned[column]) cell.className = aligned[column];
        if (text.length > PROSE) cell.classList.add("prose");
        return cell;
      });
      // One empty cell stands for all that are missing.
      if (found.length < aligned.length) found.push(Object.assign(element(name), { colSpan: aligned.length - found.length }));
      return element("tr", ...found);
    };
    const table = element("table", element("thead", row(head, "th")), element("tbody", ...lines.map((line) => row(line, "td"))));
    const wrapper = element("div", table);
    wrapper.className = "table";
    wrapper.tabIndex = 0;
    return wrapper;
  },
  paragraph(lines) {
    if (lines.length > 1 && isUnderline(lines.at(-1))) {
      return element(lines.at(-1).trim()[0] === "=" ? "h3" : "h4", inline(lines.slice(0, -1).join("\n")));
    }
    return element("p", inline(lines.map((line) => line.trimStart()).join("\n").trimEnd()));
  },
};

function makeItem(lines, depth) {
  const node = document.createElement("li");
  const task = TASK.exec(lines[0]);
  if (task !== null) {
    const box = document.createElement("input");
    box.type = "checkbox";
    box.disabled = true;
    box.checked = task[1] !== " ";
    box.ariaLabel = task[1] === " " ? "☐" : "☑";
    node.append(box, " ");
    lines = [lines[0].slice(task[0].length), ...lines.slice(1)];
  }
  const last = lines.findLastIndex((line) => line.trim() !== "");
  const loose = lines.slice(0, last + 1).some((line) => line.trim() === "");
  for (const child of inner(lines, depth + 1)) {
    // The text of an item without empty lines needs no paragraph.
    if (child.localName === "p" && !loose) node.append(...child.childNodes);
    else node.append(child);
  }
  return node;
}
