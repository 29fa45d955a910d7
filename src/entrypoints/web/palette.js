// The command palette: what can be done, and which tasks there are, by a few letters of their names.

import { node } from "./nodes.js";
import { text } from "./texts.js";
import { isComposed } from "./typing.js";

const MOST = 30; // tasks that are shown

const dialog = document.getElementById("palette");
const field = document.getElementById("palette-field");
const box = document.getElementById("palette-list");

let groups = []; // {name, entries}, as they were when the palette was opened
let shown = []; // the entries that match, in their order
let chosen = 0;

/** Open the palette. `offered`: groups {name, entries} with the name of a text; each entry has `label`,
 * `act`, and may have `about`, a few words on it. */
export function openPalette(offered) {
  if (dialog.open) return;
  groups = offered;
  field.value = "";
  dialog.showModal();
  show();
}

/** Return whether all words stand in a text. */
const matches = (words, { label, about = "" }) => words.every((word) => `${label} ${about}`.toLowerCase().includes(word));

function show() {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  shown = [];
  chosen = 0;
  box.replaceChildren(...groups.flatMap(({ name, entries }, number) => {
    const found = entries.filter((entry) => matches(words, entry)).slice(0, MOST);
    if (found.length === 0) return [];
    const title = node("div", "palette-title", text(name));
    title.role = "presentation";
    title.id = `palette-group-${number}`;
    const group = node("div", "", title, ...found.map(option));
    group.role = "group";
    group.setAttribute("aria-labelledby", title.id);
    return [group];
  }));
  document.getElementById("palette-none").hidden = shown.length > 0;
  mark();
}

function option(entry) {
  const item = node("div", "palette-option", node("span", "name", entry.label));
  item.firstChild.dir = "auto";
  if (entry.about) item.append(node("span", "about", entry.about));
  item.role = "option";
  item.id = `palette-${shown.length}`;
  item.classList.toggle("danger", entry.danger === true);
  const place = shown.push(entry) - 1;
  item.addEventListener("pointermove", () => {
    if (chosen !== place) mark(place, false);
  });
  item.addEventListener("click", () => run(entry));
  return item;
}

function mark(place = chosen, scroll = true) {
  chosen = place;
  for (const item of box.querySelectorAll("[role=option]")) {
    const isChosen = item.id === `palette-${chosen}`;
    item.setAttribute("aria-selected", String(isChosen));
    if (!isChosen) continue;
    field.setAttribute("aria-activedescendant", item.id);
    if (chosen === 0) box.scrollTop = 0; // with the title of its group
    else if (scroll) item.scrollIntoView({ block: "nearest" });
  }
  if (shown.length === 0) field.removeAttribute("aria-activedescendant");
}

function run(entry) {
  dialog.close();
  entry.act();
}

field.addEventListener("input", show);
field.addEventListener("keydown", (event) => {
  if (isComposed(event)) return;
  const count = shown.length;
  const to = { ArrowDown: chosen + 1, ArrowUp: chosen - 1 + count }[event.key];
  if (to === undefined && event.key !== "Enter") return;
  event.preventDefault();
  if (count === 0) return;
  if (event.key === "Enter") run(shown[chosen]);
  else mark(to % count);
});
dialog.addEventListener("click", ({ target }) => {
  if (target === dialog) dialog.close(); // outside of what it shows
});
