// Find the LaTeX formulas in a Markdown text, so that Markdown changes nothing in them: `\(…\)`,
// `\[…\]`, `$$…$$`, environments such as `\begin{align}`, and `$…$` where it can be no price.
//
// A formula is shown as it is written.

const LENGTH_LIMIT = 2_000; // characters of a formula within a paragraph
const ENVIRONMENT = "(?:equation|align|alignat|gather|multline|CD)\\*?";
const DISPLAY = new RegExp(String.raw`^ {0,3}(\$\$(?!\$)|\\\[|\\begin\{(${ENVIRONMENT})\})`);
const PUNCTUATION = /^[ \t]*[.,;:]?[ \t]*$/;
const SINGLE = /^\$(?![\s$])([^$\n]{0,198}[^\s$\\])\$(?![\p{L}\p{N}_$])/u;
const CLOSINGS = { "\\(": "\\)", "\\[": "\\]", $$: "$$", $: "$" };

/** Whether a formula in lines of its own begins with this line. */
export function opensDisplay(line) {
  const found = DISPLAY.exec(line);
  if (found === null) return false;
  const rest = line.slice(found[0].length);
  const end = rest.indexOf(closingOf(found));
  return end < 0 || PUNCTUATION.test(rest.slice(end + closingOf(found).length));
}

const closingOf = ([, opening, environment]) => (environment ? `\\end{${environment}}` : CLOSINGS[opening]);

/** Whether a line of a paragraph opens a formula with `$$` that it does not close, or closes one. */
export const leavesOpen = (line) => line.split("$$").length % 2 === 0;

/** Return how many of these lines belong to the formula that begins with the first one. As in LaTeX, it
 * contains no empty line. `isOther`: whether a line is none of a formula. */
export function displayEnd(lines, isOther) {
  const found = DISPLAY.exec(lines[0]);
  const closing = closingOf(found);
  if (lines[0].includes(closing, found[0].length)) return 1;
  for (let to = 1; to < lines.length; to += 1) {
    if (lines[to].trim() === "" || isOther(lines[to])) return to;
    if (lines[to].includes(closing)) return to + 1;
  }
  return lines.length;
}

/** Return the formula in these lines and the text behind it. */
export function displayOf(lines) {
  const whole = lines.join("\n").trim();
  const found = DISPLAY.exec(whole);
  const closing = closingOf(found);
  const end = whole.indexOf(closing, found[0].length);
  const to = end < 0 ? whole.length : end + closing.length;
  return [whole.slice(0, to), whole.slice(to)];
}

/** Return the formula at this place within a paragraph, or null. One that is not closed yet reaches to
 * the end of the last line. */
export function formulaAt(text, at) {
  const two = text.slice(at, at + 2);
  const near = text.slice(at, at + LENGTH_LIMIT);
  if (two === "\\(" || two === "\\[" || (two === "$$" && text[at + 2] !== "$")) {
    const end = near.indexOf(CLOSINGS[two], 2);
    if (end > 0) return near.slice(2, end).trim() === "" ? null : near.slice(0, end + 2);
    return two === "$$" || near.length === LENGTH_LIMIT || near.includes("\n") ? null : near;
  }
  const found = text[at] === "$" && !/[\p{L}\p{N}_$]/u.test(text[at - 1] ?? "") ? SINGLE.exec(near.slice(0, 202)) : null;
  return found !== null && (/[\\^_{=<>+]/.test(found[1]) || !/\s/.test(found[1])) ? found[0] : null;
}

/** Return a node that shows a formula as it is written. */
export function formula(written) {
  const node = document.createElement("code");
  node.className = "math";
  node.dir = "ltr";
  node.textContent = written;
  return node;
}

/** Return the LaTeX of a formula without its delimiters, or null if it is not closed. */
export function latexOf(written) {
  const opening = Object.keys(CLOSINGS).find((each) => written.startsWith(each));
  if (opening === undefined) return /\\end\{[^{}]*\}$/.test(written) ? written : null;
  const closing = CLOSINGS[opening];
  if (written.length < opening.length + closing.length || !written.endsWith(closing)) return null;
  return written.slice(opening.length, -closing.length);
}
