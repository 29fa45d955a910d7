// Render the text of one block: code, emphasis, links, line breaks, formulas, references of footnotes.
// As in markdown.js, nothing is parsed as HTML: a few tags without attributes are marks like any other.

import { formula, formulaAt } from "./formulas.js";
import { referenceAt } from "./notes.js";
import { breakable } from "./plain.js";

const URL_LIMIT = 2_048;
// Bounds on the parts of a link's text, on delimiters that are open at once, and on delimiters in a
// row. No prose exceeds them, and to match or nest more would take too long.
const LABEL_LIMIT = 200;
const OPENERS_LIMIT = 16;
const RUN_LIMIT = 6;
const SCHEMES = new Set(["http:", "https:", "mailto:"]);
const ESCAPED = /[!-/:-@[-`{-~]/;
const BARE = /^https?:\/\/[^\s<>"'`]+/;
const ANGLE = /^<((?:https?:\/\/|mailto:)[^\s<>]+)>/;
const DESTINATION = /^\(\s{0,9}(?:<([^<>\n]*)>|((?:[^\s()\\]|\\.|\([^\s()]*\))*))(?:\s{1,9}(?:"[^"]*"|'[^']*'|\([^()]*\)))?\s{0,9}\)/;
const BREAK = /^<br[ \t]*\/?>[ \t]*\n?/i;
const TAG = /^<(\/?)(kbd|mark|sub|sup)>/i;
const SPECIAL = /[\\`*_~[\]!<$\n]|h(?=ttps?:)/g;
const NAMES = { "*1": "em", _1: "em", "*2": "strong", _2: "strong", "~2": "s", kbd1: "kbd", mark1: "mark", sub1: "sub", sup1: "sup" };

/** Return a fragment for the text of a block. */
export function inline(text) {
  const parts = []; // nodes, and delimiters that are not matched yet
  let at = 0;
  let plain = "";
  let brackets = 0; // open ones
  let reference;
  let tag;

  const flush = () => {
    for (const part of breakable(plain)) parts.push(part instanceof Node ? part : document.createTextNode(part));
    plain = "";
  };
  const push = (part, length) => {
    flush();
    parts.push(part);
    at += length;
  };

  while (at < text.length) {
    SPECIAL.lastIndex = at;
    const special = SPECIAL.exec(text)?.index ?? text.length;
    plain += text.slice(at, special);
    at = special;
    if (at === text.length) break;
    const char = text[at];
    const written = char === "\\" || char === "$" ? formulaAt(text, at) : null;
    if (written !== null) push(formula(written), written.length);
    else if (char === "\\") {
      if (text[at + 1] === "\n") push(document.createElement("br"), 2);
      else if (at + 1 < text.length && ESCAPED.test(text[at + 1])) {
        plain += text[at + 1];
        at += 2;
      } else plain += text[at++];
    } else if (char === "\n") {
      let end = plain.length;
      while (plain[end - 1] === " ") end -= 1;
      const hard = plain.length - end > 1;
      plain = plain.slice(0, end);
      if (hard) push(document.createElement("br"), 1);
      else {
        plain += "\n";
        at += 1;
      }
    } else if (char === "`") {
      const marks = /^`+/.exec(text.slice(at, at + 100))[0];
      const end = closing(text, at + marks.length, marks);
      if (end < 0) {
        plain += marks;
        at += marks.length;
      } else {
        const code = document.createElement("code");
        const inside = text.slice(at + marks.length, end).replaceAll("\n", " ");
        const padded = inside.startsWith(" ") && inside.endsWith(" ") && /[^ ]/.test(inside);
        code.append(...breakable(padded ? inside.slice(1, -1) : inside));
        push(code, end + marks.length - at);
      }
    } else if (char === "*" || char === "_" || char === "~") {
      let length = 1;
      while (text[at + length] === char) length += 1;
      push(length > RUN_LIMIT ? document.createTextNode(text.slice(at, at + length)) : delimiter(text, at, length), length);
    } else if (char === "[" && text[at + 1] === "^" && (reference = referenceAt(text, at)) !== null) {
      push(reference, reference.textContent.length);
    } else if (char === "[" || (char === "!" && text[at + 1] === "[")) {
      const length = char === "[" ? 1 : 2;
      push({ bracket: text.slice(at, at + length) }, length);
      brackets += 1;
    } else if (char === "]") {
      flush();
      const length = brackets > 0 ? link(parts, text, at) : 0;
      brackets = Math.max(0, brackets - 1);
      if (length > 0) at += length;
      else plain += text[at++];
    } else if (char === "<" && (tag = BREAK.exec(text.slice(at, at + URL_LIMIT))) !== null) {
      push(document.createElement("br"), tag[0].length);
    } else if (char === "<" && (tag = TAG.exec(text.slice(at, at + 8))) !== null) {
      push({ char: tag[2].toLowerCase(), length: 1, opens: tag[1] === "", closes: tag[1] !== "", written: tag[0] }, tag[0].length);
    } else if (char === "<" || char === "h") {
      const http = text.startsWith("http", at) && !/\w/.test(text[at - 1] ?? " ");
      const angle = char === "<" ? ANGLE.exec(text.slice(at, at + URL_LIMIT)) : null;
      const bare = http ? BARE.exec(text.slice(at, at + URL_LIMIT)) : null;
      const url = angle?.[1] ?? (bare && withoutEnding(bare[0]));
      const node = url === null ? null : anchor(url, breakable(url));
      if (node === null) plain += text[at++];
      else push(node, angle?.[0].length ?? url.length);
    } else {
      plain += text[at++];
    }
  }
  flush();
  const fragment = document.createDocumentFragment();
  fragment.append(...emphasize(parts));
  return fragment;
}

/** Return a bare URL without the punctuation of the sentence around it. */
function withoutEnding(url) {
  let end = url.length;
  while (".,;:!?)]*_~".includes(url[end - 1])) end -= 1;
  return url.slice(0, end);
}

function closing(text, from, marks) {
  for (let at = text.indexOf(marks, from); at >= 0; ) {
    let end = at + marks.length;
    if (text[end] !== "`") return at;
    while (text[end] === "`") end += 1;
    at = text.indexOf(marks, end);
  }
  return -1;
}

function delimiter(text, at, length) {
  const before = text[at - 1] ?? " ";
  const after = text[at + length] ?? " ";
  const word = /[\p{L}\p{N}]/u;
  const opens = !/\s/.test(after) && (word.test(after) || !word.test(before));
  const closes = !/\s/.test(before) && (word.test(before) || !word.test(after));
  const within = text[at] === "_" && word.test(before) && word.test(after);
  return { char: text[at], length, opens: opens && !within, closes: closes && !within };
}

/** Turn the parts since the last bracket into a link, if the text at `]` continues like one. */
function link(parts, text, at) {
  let open = parts.length - 1;
  const first = Math.max(0, parts.length - LABEL_LIMIT);
  while (open >= first && parts[open].bracket === undefined) open -= 1;
  if (open < first) return 0;
  const { bracket } = parts[open];
  const target = DESTINATION.exec(text.slice(at + 1, at + 4_096));
  const content = emphasize(parts.slice(open + 1));
  const url = (target?.[1] ?? target?.[2] ?? "").replace(/\\(.)/g, "$1");
  const node = target === null ? null : anchor(url, content.length > 0 ? content : [url]);
  if (node === null) {
    parts.splice(open, parts.length - open, document.createTextNode(bracket), ...content);
    return 0;
  }
  parts.splice(open, parts.length - open, node);
  // A link contains no other link, except that of an image.
  for (let index = open - 1; index >= 0; index -= 1) {
    const other = parts[index].bracket;
    if (other === "![" || (other !== undefined && bracket === "[")) parts[index] = document.createTextNode(other);
  }
  return 1 + target[0].length;
}

/** Return a link with some content, or null unless the URL is of http, https or mailto. */
export function anchor(url, content) {
  let parsed;
  try {
    parsed = new URL(url);
  } catch {
    return null;
  }
  if (!SCHEMES.has(parsed.protocol)) return null;
  const node = document.createElement("a");
  node.href = parsed.href;
  node.target = "_blank";
  node.rel = "noopener noreferrer nofollow";
  node.append(...content);
  return node;
}

/** Match delimiters into emphasis, innermost first. Those that match nothing are text. */
function emphasize(parts) {
  const done = [];
  const openers = []; // indices in `done`
  const shown = ({ char, length, bracket, written }) => document.createTextNode(written ?? bracket ?? char.repeat(length));
  for (const part of parts) {
    if (part.char === undefined) {
      done.push(part instanceof Node ? part : shown(part));
      continue;
    }
    let left = part.length;
    while (part.closes && left > 0) {
      const found = openers.findLastIndex((index) => done[index].char === part.char);
      if (found < 0) break;
      const index = openers[found];
      const used = Math.min(2, left, done[index].length);
      const name = NAMES[part.char + used];
      if (name === undefined) break;
      const inside = done.splice(index + 1).map((each) => (each.char === undefined ? each : shown(each)));
      openers.length = found;
      const node = document.createElement(name);
      node.append(...inside);
      done[index].length -= used;
      left -= used;
      if (done[index].length > 0) {
        openers.push(index);
        done.push(node);
      } else {
        done[index] = node;
      }
    }
    if (left > 0) {
      done.push({ char: part.char, length: left, written: part.written });
      if (part.opens) openers.push(done.length - 1);
      if (openers.length > OPENERS_LIMIT) openers.shift();
    }
  }
  return done.map((each) => (each.char === undefined ? each : shown(each)));
}
