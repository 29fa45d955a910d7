// The form of a new task.

import { Away } from "./api.js";
import { attach, attachedParts, detachAll } from "./attach.js";
import { choices, defaultModel, isDemo, readModels } from "./models.js";
import { draft, keepDraft, keepOptions, options } from "./remembered.js";
import { refusal, text } from "./texts.js";
import { isTouch, sends } from "./typing.js";

const OPTIONS = ["model", "temperature", "length", "system", "json"]; // fields that stay

const $ = (id) => document.getElementById(id);

let offered = null; // the task that the next one may go on from: {id, prompt, calls}
let declined = ""; // the id of the one that it shall not go on from
let isBeside = false; // whether a task is open
let shownResults = null; // the id of the task whose calls have fields for their results

const previous = () => (offered !== null && offered.id !== declined ? offered : null);

/** Return the number in a field, undefined if it is empty, or NaN if it is none from `min` to `max`. */
function numberIn(field, min, max) {
  const number = field.valueAsNumber;
  if (Number.isNaN(number) && !field.validity.badInput) return undefined;
  return number >= min && number <= max ? number : NaN;
}

/** Return the object in the field of other options, undefined if it is empty, or null after showing
 * what is wrong with it. */
function otherOptions() {
  const json = $("json").value.trim();
  if (!json) return undefined;
  let detail = text("noObject");
  try {
    const options = JSON.parse(json);
    if (options !== null && typeof options === "object" && !Array.isArray(options)) return options;
  } catch (error) {
    detail = error.message;
  }
  showProblem(text("badOptions", { detail }));
  showOptions(true);
  $("json").focus();
  return null;
}

/** Return the messages of the task: the results of tools, and the prompt with its attachments. */
function messagesOf(prompt) {
  const results = (previous()?.calls ?? []).map(({ id }, number) => (
    { role: "tool", tool_call_id: id, content: $(`result-${number}`).value }
  ));
  const parts = attachedParts();
  const asked = prompt.trim() ? [{ type: "text", text: prompt }] : [];
  const content = parts.length > 0 ? [...parts, ...asked] : prompt;
  return [...results, ...(content.length > 0 ? [{ role: "user", content }] : [])];
}

/** Return the request, or null after showing what is wrong with it. */
export function requestOfForm() {
  const prompt = $("prompt").value;
  const temperature = numberIn($("temperature"), 0, 2);
  const maxTokens = numberIn($("length"), 1, 10_000_000);
  const messages = messagesOf(prompt.trim() ? prompt : "");
  if (messages.length === 0) {
    showProblem(text("emptyPrompt"));
    $("prompt").focus();
    return null;
  }
  if (Number.isNaN(temperature) || Number.isNaN(maxTokens)) {
    showProblem(text("badNumber"));
    showOptions(true);
    return null;
  }
  const options = otherOptions();
  if (options === null) return null;
  const model = $("model").value.trim();
  const system = $("system").value;
  const plain = messages.length === 1 && messages[0].role === "user" && messages[0].content === prompt;
  return {
    ...(plain ? { prompt } : { messages }),
    ...(model && { model }),
    ...(system.trim() && { system }),
    ...(temperature !== undefined && { temperature }),
    ...(maxTokens !== undefined && { maxTokens: Math.round(maxTokens) }),
    ...(options && { options }),
    ...(previous() !== null && { previousTaskId: previous().id }),
  };
}

/** Empty the form after a start. The options stay. */
export function clearForm() {
  $("prompt").value = "";
  keepDraft("");
  detachAll();
}

/** Fill the form with what this browser has stored of it, and with no files. */
export function readForm() {
  $("prompt").value = draft();
  for (const id of OPTIONS) $(id).value = options()[id] ?? "";
  detachAll();
}

/** Let the next task go on from one that has ended, {id, prompt, calls}, unless the user does not want
 * that; or from none for null. The results of its calls of tools are asked for. `beside`: whether a task
 * is open. */
export function offerReply(task, beside) {
  offered = task;
  isBeside = beside;
  showForm();
}

