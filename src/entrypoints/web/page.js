// The page: the actions of the user. The form is in form.js, the open task in task.js, the list in list.js.

import * as api from "./api.js";
import { copy } from "./clipboard.js";
import { clearForm, goOnFrom, requestOfForm, showProblem } from "./form.js";
import { List } from "./list.js";
import * as remembered from "./remembered.js";
import { promptOf } from "./sent.js";
import { ACTIVE } from "./state.js";
import * as task from "./task.js";
import { showTheme } from "./theme.js";
import { otherLanguage, text, translate } from "./texts.js";

const $ = (id) => document.getElementById(id);
const list = new List($("list"), {
  open: go, cancel, retry, remove, deleted: task.deleted, keyRefused: () => askForKey(remembered.apiKey() !== "", false),
});
const showList = () => list.show(task.shown()?.id);

// Starting

async function start(request) {
  const button = $("submit");
  button.disabled = true;
  button.textContent = text("starting");
  showProblem("");
  const key = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
  try {
    const started = await api.twice(() => api.start(request, key));
    remembered.remember({ id: started.taskId, status: "pending", title: promptOf(request), request });
    list.show(started.taskId);
    go(started.taskId);
    return true;
  } catch (error) {
    waitsForKey = error.status === 401;
    if (!waitsForKey) showProblem(error instanceof api.Away ? text("away") : text("refused", { detail: error.message }));
    return false;
  } finally {
    button.disabled = false;
    button.textContent = text("start");
  }
}

$("start").addEventListener("submit", async (event) => {
  event.preventDefault();
  const request = requestOfForm();
  if (request !== null && (await start(request))) clearForm();
});

// The API key, if the service requires one

let waitsForKey = false; // whether a start was refused since it had no valid key

/** `given`: whether a key was sent and refused. `now`: whether what the user has just done needs it. */
function askForKey(given, now = true) {
  $("key-hint").textContent = text(given ? "keyRefused" : "keyWanted");
  $("key-form").hidden = false;
  if (now) $("key").focus();
}
api.onKeyRefused(askForKey);
task.onKeyNeeded(askForKey);
$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  remembered.keepApiKey($("key").value.trim());
  $("key").value = "";
  useKey();
  if (waitsForKey) $("start").requestSubmit();
});

/** Use the API key that is stored now. */
function useKey() {
  $("key-form").hidden = true;
  list.follow();
  if (!waitsForKey && task.shown()?.connection === "locked") open(task.shown().id);
}

// Actions on a task

function go(id) {
  if (location.hash === `#${id}`) open(id);
  else location.hash = id; // hashchange opens it
}

function open(id) {
  task.open(id);
  list.show(id);
}

async function cancel(id) {
  try {
    const { status } = await api.twice(() => api.cancel(id));
    remembered.note(id, status);
  } catch (error) {
    if (error instanceof api.Away) showProblem(text("away"));
    else if (error.status === 404) forgotten(id);
  }
  showList();
}

/** Note that the service does not know a task. */
function forgotten(id) {
  remembered.note(id, "unknown");
  list.gone(id);
  showList();
}

async function retry(id) {
  let request = null;
  try {
    request = await task.requestLike(id);
  } catch (error) {
    if (error instanceof api.Away) return showProblem(text("away"));
  }
  if (request === null) return showProblem(text("gone"));
  return start(request);
}

async function remove(id) {
  if (list.isServed) {
    if (!(await askToDelete(list.find(id)))) return;
    try {
      await api.twice(() => api.remove(id));
    } catch (error) {
      if (error instanceof api.Away) return showProblem(text("away"));
      if (error.status !== 404) return showProblem(text("refused", { detail: error.message }));
    }
    list.gone(id);
    task.deleted(id);
  }
  remembered.forget(id);
  showList();
}

/** Ask whether to delete a task, and return whether to. */
function askToDelete({ id, title, status }) {
  const dialog = $("deleting");
  $("deleting-what").textContent = text("deleteWhat", { prompt: (title || id).slice(0, 120) });
  $("deleting-means").textContent = text(ACTIVE.has(status) ? "deleteRunning" : "deleteEnded");
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "delete"), { once: true });
  });
}
$("keep").addEventListener("click", () => $("deleting").close());
$("delete").addEventListener("click", () => $("deleting").close("delete"));

$("cancel").addEventListener("click", () => cancel(task.shown().id));
$("retry").addEventListener("click", () => retry(task.shown().id));
$("go-on").addEventListener("click", () => {
  const { id, request, state } = task.shown();
  // A cancelled task's calls are not part of the conversation.
  const calls = state.status === "completed" ? state.answer.toolCalls : [];
  goOnFrom({ id, prompt: request === null ? "" : promptOf(request), calls });
});
$("listen").addEventListener("click", () => {
  if (task.shown().connection === "stopped") task.listen();
  else task.stopListening();
});
$("raw-toggle").addEventListener("click", () => {
  const shown = !$("raw").hidden;
  $("raw").hidden = shown;
  $("answer").hidden = !shown;
  $("raw-toggle").setAttribute("aria-pressed", String(!shown));
});
$("copy").addEventListener("click", (event) => copy(task.shown().state.answer.text, event.currentTarget, "copy"));
$("share").addEventListener("click", (event) => copy(location.href, event.currentTarget, "share"));
$("task").addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button !== null) copy(button.closest("figure").querySelector("pre").textContent, button, "copy");
});
$("download").addEventListener("click", () => {
  const { id, state } = task.shown();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([state.answer.text], { type: "text/markdown" }));
  link.download = `${id}.md`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1_000);
});

// The page itself

function showAll() {
  translate();
  showTheme();
  task.showRequest();
  task.show();
  showList();
}
$("language").addEventListener("click", () => {
  otherLanguage();
  showAll();
});

function openWhatIsNamed() {
  let id = location.hash.slice(1);
  try {
    id = decodeURIComponent(id);
  } catch {
    // Not a task id. The page will say that it does not know the task.
  }
  if ($(id) !== null) return; // an element of the page, such as the target of the skip link
  if (id) return open(id);
  // Open the newest task that has not ended, if any.
  const unfinished = remembered.tasks().find((each) => ACTIVE.has(each.status));
  if (unfinished !== undefined) go(unfinished.id);
}
addEventListener("hashchange", openWhatIsNamed);
remembered.onChange(showList, useKey);
task.onChange(showList);
task.onGone(forgotten);
$("list-older").addEventListener("click", () => list.older().catch(() => showProblem(text("away"))));

$("prompt").value = remembered.draft();
showAll();
openWhatIsNamed();
list.follow();
