// Highlight code with highlight.js. Its tokens become nodes; the HTML that it could write is never asked
// for.

const LINE_LIMIT = 2_000; // characters of a line, above which patterns may take too long
const DEPTH_LIMIT = 50; // of tokens within tokens: browsers crash at some thousands
const SLOW = 500; // milliseconds
const SLOW_LIMIT = 3; // codes one after another that take so long, after which their language stays plain: one may be the machine's
const FAR = 3_000; // characters
const MARKUP = "xml";
const WITHIN = { script: "javascript", style: "css" }; // elements of HTML, by name

const slow = new Map(); // by language: how many of its last codes took so long

/** What highlight.js calls an emitter: it takes the tokens of a code and makes nodes of them. */
class Nodes {
  root = document.createDocumentFragment();
  #open = [this.root];

  addText(text) {
    if (text !== "") this.#open.at(-1).append(text);
  }

  startScope(scope) {
    if (this.#open.length > DEPTH_LIMIT) return this.#open.push(this.#open.at(-1));
    const node = document.createElement("span");
    node.className = scope.split(".").map((each) => `hl-${each}`).join(" ");
    this.#open.at(-1).append(node);
    this.#open.push(node);
  }

  endScope() {
    this.#open.pop();
  }

  openNode(scope) {
    this.startScope(scope);
  }

  closeNode() {
    this.endScope();
  }

  __addSublanguage(other) {
    this.#open.at(-1).append(other.root);
  }

  finalize() {}

  toHTML() {
    return "";
  }
}

/** Whether a code, which has ended or still grows, has text that is not highlighted yet. */
export const isPlain = (code, hasEnded) => code.dataset.lit !== (hasEnded ? "all" : String(code.textContent.length));

/** Highlight the code of a `code` element in its `data-language`. Code that still grows: only its end,
 * so that a frame has time for it. */
export function highlight(highlighter, code, hasEnded) {
  const { language, lit = "0" } = code.dataset;
  const whole = code.textContent;
  code.dataset.lit = hasEnded ? "all" : whole.length;
  const grammar = highlighter.getLanguage(language);
  if (grammar === undefined || slow.get(language) === SLOW_LIMIT) return;
  const from = hasEnded ? 0 : safeStart(code, Number(lit));
  if (whole.split("\n").some((line) => line.length > LINE_LIMIT)) return;
  let parts = [[language, whole.slice(from)]];
  if (grammar.name === "HTML, XML") {
    // A fence that was cut for its size may go on within a script or a style sheet.
    const begun = code.previousElementSibling?.dataset.within ?? MARKUP;
    parts = partsOf(whole.slice(from), partsOf(whole.slice(0, from), begun).at(-1)[0]);
    code.dataset.within = parts.at(-1)[0];
  }
  const began = performance.now();
  highlighter.configure({ __emitter: Nodes });
  const found = parts.map(([each, text]) => highlighter.highlight(text, { language: each, ignoreIllegals: true })._emitter.root);
  slow.set(language, performance.now() - began > SLOW ? (slow.get(language) ?? 0) + 1 : 0);
  const nodes = document.createDocumentFragment();
  nodes.append(...found);
  if (hasEnded) return replaceChanged(code, nodes);
  cut(code, from);
  code.append(nodes);
}

/** Replace the nodes of a code by others of the same text, but for those that are equal: most, if it was
 * highlighted while it grew. A new node costs the browser more than its token costs us. */
function replaceChanged(code, nodes) {
  code.normalize();
  nodes.normalize();
  const [old, made] = [[...code.childNodes], [...nodes.childNodes]];
  while (old.length > 0 && made.length > 0 && old.at(-1).isEqualNode(made.at(-1))) {
    old.pop();
    made.pop();
  }
  const behind = old.at(-1)?.nextSibling ?? (old.length === 0 ? code.firstChild : null);
  const changed = old.findIndex((node, number) => !made[number]?.isEqualNode(node));
  const from = changed < 0 ? old.length : changed;
  for (const node of old.slice(from)) node.remove();
  for (const node of made.slice(from)) code.insertBefore(node, behind);
}

/** Return the parts of HTML by their languages, where the text begins in `language`. highlight.js would
 * guess the language of each script, which takes three times as long. */
function partsOf(html, language) {
  const parts = [];
  let from = 0;
  const end = (to, next) => {
    parts.push([language, html.slice(from, to)]);
    [from, language] = [to, next];
  };
  for (const { 0: tag, 1: slash, 2: name, index } of html.matchAll(/<(\/?)(script|style)\b[^<>]*>/gi)) {
    const within = WITHIN[name.toLowerCase()];
    if (slash === "" && language === MARKUP) end(index + tag.length, within);
    if (slash !== "" && language === within) end(index, MARKUP);
  }
  end(html.length, language);
  return parts;
}

/** Return the place behind the last empty line, among the first characters of a code, outside of every
 * token; behind the last line, if that is far. */
function safeStart(code, length) {
  let [empty, line, at] = [0, 0, 0];
  for (const node of code.childNodes) {
    if (at >= length) break;
    const text = node.nodeType === Node.TEXT_NODE ? node.data.slice(0, length - at) : "";
    if (text.includes("\n\n")) empty = at + text.lastIndexOf("\n\n") + 2;
    if (text.includes("\n")) line = at + text.lastIndexOf("\n") + 1;
    at += node.textContent.length;
  }
  return length - empty <= FAR ? empty : line;
}

/** Remove the text of a code from this place on, which is in none of its elements. */
function cut(code, from) {
  let at = code.textContent.length;
  while (at > from) {
    const node = code.lastChild;
    const { length } = node.textContent;
    if (at - length < from) node.deleteData(from - (at - length), at - from);
    else node.remove();
    at = Math.max(from, at - length);
  }
}
