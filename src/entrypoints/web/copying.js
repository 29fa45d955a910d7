// Copy what is selected with its formulas as they were written: a typeset one holds its text twice, as
// glyphs and as MathML.

/** Return the formula that a place is in, or null. */
const formulaAt = (node) => (node instanceof Element ? node : node.parentElement)?.closest(".typeset") ?? null;

/** Return a copy of what is selected, with whole formulas. */
function selected(range) {
  const whole = range.cloneRange();
  const [first, last] = [formulaAt(range.startContainer), formulaAt(range.endContainer)];
  if (first !== null) whole.setStartBefore(first);
  if (last !== null) whole.setEndAfter(last);
  return whole.cloneContents();
}

document.addEventListener("copy", (event) => {
  const selection = getSelection();
  if (event.defaultPrevented || selection.isCollapsed) return;
  const content = selected(selection.getRangeAt(0));
  const formulas = content.querySelectorAll(".typeset");
  if (formulas.length === 0) return;
  for (const each of formulas) each.replaceWith(each.dataset.written);
  for (const each of content.querySelectorAll("button")) each.remove(); // as browsers do
  const shown = document.createElement("div"); // only what is rendered has a text with line breaks
  shown.className = "answer unseen";
  shown.append(content);
  document.body.append(shown);
  event.clipboardData.setData("text/plain", shown.innerText.trim());
  event.clipboardData.setData("text/html", new XMLSerializer().serializeToString(shown));
  shown.remove();
  event.preventDefault();
});
