// Split the lines of a Markdown text into blocks.
//
// A block that exceeds the limits is cut, and another block of its kind continues it. So text that is
// still to come changes only the last block. Each pattern takes time linear in the length of a line.

import { displayEnd, leavesOpen, opensDisplay } from "./formulas.js";
import { isNote } from "./notes.js";
import { uncut } from "./plain.js";

const LINES_LIMIT = 250;
const LENGTH_LIMIT = 16_384; // of a block's text, and of a line
const COLUMNS_LIMIT = 100;
export const DEPTH_LIMIT = 12; // of nested lists and quotes: deeper ones are paragraphs

const FENCE = /^ {0,3}(`{3,}(?!`)|~{3,}(?!~))([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?![^ \t])(.*)$/;
const RULE = /^ {0,3}(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(?:([ \t]+)(?=\S)|[ \t]*$)/;
const UNDERLINE = /^ {0,3}(=+|-{2,})[ \t]*$/;

export const isUnderline = (line) => UNDERLINE.test(line);
export const unquoted = (line) => line.replace(QUOTE, "");
export const mark = (line) => ITEM.exec(line)[2];

/** Return the lines of a text. A line over the limit is split; all parts but the last are `glued`. */
export function linesOf(text) {
  return text.split("\n").flatMap((line) => {
    const found = [];
    let at = 0;
    while (line.length - at >= LENGTH_LIMIT) {
      const end = uncut(line, at + LENGTH_LIMIT);
      found.push(line.slice(at, end));
      at = end;
    }
    found.push(at > 0 ? line.slice(at) : line);
    return found;
  });
}

/** Whether there is no newline between this line and the next. */
export const glued = (line) => line.length >= LENGTH_LIMIT;

export const START = { head: [], lines: [""] };

/**
 * Yield the blocks of these lines, which follow the block `before`: {kind, lines, from, to, carried,
 * cut, head}. `cut`: the block was cut for its size, and the next one begins with the lines `head`,
 * which repeat the context. `carried`: the number of lines at the beginning of `lines` that are such a
 * repetition. A block that was cut may have no successor (`from` is `to`).
 */
export function* blocks(lines, before = START) {
  let { head } = before;
  let within = glued(before.lines.at(-1)); // the last block has the beginning of this line
  for (let at = 0; at < lines.length; ) {
    const carried = head.length;
    if (carried === 0 && !within && lines[at].trim() === "") {
      at += 1;
      continue;
    }
    const full = limit(lines, at);
    const goesOn = full < lines.length;
    const near = [...head, ...lines.slice(at, full)];
    const kind = within && carried === 0 ? "paragraph" : kindOf(near);
    let end = ENDS[kind](near, goesOn);
    const cut = goesOn && end === near.length && !(kind === "fence" && isClosed(near));
    // If possible, between two items of a list.
    if (cut && kind === "list") end -= items(near).at(-1).length;
    if (end === 0) end = near.length;
    head = cut && end === near.length ? headOf(kind, near, 0) : [];
    within = glued(near[end - 1]);
    const from = at;
    at += Math.max(0, end - carried);
    yield { kind, lines: near.slice(0, end), from, to: at, carried, cut, head };
  }
}

/** Return the line at which a block that begins at this line must end. */
function limit(lines, at) {
  let to = at + 1;
  let length = lines[at].length;
  while (to < lines.length && to - at < LINES_LIMIT && (length += lines[to].length) <= LENGTH_LIMIT) to += 1;
  return to;
}

function kindOf([line, next]) {
  if (glued(line)) return "paragraph";
  if (FENCE.test(line)) return "fence";
  if (HEADING.test(line)) return "heading";
  if (RULE.test(line)) return "rule";
  if (QUOTE.test(line)) return "quote";
  if (opensDisplay(line)) return "formula";
  if (isNote(line)) return "note";
  if (ITEM.test(line)) return "list";
  if (next !== undefined && line.includes("|") && isTable(line, next)) return "table";
  return "paragraph";
}

function isTable(head, delimiter) {
  const marks = cells(delimiter);
  return marks.every((cell) => /^:?-+:?$/.test(cell)) && cells(head).length === marks.length;
}

/** Whether a line ends a paragraph without an empty line before it. */
function interrupts(line) {
  if (FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line)) return true;
  if (opensDisplay(line) || isNote(line)) return true;
  const item = ITEM.exec(line);
  return item !== null && item[3] !== undefined && (item[2].length === 1 || /^1[.)]$/.test(item[2]));
}

