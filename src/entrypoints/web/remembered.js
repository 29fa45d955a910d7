// What this browser stores: tasks, the draft, and the API key, which is sent only to the service.

import { ACTIVE } from "./state.js";

const TASKS = "longtask.tasks";
const DRAFT = "longtask.draft";
const KEY = "longtask.key";
const OWNER = "longtask.owner"; // of that key
const OPTIONS = "longtask.options";
const HIDDEN = "longtask.hidden";
const LETTERS = "longtask.letters";
const LIMIT = 50;
const HIDDEN_LIMIT = 500;
const REQUEST_LIMIT = 20_000; // characters: images would fill the storage
const TITLE_LIMIT = 500;

const large = new Map(); // by task: the requests of this page that are not stored

export function tasks() {
  try {
    const found = JSON.parse(localStorage.getItem(TASKS) ?? "[]");
    return Array.isArray(found) ? found.filter((each) => typeof each?.id === "string") : [];
  } catch {
    return [];
  }
}

/** Store a value, unless the storage is full. */
export function keep(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // All that is stored is only a convenience.
  }
}

const save = (all) => keep(TASKS, JSON.stringify(all.slice(0, LIMIT)));

export function find(id) {
  const task = tasks().find((each) => each.id === id);
  return large.has(id) ? { ...task, request: large.get(id) } : task;
}

/** Add a task, {id, status, title, request}, at the top of the list. */
export function remember({ id, status, title, request }) {
  const task = { id, status, title: title.slice(0, TITLE_LIMIT), createdAt: Date.now(), request };
  if (JSON.stringify(request).length > REQUEST_LIMIT) {
    large.set(id, request);
    delete task.request; // the service still has it
  }
  save([task, ...tasks().filter((each) => each.id !== id)]);
}

export function note(id, status) {
  const all = tasks();
  const task = all.find((each) => each.id === id);
  if (task === undefined || task.status === status) return false;
  task.status = status;
  save(all);
  return true;
}

/** Note the statuses of the tasks that have not ended, as `statusOf` returns them for their ids. */
export function noteAll(statusOf) {
  const all = tasks();
  const stale = all.filter(({ id, status }) => ACTIVE.has(status) && (statusOf(id) ?? status) !== status);
  for (const task of stale) task.status = statusOf(task.id);
  if (stale.length > 0) save(all);
}

export function forget(id) {
  save(tasks().filter((each) => each.id !== id));
}

/** Return the options that were last in the form, by field. */
export function options() {
  try {
    return JSON.parse(localStorage.getItem(OPTIONS)) ?? {};
  } catch {
    return {};
  }
}

export const keepOptions = (options) => keep(OPTIONS, JSON.stringify(options));

/** Return the ids of the tasks that this browser does not list. */
export function hidden() {
  try {
    return new Set(JSON.parse(localStorage.getItem(HIDDEN) ?? "[]"));
  } catch {
    return new Set();
  }
}

/** List a task no more, or again. */
export function hide(id, hide = true) {
  const others = [...hidden()].filter((each) => each !== id);
  keep(HIDDEN, JSON.stringify(hide ? [id, ...others].slice(0, HIDDEN_LIMIT) : others));
}

/** Whether single letters are keys of the page. */
export const keyLetters = () => localStorage.getItem(LETTERS) !== "no";

export const keepKeyLetters = (on) => keep(LETTERS, on ? "yes" : "no");

/** Return the API key, or an empty string. */
export const apiKey = () => localStorage.getItem(KEY) ?? "";

/** Store the name of the owner of the API key. */
export const keepOwner = (owner) => keep(OWNER, owner);

/** Store the API key of an owner. Return whether the one before was of another owner, of whom all is
 * forgotten then. */
export function keepApiKey(key, owner) {
  const isOther = apiKey() !== "" && localStorage.getItem(OWNER) !== owner;
  if (isOther) forgetOwner();
  localStorage.setItem(KEY, key);
  keepOwner(owner);
  return isOther;
}

/** Forget the API key and all of its owner. */
export function forgetApiKey() {
  forgetOwner();
  localStorage.removeItem(KEY);
}

function forgetOwner() {
  for (const each of [TASKS, HIDDEN, DRAFT, OPTIONS, OWNER]) localStorage.removeItem(each);
  large.clear();
}

export const draft = () => localStorage.getItem(DRAFT) ?? "";

export const keepDraft = (prompt) => keep(DRAFT, prompt);

/** Call a function when another tab has changed the list, one when it has changed the API key, and one
 * when it has forgotten the owner of the key. */
export function onChange(changed, keyChanged, forgotten) {
  addEventListener("storage", ({ key, oldValue }) => {
    if (key === TASKS || key === HIDDEN || key === null) changed();
    if (key === KEY || key === null) keyChanged();
    if (key !== null && (key !== OWNER || oldValue === null)) return;
    large.clear();
    forgotten();
  });
}
