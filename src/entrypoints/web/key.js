// The API key, where the service requires one: it is asked for, checked before it is stored, shown by the
// name of its owner, and forgotten.

import * as api from "./api.js";
import { say } from "./clipboard.js";
import { closeDrawer } from "./drawer.js";
import { toggleMenu } from "./menu.js";
import { apiKey, forgetApiKey, keepApiKey, keepOwner } from "./remembered.js";
import { refusal, text } from "./texts.js";

const KEY = /(?<![\w-])lt_[\w-]{20,}/g;
const HASH = /sha256:|^[0-9a-f]{64}$/i;

const $ = (id) => document.getElementById(id);
const [form, field, hint] = ["key-form", "key", "key-hint"].map($);

let changed = () => {};

/** Set the function to call once another key is stored, or none. It is told whether all of the owner of the
 * one before is forgotten. */
export const onKeyChange = (callback) => (changed = callback);

/** Return the key in what was pasted, such as a line of a settings file or all that `longtask key new`
 * prints, as {key}; or as {fault} the name of a text that says why there is none. */
function keyIn(pasted) {
  const whole = pasted.trim();
  const found = new Set(whole.match(KEY) ?? []);
  if (found.size === 1) return { key: [...found][0] };
  if (found.size > 1) return { fault: "keySeveral" };
  if (HASH.test(whole)) return { fault: "keyIsHash" };
  const [, last] = /^(?:[\w.-]+\s*[:=]\s*)?["']?([!-~]+?)["']?$/.exec(whole) ?? [];
  return last === undefined ? { fault: "keyNotThere" } : { key: last }; // the service knows
}

/** Ask for a key. `given`: whether one was sent and refused. `now`: whether what the user has just done
 * needs it. */
export function askForKey(given, now = true) {
  if (given) $("me").hidden = true;
  show(given ? "keyRefused" : "keyWanted", given);
  if (now) field.focus();
}

function show(name, isFault) {
  tell(name, isFault);
  form.hidden = false;
  $("key-keep").hidden = $("me").hidden;
}

function tell(name, isFault) {
  hint.dataset.text = name;
  hint.textContent = text(name);
  hint.classList.toggle("fault", isFault);
  if (isFault) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
}

/** Close the form, where the user may go on without it. Return whether it was open. */
export function closeKeyForm() {
  if (form.hidden || $("key-keep").hidden) return false;
  field.value = "";
  form.hidden = true;
  return true;
}

/** Show whose key is stored. */
export async function showOwner() {
  const key = apiKey();
  let owner = null;
  try {
    if (key) ({ owner } = await api.me(key));
  } catch {
    // It was withdrawn, which the list will tell, or the service cannot be reached.
  }
  if (key !== apiKey()) return; // another call asks for that one
  if (owner !== null) keepOwner(owner);
  $("me").hidden = owner === null;
  $("me-name").textContent = owner ?? "";
  field.form.elements.username.value = owner ?? "";
}

async function check(key) {
  try {
    return await api.twice(() => api.me(key));
  } catch (error) {
    if (error instanceof api.Away) tell("keyUnchecked", true);
    else if (error.status === 401) tell("keyRefused", true);
    else hint.textContent = text("refused", { detail: refusal(error) });
    field.select();
    return null;
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { key, fault } = keyIn(field.value);
  if (fault !== undefined) {
    tell(fault, true);
    return field.select();
  }
  const button = $("use-key");
  button.disabled = true;
  button.textContent = text("keyChecking");
  const me = await check(key);
  button.disabled = false;
  button.textContent = text("useKey");
  if (me === null) return;
  form.elements.username.value = me.owner ?? ""; // under which a password manager keeps the key
  const isOther = keepApiKey(key, me.owner ?? "");
  field.value = "";
  form.hidden = true;
  if (me.owner !== null) say(text("keyIs", { owner: me.owner }));
  changed(isOther);
});

// A field of one line would join the lines of what is pasted.
field.addEventListener("paste", (event) => {
  const { key, fault } = keyIn(event.clipboardData.getData("text/plain"));
  event.preventDefault();
  if (fault !== undefined) return tell(fault, true);
  field.value = key;
  tell("keyWanted", false);
});

function forget() {
  forgetApiKey();
  form.elements.username.value = "";
  say(text("keyForgotten"));
  changed(true);
}

$("key-keep").addEventListener("click", closeKeyForm);

/** Return the entries of the menu about the key. */
export const entriesOfKey = () => ($("me").hidden ? [] : [
  {
    name: "keyChange",
    act() {
      closeDrawer();
      show("keyOther", false);
      field.focus();
    },
  },
  { name: "keyForget", act: forget, danger: true },
]);
$("me").addEventListener("click", ({ currentTarget }) => toggleMenu(currentTarget, entriesOfKey()));
