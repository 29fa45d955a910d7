// A second answer beside the task that is open: that of another model to the same request. The address
// has both ids, `#first&second`, and each answer can be closed: the other one is the page then.

import * as api from "./api.js";
import { ColumnHead } from "./column-head.js";
import * as remembered from "./remembered.js";
import { SideAnswer } from "./side-answer.js";
import { isGone } from "./state.js";
import * as task from "./task.js";
import { statusText, text } from "./texts.js";

const TICK = 250; // milliseconds
const $ = (id) => document.getElementById(id);

let current = null; // {id, answer, models, stop}
let changed = () => {};
let needsKey = () => {};

/** Return the fragment of the address that names one task or two. */
export const addressOf = (...ids) => ids.map(encodeURIComponent).join("&");

/** Return the ids that a fragment names. */
export function idsIn(fragment) {
  try {
    return fragment.split("&").map(decodeURIComponent);
  } catch {
    return [fragment]; // no task has such an id, and the page says so
  }
}

/** Return the id of the task that is shown beside the other one, or null. */
export const besideId = () => current?.id ?? null;

/** Return a prompt with the name of the model that answers it, if another one answers it too. */
export const named = (prompt) => (current === null ? prompt : `${current.models.first || task.shown().state.end.model}: ${prompt}`);

/** Set the function to call when the names of the models are known, and the one when an API key is
 * required or refused. */
export const onChange = (callback) => (changed = callback);
export const onKeyNeeded = (callback) => (needsKey = callback);

const go = (id) => (location.hash = addressOf(id));
const first = new ColumnHead($("first-head"), [], () => go(current.id));

/** Show a task beside the one that is open. */
export function openBeside(id) {
  closeBeside();
  const models = { first: "", second: "" }; // that were asked for
  const answer = new SideAnswer($("beside"), id, {
    close: () => go(task.shown().id),
    needsKey: (given) => needsKey(given),
    cancel: () => api.twice(() => api.cancel(id)).catch(() => {}), // the stream tells what came of it
  });
  const timer = setInterval(show, TICK);
  current = { id, answer, models, stop: () => clearInterval(timer) };
  for (const [which, each] of [["first", task.shown().id], ["second", id]]) readModel(models, which, each);
  $("beside").hidden = $("first-head").hidden = false;
  document.body.toggleAttribute("data-beside", true);
  $("beside").setAttribute("aria-label", text("besideAnswer"));
  task.showRun(false);
  show();
}

async function readModel(models, which, id) {
  const isKnown = remembered.find(id)?.request?.model;
  try {
    models[which] = isKnown ?? (await api.record(id)).request?.model ?? "";
    changed();
  } catch {
    // Its stream says what is wrong, and names the model at its end.
  }
}

/** Show one answer again. */
export function closeBeside() {
  if (current === null) return;
  current.stop();
  current.answer.stop();
  current = null;
  $("beside").hidden = $("first-head").hidden = true;
  document.body.toggleAttribute("data-beside", false);
  $("beside").replaceChildren();
}

/** Say that a task was deleted, if it is the one beside. */
export function deletedBeside(id) {
  if (current?.id === id) current.answer.lose("deleted");
}

/** Follow the task beside again: with the API key and in the language that the page has now. */
export function openBesideAgain() {
  if (current !== null) openBeside(current.id);
}

function show() {
  const { answer, models } = current;
  const { state, connection } = task.shown();
  first.show({
    model: models.first || state.end?.model,
    status: isGone(connection) ? "failed" : state.status,
    shownAs: statusText(connection, state.status),
    numbers: task.shownNumbers(),
  });
  answer.showHead(models.second);
}
