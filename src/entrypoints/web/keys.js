// What single keys do, unless one is writing: the palette, the search, the next task, closing what is open.

import { closeDrawer, isDrawerOpen, openDrawer } from "./drawer.js";
import { closeKeyForm } from "./key.js";
import { keyLetters, keepKeyLetters } from "./remembered.js";
import { isComposed } from "./typing.js";

const WRITING = "input:not([type=checkbox], [type=button]), textarea, select, [contenteditable]";
const isMac = /Mac|iPhone|iPad/.test(navigator.platform);

const $ = (id) => document.getElementById(id);

let acts = {};

/** Set what keys do: the functions `palette`, `step` (called with 1 or -1), and `closeRun`, which returns
 * whether the run was shown. */
export const use = (functions) => (acts = functions);

/** Return the name of the key that opens the palette. */
export const paletteKey = () => (isMac ? "⌘K" : "Ctrl K");

export function focusSearch() {
  openDrawer();
  $("search").focus();
  $("search").select();
}

export function showKeys() {
  $("keys-letters").checked = keyLetters();
  for (const each of document.querySelectorAll("#keys [data-command]")) each.textContent = isMac ? "⌘" : "Ctrl";
  $("keys").showModal();
}

/** Close what is open, else leave the field that one writes in. */
function escape(field) {
  if (isDrawerOpen()) return closeDrawer();
  if (closeKeyForm() || acts.closeRun()) return null;
  return field?.matches("[type=search]") && field.value !== "" ? null : field?.blur(); // the browser empties it
}

const LETTERS = {
  "/": focusSearch,
  "?": showKeys,
  j: () => acts.step(1),
  k: () => acts.step(-1),
};

addEventListener("keydown", (event) => {
  const { key, ctrlKey, metaKey, altKey, target } = event;
  if (event.defaultPrevented || isComposed(event)) return;
  const isModal = document.querySelector("dialog[open]") !== null;
  if (key.toLowerCase() === "k" && (ctrlKey || metaKey) && !altKey && !event.shiftKey) {
    event.preventDefault();
    if (!isModal) acts.palette();
    return;
  }
  if (isModal || document.querySelector(":popover-open") !== null || ctrlKey || metaKey || altKey) return;
  const field = target.closest?.(WRITING) ?? null;
  if (key === "Escape") return escape(field);
  const act = field === null && keyLetters() && Object.hasOwn(LETTERS, key) ? LETTERS[key] : null;
  if (act === null) return;
  event.preventDefault();
  act();
});
$("keys-letters").addEventListener("change", ({ target }) => keepKeyLetters(target.checked));
$("keys-close").addEventListener("click", () => $("keys").close());
