// What this browser stores: tasks, the draft, and the API key, which is sent only to the service.

import { ACTIVE } from "./state.js";

const TASKS = "longtask.tasks";
const DRAFT = "longtask.draft";
const KEY = "longtask.key";
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

function save(all) {
  try {
    localStorage.setItem(TASKS, JSON.stringify(all.slice(0, LIMIT)));
  } catch {
    // The storage is full or disabled. The list is only a convenience.
  }
}

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

export function keepOptions(options) {
  try {
    localStorage.setItem(OPTIONS, JSON.stringify(options));
  } catch {
    // As above.
  }
}

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
  try {
    localStorage.setItem(HIDDEN, JSON.stringify(hide ? [id, ...others].slice(0, HIDDEN_LIMIT) : others));
  } catch {
    // As above.
  }
}

/** Whether single letters are keys of the page. */
export const keyLetters = () => localStorage.getItem(LETTERS) !== "no";

export const keepKeyLetters = (on) => localStorage.setItem(LETTERS, on ? "yes" : "no");

/** Return the API key, or an empty string. */
export const apiKey = () => localStorage.getItem(KEY) ?? "";

export const keepApiKey = (key) => localStorage.setItem(KEY, key);

/** Forget the API key, and the tasks: their prompts are its owner's. */
export function forgetApiKey() {
  for (const each of [KEY, TASKS, DRAFT]) localStorage.removeItem(each);
  large.clear();
}

export const draft = () => localStorage.getItem(DRAFT) ?? "";

export function keepDraft(prompt) {
  try {
    localStorage.setItem(DRAFT, prompt);
  } catch {
    // As above.
  }
}

/** Call a function when another tab has changed the list, and one when it has changed the API key. */
export function onChange(changed, keyChanged) {
  addEventListener("storage", ({ key }) => {
    if (key === TASKS || key === HIDDEN || key === null) changed();
    if (key === KEY || key === null) keyChanged();
  });
}
