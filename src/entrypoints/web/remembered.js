// What this browser stores: tasks, the draft, and the API key, which is sent only to the service.

const TASKS = "longtask.tasks";
const DRAFT = "longtask.draft";
const KEY = "longtask.key";
const LIMIT = 50;

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

export const find = (id) => tasks().find((each) => each.id === id);

/** Add a task, {id, status, request}, at the top of the list. */
export function remember(task) {
  save([task, ...tasks().filter((each) => each.id !== task.id)]);
}

export function note(id, status) {
  const all = tasks();
  const task = all.find((each) => each.id === id);
  if (task === undefined || task.status === status) return false;
  task.status = status;
  save(all);
  return true;
}

export function forget(id) {
  save(tasks().filter((each) => each.id !== id));
}

/** Return the API key, or an empty string. */
export const apiKey = () => localStorage.getItem(KEY) ?? "";

export const keepApiKey = (key) => localStorage.setItem(KEY, key);

export const draft = () => localStorage.getItem(DRAFT) ?? "";

export function keepDraft(prompt) {
  try {
    localStorage.setItem(DRAFT, prompt);
  } catch {
    // As above.
  }
}

/** Call a function when another tab has changed the list. */
export function onChange(changed) {
  addEventListener("storage", (event) => {
    if (event.key === TASKS || event.key === null) changed();
  });
}
