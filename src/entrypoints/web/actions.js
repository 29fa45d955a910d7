// What can be done with a task, and the menus that offer it.

import * as api from "./api.js";
import { addressOf } from "./beside.js";
import { copy, copyAndSay, say } from "./clipboard.js";
import { showCode } from "./code-dialog.js";
import { edit, isEditable } from "./edit.js";
import { showFault, showProblem } from "./form.js";
import { toggleMenu } from "./menu.js";
import { chooseModel } from "./model-choice.js";
import { defaultModel } from "./models.js";
import * as remembered from "./remembered.js";
import { ACTIVE, isGone } from "./state.js";
import * as task from "./task.js";
import { entryOfTelling } from "./tell.js";
import { text } from "./texts.js";

const $ = (id) => document.getElementById(id);

let list = null;
let start = null;
const showList = () => list.show(task.shown()?.id);

/** Set the list of tasks, and the function that starts a request. */
export function use(tasks, starting) {
  list = tasks;
  start = starting;
}

/** Note that the service does not know a task. */
export function forgotten(id) {
  remembered.note(id, "unknown");
  list.gone(id);
  showList();
}

async function cancel(id) {
  try {
    const { status } = await api.twice(() => api.cancel(id));
    remembered.note(id, status);
  } catch (error) {
    if (error.status === 404) forgotten(id);
    else if (error.status !== 409) showFault(error); // it has ended meanwhile, as its stream tells
  }
  showList();
}

async function retry(id) {
  const request = await requestLike(id);
  if (request !== null) await start(request);
}

/** Return the request of a task, to be started anew, or null after saying why it cannot be. */
async function requestLike(id) {
  let request = null;
  try {
    request = await task.requestLike(id);
  } catch (error) {
    if (error.status !== 404) return showFault(error) ?? null;
  }
  if (request === null) showProblem(text("gone"));
  return request;
}

/** Go on with an answer that has reached the limit of its length. */
async function goOn(id) {
  const request = await requestLike(id);
  if (request === null) return;
  const { messages, ...rest } = request;
  await start({ ...rest, prompt: text("goOnPrompt"), previousTaskId: id });
}

async function editAndRun(id) {
  const request = await requestLike(id);
  if (request !== null) edit(request, start);
}

/** Run the request of a task with another model, and show both answers. */
async function runBeside(id) {
  const request = await requestLike(id);
  if (request === null) return;
  const model = await chooseModel([request.model ?? defaultModel()]);
  if (model) await start({ ...request, model }, (other) => addressOf(id, other));
}

async function asCode(id) {
  const request = await requestLike(id);
  if (request !== null) showCode(request);
}

async function remove(id) {
  if (list.isServed) {
    if (!(await askToDelete(list.find(id) ?? { id, status: task.shown()?.state.status }))) return;
    try {
      await api.twice(() => api.remove(id));
    } catch (error) {
      if (error.status !== 404) return showFault(error);
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

/** List a task in this browser no more, or again. */
function hide(id, hidden) {
  remembered.hide(id, hidden);
  showList();
  if (hidden) say(text(ACTIVE.has(list.find(id)?.status) ? "hiddenRuns" : "hiddenKept"));
}

const linkTo = (id) => `${location.href.split("#")[0]}#${encodeURIComponent(id)}`;

/** Return the entries that end the menu of a task: where it is, and how to be rid of it. */
function leaving(id) {
  const isHidden = remembered.hidden().has(id);
  return [
    { name: "share", act: () => copyAndSay(linkTo(id)) },
    { name: "copyId", act: () => copyAndSay(id) },
    null,
    ...(list.isServed ? [{ name: isHidden ? "unhide" : "hide", act: () => hide(id, !isHidden) }] : []),
    list.isServed ? { name: "delete", act: () => remove(id), danger: true } : { name: "remove", act: () => remove(id) },
  ];
}

/** Return the entries of the menu of a task in the list. */
export function entries(id) {
  const status = list.find(id)?.status;
  const again = { name: status === "completed" ? "runAgain" : "retry", act: () => retry(id) };
  const first = ACTIVE.has(status) ? { name: "cancel", act: () => cancel(id) } : again;
  return [first, null, ...leaving(id)];
}

/** Return the entries of the menu of the task that is shown: what no button of the header does. */
export function entriesOfShown() {
  const { id, connection, state } = task.shown();
  const unknown = isGone(connection);
  const isActive = !unknown && ACTIVE.has(state.status);
  const says = state.answer.text !== "";
  const isRaw = !$("raw").hidden;
  const again = [
    !unknown && isEditable(task.shown().request) && { name: "edit", act: () => editAndRun(id) },
    !unknown && { name: "beside", act: () => runBeside(id) },
    !unknown && { name: "asCode", act: () => asCode(id) },
  ].filter(Boolean);
  const groups = [
    !unknown && !isActive && $("retry").hidden && { name: "runAgain", act: () => retry(id) },
    says && $("copy").hidden && { name: "copy", act: () => copyAndSay(state.answer.text) },
    says && { name: "download", act: download },
    says && { name: isRaw ? "formatted" : "raw", act: () => task.showRaw(!isRaw) },
    !$("run-toggle").checkVisibility() && { name: "run", act: () => task.showRun(true, "runTimeline") },
    { name: "rawEvents", act: () => task.showRun(true, "runEvents") },
    entryOfTelling(),
    isActive && { name: connection === "stopped" ? "listen" : "stopListening", act: connection === "stopped" ? task.listen : task.stopListening },
  ];
  return [...again, ...(again.length > 0 ? [null] : []), ...groups.filter(Boolean), null, ...leaving(id)];
}

function download() {
  const { id, state } = task.shown();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([state.answer.text], { type: "text/markdown" }));
  link.download = `${id}.md`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1_000);
}

$("more").addEventListener("click", ({ currentTarget }) => toggleMenu(currentTarget, entriesOfShown()));
$("cancel").addEventListener("click", () => cancel(task.shown().id));
$("retry").addEventListener("click", () => retry(task.shown().id));
$("edit").addEventListener("click", () => editAndRun(task.shown().id));
$("go-on").addEventListener("click", () => goOn(task.shown().id));
$("copy").addEventListener("click", (event) => copy(task.shown().state.answer.text, event.currentTarget, "copy"));
$("run-toggle").addEventListener("click", () => task.showRun($("run").hidden));
$("run-close").addEventListener("click", () => {
  task.showRun(false);
  $("run-toggle").focus();
});
$("task").addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button !== null) copy(button.closest("figure").querySelector("pre").textContent, button, "copy");
});
