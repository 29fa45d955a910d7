// Typeset formulas with KaTeX, which makes nodes of them. One that it does not understand stays as it is
// written.

import "./copying.js";
import { latexOf } from "./formulas.js";

const LENGTH_LIMIT = 4_000; // characters of a formula
const DEPTH_LIMIT = 400; // of a formula's nodes: browsers crash at some thousands
const KEPT = 500; // formulas
const OPTIONS = { throwOnError: true, strict: "ignore", trust: false, maxSize: 40, maxExpand: 200 };

const known = new Map(); // by what is written: the node, or null where there is none

/** Return whether it is known how to show this formula (a node of `formula`). */
export const isKnown = (node) => known.has(keyOf(node));

const isDisplay = (node) => node.parentNode.className === "display" || /^(?:\$\$|\\\[)/.test(node.textContent);
const keyOf = (node) => `${isDisplay(node)} ${node.textContent}`;

/** Show a formula typeset, in the place of its node. */
export function typeset(katex, node) {
  const key = keyOf(node);
  if (!known.has(key)) {
    if (known.size >= KEPT) known.clear();
    known.set(key, typesetOf(katex, node));
  }
  const found = known.get(key);
  if (found === null) node.className = "math plain-math";
  else node.replaceWith(found.cloneNode(true));
}

function typesetOf(katex, node) {
  const written = node.textContent;
  const latex = written.length <= LENGTH_LIMIT ? latexOf(written) : null;
  if (latex === null) return null;
  const shown = document.createElement("span");
  shown.className = "typeset";
  shown.dir = "ltr";
  shown.dataset.written = written;
  try {
    // The nodes that katex.render would make, without the style attributes, which the policy forbids.
    // They repeat what classes say, or are of the MathML, which is for screen readers.
    const tree = katex.__renderToDomTree(latex, { ...OPTIONS, displayMode: isDisplay(node) });
    removeStyles(tree, DEPTH_LIMIT);
    shown.append(tree.toNode());
  } catch {
    return null; // no LaTeX that it knows, or nested too deep
  }
  return shown;
}

/** Remove the style attributes of a tree. Throws where it has more levels. */
function removeStyles({ attributes, children }, levels) {
  if (levels === 0) throw new RangeError();
  if (attributes?.style !== undefined) delete attributes.style;
  for (const child of children ?? []) removeStyles(child, levels - 1);
}
