// What the command palette and the keys offer: actions of the task that is open, of the page, and tasks.

import * as actions from "./actions.js";
import * as key from "./key.js";
import { focusSearch, paletteKey, showKeys, use } from "./keys.js";
import { openPalette } from "./palette.js";
import * as task from "./task.js";
import { text } from "./texts.js";

const $ = (id) => document.getElementById(id);
const BUTTONS = ["cancel", "retry", "copy", "go-on", "outline-toggle", "run-toggle"]; // of the task, where they show

const named = (name, act, others = {}) => ({ label: text(name), act, ...others });

/** Return what can be done with the task that is open. */
function ofTask() {
  if (task.shown() === null) return [];
  const buttons = BUTTONS.map($).filter((each) => each?.checkVisibility());
  return [
    ...buttons.map((each) => named(each.dataset.text ?? each.dataset.label, () => each.click())),
    ...actions.entriesOfShown().filter(Boolean).map(({ name, ...rest }) => ({ label: text(name), ...rest })),
  ];
}

function ofPage(list) {
  const click = (id) => () => $(id).click();
  return [
    named("newTask", click("new")),
    named("search", focusSearch, { about: "/" }),
    list.beside(1) !== null && named("nextTask", () => step(list, 1), { about: "j" }),
    list.beside(-1) !== null && named("previousTask", () => step(list, -1), { about: "k" }),
    { label: text("theme", { theme: $("theme").textContent }), act: click("theme") },
    { label: $("language").textContent, act: click("language") },
    named("usage", click("usage-open")),
    named("api", () => document.querySelector(".tools a").click()),
    ...key.entriesOfKey().map(({ name, ...rest }) => ({ label: text(name), ...rest })),
    named("keys", showKeys, { about: "?" }),
  ].filter(Boolean);
}

function step(list, by) {
  const id = list.beside(by);
  if (id !== null) list.open(id);
}

/** Offer them for a list of tasks. */
export function offerCommands(list) {
  const palette = () => openPalette([
    { name: "thisTask", entries: ofTask() },
    { name: "tools", entries: ofPage(list) },
    { name: "tasks", entries: list.listed.map(({ id, title, status }) => ({ label: title || id, about: text(status), act: () => list.open(id) })) },
  ]);
  const closeRun = () => {
    const isShown = !$("run").hidden;
    if (isShown) $("run-close").click();
    return isShown;
  };
  use({ palette, step: (by) => step(list, by), closeRun });
  $("palette-open").addEventListener("click", palette);
  $("palette-open").title = paletteKey();
}
