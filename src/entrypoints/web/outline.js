// The outline of a long answer.

/** Return the headings of an answer in their order, as {level, text, node}. The levels are those that
 * the answer needs: from 1, without gaps. `root`: the element that Markdown has filled. */
export function outline(root) {
  const nodes = [...root.querySelectorAll(":scope > :is(h3, h4, h5, h6)")].filter((node) => node.textContent.trim() !== "");
  const used = [...new Set(nodes.map((node) => node.localName))].sort();
  return nodes.map((node) => ({ level: used.indexOf(node.localName) + 1, text: node.textContent.trim(), node }));
}