/** Show what the next task goes on from, in the current language. */
export function showForm() {
  const task = previous();
  $("going-on").hidden = task === null;
  $("not-going-on").hidden = task !== null || offered === null;
  const name = task !== null ? "replyPlaceholder" : isBeside ? "newPlaceholder" : "promptPlaceholder";
  $("prompt").dataset.placeholder = name;
  $("prompt").placeholder = text(name);
  $("submit").dataset.text = task !== null ? "send" : "start";
  if (!$("submit").disabled) $("submit").textContent = text($("submit").dataset.text);
  showChosen();
  if (task !== null) {
    $("going-on-from").textContent = task.prompt.slice(0, 80) || task.id;
    $("going-on-from").href = `#${encodeURIComponent(task.id)}`;
  }
  if (shownResults === (task?.id ?? null)) return; // what was written into its fields stays
  shownResults = task?.id ?? null;
  $("results").replaceChildren(...(task?.calls ?? []).map(({ name }, number) => {
    const label = document.createElement("label");
    const field = document.createElement("textarea");
    field.id = `result-${number}`;
    field.rows = 1;
    label.append(text("resultOf", { name }), field);
    return label;
  }));
}

/** Show which model will answer, and how many other options are set. */
function showChosen() {
  const model = $("model").value.trim() || (isDemo() ? text("demoModel") : defaultModel()) || text("options");
  const others = OPTIONS.slice(1).filter((id) => $(id).value.trim() !== "").length;
  $("model-name").textContent = others > 0 ? `${model} +${others}` : model;
  $("demo").hidden = !isDemo();
}

/** Read which models there are, and show the default one. */
export async function showModels() {
  if (await readModels()) $("models").replaceChildren(...choices());
  showChosen();
}

/** Let the user write. On a touch screen that would open the keyboard. */
export function focusPrompt() {
  if (!isTouch.matches) $("prompt").focus();
}

function showOptions(shown) {
  $("options").hidden = !shown;
  $("options-toggle").setAttribute("aria-expanded", String(shown));
}

/** Show an error at the form, or none for an empty sentence. */
export function showProblem(sentence) {
  $("start-error").textContent = sentence;
  $("start-error").hidden = !sentence;
}

/** Show why a call has failed: an error of api.js. Where a key is needed, the page asks for it. */
export function showFault(error) {
  if (error.status !== 401) showProblem(error instanceof Away ? text("away") : text("refused", { detail: refusal(error) }));
}

async function attachAll(files) {
  showProblem("");
  await attach(files, showProblem);
}

$("prompt").addEventListener("keydown", (event) => {
  if (!sends(event)) return;
  event.preventDefault();
  $("start").requestSubmit();
});
$("prompt").addEventListener("input", () => keepDraft($("prompt").value));
$("start").addEventListener("input", () => showProblem("")); // it was about what has changed now
$("prompt").addEventListener("paste", (event) => {
  const { files, types } = event.clipboardData;
  if (files.length === 0 || types.includes("text/plain")) return; // text, as usual, perhaps with its picture
  event.preventDefault();
  attachAll([...files]);
});
// Wherever on the page files are dropped: beside the composer, the browser would leave the page for them.
const showDrop = (shown) => $("start").classList.toggle("drop", shown);
addEventListener("dragover", (event) => {
  if (!event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  showDrop(true);
});
addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) showDrop(false); // it left the window
});
addEventListener("drop", (event) => {
  showDrop(false);
  if (event.dataTransfer.files.length === 0) return;
  event.preventDefault();
  if (document.querySelector("dialog[open]") === null) attachAll([...event.dataTransfer.files]);
});
$("attach").addEventListener("click", () => $("files").click());
$("files").addEventListener("change", async () => {
  await attachAll([...$("files").files]);
  $("files").value = ""; // so that the same file may be chosen again
});
$("stop-going-on").addEventListener("click", () => {
  declined = offered.id;
  showForm();
  $("prompt").focus();
});
$("go-on-after-all").addEventListener("click", () => {
  declined = "";
  showForm();
  ($("result-0") ?? $("prompt")).focus();
});
$("options-toggle").addEventListener("click", () => showOptions($("options").hidden));
readForm();
$("options").addEventListener("input", () => {
  keepOptions(Object.fromEntries(OPTIONS.map((id) => [id, $(id).value])));
  showChosen();
});