const ENDS = {
  heading: () => 1,
  rule: () => 1,
  fence(lines) {
    for (let to = 1; to < lines.length; to += 1) if (closes(lines[to], lines[0])) return to + 1;
    return lines.length;
  },
  quote(lines) {
    let to = 1;
    while (to < lines.length && (QUOTE.test(lines[to]) || (lines[to].trim() !== "" && !interrupts(lines[to])))) to += 1;
    return to;
  },
  list(lines, goesOn) {
    const kind = markKind(mark(lines[0]));
    let end = 1;
    let blank = false;
    for (let to = 1; to < lines.length; to += 1) {
      const line = lines[to];
      if (line.trim() === "") {
        blank = true;
        continue;
      }
      const item = ITEM.exec(line);
      if (!/^(?: {2}|\t)/.test(line)) {
        if (RULE.test(line)) return end;
        if (item !== null && markKind(item[2]) !== kind) return end;
        if (item === null && (blank || interrupts(line))) return end;
      }
      blank = false;
      end = to + 1;
    }
    return goesOn ? lines.length : end;
  },
  formula: (lines) => displayEnd(lines, (line) => FENCE.test(line) || HEADING.test(line)),
  note(lines) {
    let to = 1;
    while (to < lines.length && lines[to].trim() !== "" && !interrupts(lines[to])) to += 1;
    return to;
  },
  table(lines) {
    let to = 2;
    while (to < lines.length && lines[to].trim() !== "" && lines[to].includes("|")) to += 1;
    return to;
  },
  paragraph(lines) {
    let to = 1;
    let dollars = leavesOpen(lines[0]);
    while (to < lines.length && lines[to].trim() !== "") {
      if (isUnderline(lines[to])) return to + 1;
      if (interrupts(lines[to]) && !(dollars && lines[to].trimStart().startsWith("$$"))) break;
      dollars = dollars !== leavesOpen(lines[to]);
      to += 1;
    }
    return to;
  },
};

/** Return the lines with which a block of this kind continues after these. */
function headOf(kind, lines, depth) {
  if (kind === "fence") return isClosed(lines) ? [] : [lines[0]];
  if (kind === "table") return lines.slice(0, 2);
  if (kind !== "quote" && kind !== "list") return [];
  const [first, ...more] = kind === "quote" ? ["> ", "> "] : [`${mark(lines[0])} `];
  const last = depth < DEPTH_LIMIT && [...blocks(kind === "quote" ? lines.map(unquoted) : items(lines).at(-1))].at(-1);
  const inner = last ? headOf(last.kind, last.lines, depth + 1) : [];
  return inner.map((line, number) => (number === 0 ? first : more[0] ?? " ".repeat(first.length)) + line);
}

export function openingOf(line) {
  const [, marks, info] = FENCE.exec(line);
  return { marks, language: info.trim().split(/\s/)[0].slice(0, 30) };
}

function closes(line, opening) {
  const found = FENCE.exec(line);
  return found !== null && found[2].trim() === "" && found[1].startsWith(openingOf(opening).marks);
}

/** Whether the last line of a fence closes it. */
export const isClosed = (lines) => lines.length > 1 && closes(lines.at(-1), lines[0]);

export function headingOf(line) {
  const [, marks, text] = HEADING.exec(line);
  return { level: marks.length, text: text.trimEnd().replace(/[ \t]#+$/, "").trim() };
}

const markKind = (found) => (found.length === 1 ? found : found.at(-1));

/** Return the lines of each item of a list, without markers and indentation. */
export function items(lines) {
  const found = [];
  const kind = markKind(mark(lines[0]));
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

/** Return the cells of a line of a table. The last one holds all surplus cells. */
export function cells(line) {
  const inside = line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "");
  const found = inside.split(/(?<!\\)\|/);
  if (found.length > COLUMNS_LIMIT) found.push(found.splice(COLUMNS_LIMIT - 1).join("|"));
  return found.map((cell) => cell.trim().replaceAll("\\|", "|"));
}
