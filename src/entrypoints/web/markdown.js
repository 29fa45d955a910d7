// Markdown that arrives piece by piece, as a document.
//
// The text is a model's and may be hostile: it never becomes HTML. Nodes are made by name and filled
// with text; links go to http, https and mailto only; an image becomes a link, since to show it
// would tell its server who reads. What is finished is made once: only the last block, which may
// still change, is made again when there is more text.

import { inline } from "./inline.js";
import { text } from "./texts.js";

const DEPTH_LIMIT = 12; // lists in quotes in lists: beyond it, all is a paragraph

const FENCE = /^ {0,3}(`{3,}|~{3,})[ \t]*([^`\n]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$/;
const RULE = /^ {0,3}(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(?:([ \t]+)(?=\S)|[ \t]*$)/;
const TASK = /^\[([ xX])\][ \t]+/;
const UNDERLINE = /^ {0,3}(=+|-{2,})[ \t]*$/;
const DELIMITER = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;

export class Markdown {
  #root;
  #open = ""; // the text of the last block, and of what may become one
  #tail = []; // its nodes

  constructor(root) {
    this.#root = root;
  }

  reset() {
    this.#open = "";
    this.#tail = [];
    this.#root.replaceChildren();
  }

  append(text) {
    this.#open += text;
    const lines = this.#open.split("\n");
    const blocks = [...split(lines)];
    for (const node of this.#tail) node.remove();
    this.#tail = [];
    let kept = 0;
    blocks.forEach((block, number) => {
      const next = blocks[number + 1];
      const made = make(block.kind, lines.slice(block.from, block.to), 0);
      this.#root.append(made);
      // A line that has not ended may still become part of the block before it.
      if (next !== undefined && next.from < lines.length - 1) kept = next.from;
      else this.#tail.push(made);
    });
    if (kept > 0) this.#open = lines.slice(kept).join("\n");
  }
}

/** Blocks of these lines: {kind, from, to}, in order. */
function* split(lines) {
  let at = 0;
  while (at < lines.length) {
    if (lines[at].trim() === "") {
      at += 1;
      continue;
    }
    const kind = kindOf(lines, at);
    const to = ENDS[kind](lines, at);
    yield { kind, from: at, to };
    at = to;
  }
}

function kindOf(lines, at) {
  const line = lines[at];
  if (FENCE.test(line)) return "fence";
  if (HEADING.test(line)) return "heading";
  if (RULE.test(line)) return "rule";
  if (QUOTE.test(line)) return "quote";
  if (ITEM.test(line)) return "list";
  if (line.includes("|") && at + 1 < lines.length && isTable(line, lines[at + 1])) return "table";
  return "paragraph";
}

function isTable(head, delimiter) {
  return DELIMITER.test(delimiter) && delimiter.includes("-") && cells(head).length === cells(delimiter).length;
}

/** Whether a line can end a paragraph without an empty line between. */
function interrupts(lines, at) {
  const line = lines[at];
  if (FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line)) return true;
  const item = ITEM.exec(line);
  return item !== null && item[3] !== undefined && (item[2].length === 1 || /^1[.)]$/.test(item[2]));
}

const ENDS = {
  heading: (_, at) => at + 1,
  rule: (_, at) => at + 1,
  fence(lines, at) {
    const mark = FENCE.exec(lines[at])[1];
    const close = new RegExp(`^ {0,3}${mark[0]}{${mark.length},}[ \\t]*$`);
    for (let to = at + 1; to < lines.length; to += 1) if (close.test(lines[to])) return to + 1;
    return lines.length;
  },
  quote(lines, at) {
    let to = at + 1;
    while (to < lines.length && (QUOTE.test(lines[to]) || (lines[to].trim() !== "" && !interrupts(lines, to)))) to += 1;
    return to;
  },
  list(lines, at) {
    const kind = markKind(ITEM.exec(lines[at])[2]);
    let to = at + 1;
    let end = to;
    let blank = false;
    for (; to < lines.length; to += 1) {
      const line = lines[to];
      if (line.trim() === "") {
        blank = true;
        continue;
      }
      const item = ITEM.exec(line);
      if (!/^(?: {2}|\t)/.test(line)) {
        if (RULE.test(line)) break;
        if (item !== null && markKind(item[2]) !== kind) break;
        if (item === null && (blank || interrupts(lines, to))) break;
      }
      blank = false;
      end = to + 1;
    }
    return end;
  },
  table(lines, at) {
    let to = at + 2;
    while (to < lines.length && lines[to].trim() !== "" && lines[to].includes("|")) to += 1;
    return to;
  },
  paragraph(lines, at) {
    let to = at + 1;
    while (to < lines.length && lines[to].trim() !== "") {
      if (UNDERLINE.test(lines[to])) return to + 1;
      if (interrupts(lines, to)) break;
      to += 1;
    }
    return to;
  },
};

