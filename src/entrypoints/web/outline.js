// The outline of a long answer: its headings, where the reader is among them, and the way to each.

import { node } from "./nodes.js";

const LEAST = 3; // headings from which on an outline helps
const PAUSE = 500; // milliseconds between two looks at an answer that is coming
const HEADING = /^h[3-6]$/;

const $ = (id) => document.getElementById(id);
const [answer, button, panel, box] = ["answer", "outline-toggle", "outline", "outline-list"].map($);

let headings = [];
let jumped = null; // where the reader jumped to: {node, at}
let scheduled = false;

/** Return the headings of an answer in their order, as {level, text, node}. The levels are those that
 * the answer needs: from 1, without gaps. `root`: the element that Markdown has filled. */
export function outline(root) {
  const nodes = [...root.children].filter((each) => HEADING.test(each.localName) && each.textContent.trim() !== "");
  const used = [...new Set(nodes.map((each) => each.localName))].sort();
  return nodes.map((each) => ({ level: used.indexOf(each.localName) + 1, text: each.textContent.trim(), node: each }));
}

const isOpen = () => panel.matches(":popover-open");

function look() {
  scheduled = false;
  headings = answer.hidden ? [] : outline(answer);
  button.hidden = headings.length < LEAST;
  if (!isOpen()) return;
  if (button.hidden) panel.hidePopover();
  else show();
}

/** Show the headings. Those that are shown already stay, and keep the focus. */
function show() {
  headings.forEach(({ level, text }, place) => {
    const shown = box.children[place] ?? box.appendChild(item(place));
    const link = shown.firstChild;
    if (link.textContent !== text) link.textContent = text;
    link.dataset.level = String(level);
  });
  while (box.children.length > headings.length) box.lastChild.remove();
  mark();
}

function item(place) {
  const link = node("button", "");
  link.type = "button";
  link.dir = "auto";
  link.addEventListener("click", ({ detail }) => jump(place, detail === 0));
  return node("li", "", link);
}

/** Go to a heading. `byKey`: whether the reader used the keyboard, and goes on reading there. */
function jump(place, byKey) {
  const { node: heading } = headings[place];
  if (byKey || matchMedia("(max-width: 56.24rem)").matches) panel.hidePopover();
  heading.scrollIntoView({ block: "start", behavior: "instant" });
  if (byKey) {
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  }
  jumped = { node: heading, at: scrollY };
  if (isOpen()) mark();
}

/** Mark the heading under which the reader is. */
function mark() {
  const top = parseFloat(getComputedStyle(document.documentElement).scrollPaddingTop) + 2;
  let here = headings.findLastIndex(({ node: heading }) => heading.getBoundingClientRect().top <= top);
  if (jumped !== null && Math.abs(scrollY - jumped.at) < 2) { // the end of the page may be nearer than a screen
    here = headings.findIndex(({ node: heading }) => heading === jumped.node);
  }
  [...box.children].forEach(({ firstChild: link }, place) => {
    const was = link.ariaCurrent === "location";
    if (was === (place === here)) return;
    if (was) return link.removeAttribute("aria-current");
    link.ariaCurrent = "location";
    link.scrollIntoView({ block: "nearest" });
  });
}

new MutationObserver(() => {
  if (scheduled) return;
  scheduled = true;
  setTimeout(look, PAUSE);
}).observe(answer, { childList: true, attributeFilter: ["hidden"] });
panel.addEventListener("toggle", ({ newState }) => {
  if (newState !== "open") return;
  look();
  (box.querySelector("[aria-current]") ?? box.querySelector("button"))?.focus();
});
addEventListener("scroll", () => {
  if (isOpen()) mark();
}, { passive: true });