const markKind = (mark) => (mark.length === 1 ? mark : mark.at(-1));

function element(name, ...children) {
  const node = document.createElement(name);
  node.append(...children);
  return node;
}

function make(kind, lines, depth) {
  if (depth > DEPTH_LIMIT) kind = "paragraph";
  const node = MAKERS[kind](lines, depth);
  node.dir = "auto";
  return node;
}

const inner = (lines, depth) => [...split(lines)].map((each) => make(each.kind, lines.slice(each.from, each.to), depth));

const MAKERS = {
  heading(lines) {
    const [, marks, text = ""] = HEADING.exec(lines[0]);
    // The page has its own first and second heading.
    return element(`h${Math.min(6, marks.length + 2)}`, inline(text));
  },
  rule: () => document.createElement("hr"),
  fence(lines) {
    const [, mark, info] = FENCE.exec(lines[0]);
    const closed = lines.length > 1 && new RegExp(`^ {0,3}${mark[0]}{${mark.length},}[ \\t]*$`).test(lines.at(-1));
    const code = element("code", lines.slice(1, closed ? -1 : undefined).join("\n"));
    const language = info.trim().split(/\s/)[0].slice(0, 30);
    const copy = element("button");
    copy.type = "button";
    copy.dataset.copy = "code";
    copy.dataset.text = "copy";
    copy.textContent = text("copy");
    const pre = element("pre", code);
    pre.dir = "ltr";
    pre.tabIndex = 0;
    return element("figure", element("figcaption", element("span", language), copy), pre);
  },
  quote: (lines, depth) => element("blockquote", ...inner(lines.map((line) => line.replace(QUOTE, "")), depth + 1)),
  list(lines, depth) {
    const mark = ITEM.exec(lines[0])[2];
    const list = document.createElement(mark.length === 1 ? "ul" : "ol");
    const first = Number.parseInt(mark, 10);
    if (mark.length > 1 && first !== 1) list.start = first;
    for (const item of items(lines)) list.append(makeItem(item, depth));
    return list;
  },
  table(lines) {
    const aligned = cells(lines[1]).map((cell) => (/^:-+:$/.test(cell) ? "center" : /-:$/.test(cell) ? "end" : ""));
    const row = (line, name) => {
      const found = cells(line);
      return element("tr", ...aligned.map((align, column) => {
        const cell = element(name, inline(found[column] ?? ""));
        if (align) cell.className = align;
        return cell;
      }));
    };
    const table = element("table", element("thead", row(lines[0], "th")), element("tbody", ...lines.slice(2).map((line) => row(line, "td"))));
    const wrapper = element("div", table);
    wrapper.className = "table";
    wrapper.tabIndex = 0;
    return wrapper;
  },
  paragraph(lines) {
    if (lines.length > 1 && UNDERLINE.test(lines.at(-1))) {
      return element(lines.at(-1).trim()[0] === "=" ? "h3" : "h4", inline(lines.slice(0, -1).join("\n")));
    }
    return element("p", inline(lines.map((line) => line.trimStart()).join("\n").trimEnd()));
  },
};

/** The lines of each item, without their marks and indentation. */
function items(lines) {
  const found = [];
  const kind = markKind(ITEM.exec(lines[0])[2]);
  let width = 0;
  for (const line of lines) {
    const item = ITEM.exec(line);
    const indent = /^[ \t]*/.exec(line)[0].length;
    if (found.length === 0 || (item !== null && markKind(item[2]) === kind && indent < Math.max(2, width))) {
      width = item[0].length;
      found.push([line.slice(width)]);
    } else {
      found.at(-1).push(line.slice(Math.min(indent, Math.max(2, width))));
    }
  }
  return found;
}

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
    // An item without empty lines holds its text itself.
    if (child.localName === "p" && !loose) node.append(...child.childNodes);
    else node.append(child);
  }
  return node;
}

function cells(line) {
  const inside = line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "");
  return inside.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}
