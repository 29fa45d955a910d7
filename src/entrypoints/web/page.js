// The page: what is started and what is open. The form is in form.js, the open task in task.js, the list in
// list.js, and what can be done with a task in actions.js.

import * as actions from "./actions.js";
import * as api from "./api.js";
import * as beside from "./beside.js";
import { showCode } from "./code-dialog.js";
import { offerCommands } from "./commands.js";
import { closeDrawer } from "./drawer.js";
import { closeEditor } from "./edit.js";
import { clearForm, focusPrompt, offerReply, readForm, requestOfForm, showFault, showForm, showModels, showProblem } from "./form.js";
import { askForKey, onKeyChange, showOwner } from "./key.js";
import { List } from "./list.js";
import "./outline.js";
import * as remembered from "./remembered.js";
import { promptOf } from "./sent.js";
import { ACTIVE } from "./state.js";
import * as task from "./task.js";
import { showTheme } from "./theme.js";
import { otherLanguage, text, translate } from "./texts.js";
import "./usage.js";
import { showExamples } from "./welcome.js";

const $ = (id) => document.getElementById(id);
const list = new List($("list"), {
  open: go, entries: actions.entries, shown: task.price, deleted: (id) => {
    task.deleted(id);
    beside.deletedBeside(id);
  }, keyRefused: () => askForKey(remembered.apiKey() !== "", false),
});
actions.use(list, start);
offerCommands(list);
const showList = () => list.show(task.shown()?.id);

// Starting

/** Start a request and open its task. `addressOf` returns the fragment of its address, which may name
 * another task beside it. `started` is called once it was started, which it is later too, after a key
 * was given. Returns whether it was started now. */
async function start(request, addressOf = beside.addressOf, started = () => {}) {
  const button = $("submit");
  button.disabled = true;
  button.textContent = text("starting");
  showProblem("");
  waiting = null;
  const key = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
  try {
    const { taskId } = await api.twice(() => api.start(request, key));
    remembered.remember({ id: taskId, status: "pending", title: promptOf(request), request });
    list.show(taskId);
    go(addressOf(taskId));
    started();
    return true;
  } catch (error) {
    if (error.status === 401) waiting = () => start(request, addressOf, started);
    else showFault(error);
    return false;
  } finally {
    button.disabled = false;
    button.textContent = text(button.dataset.text);
  }
}

$("start").addEventListener("submit", (event) => {
  event.preventDefault();
  const request = requestOfForm();
  if (request !== null) start(request, undefined, clearForm);
});

$("as-code").addEventListener("click", () => {
  showProblem("");
  const request = requestOfForm();
  if (request !== null) showCode(request);
});

// The API key, if the service requires one

let waiting = null; // the start that was refused since it had no valid key

onKeyChange(useKey);
api.onKeyRefused(askForKey);
task.onKeyNeeded(askForKey);
beside.onKeyNeeded(askForKey);

/** Use the API key that is stored now. `isOther`: whether all of the owner of the one before is forgotten. */
function useKey(isOther = false) {
  if (isOther) readForm();
  $("key-form").hidden = true;
  showOwner();
  list.follow();
  showModels().then(showList);
  if (!remembered.apiKey()) location.hash = NONE;
  else if (waiting !== null) waiting();
  else if (task.shown() !== null) {
    open(task.shown().id); // the key may be that of another owner
    beside.openBesideAgain();
  }
}

// Which task is open

const NONE = "start"; // the fragment of the address that opens no task: that of the form

/** Open what a fragment of the address names. */
function go(fragment) {
  closeDrawer();
  if (location.hash === `#${fragment}`) openWhatIsNamed(true);
  else location.hash = fragment; // hashchange opens it
}

function open(id) {
  showProblem("");
  closeEditor();
  task.open(id);
  changed();
}

/** Show what follows from a change of the task that is shown. */
function changed() {
  showList();
  const answered = task.answered();
  offerReply(answered && { ...answered, prompt: beside.named(answered.prompt) }, task.shown() !== null);
}

// The page itself

function showAll() {
  translate();
  showTheme();
  showExamples(start);
  task.showRequest();
  task.translateRun();
  beside.openBesideAgain();
  task.show();
  showForm();
  showList();
}
$("language").addEventListener("click", () => {
  otherLanguage();
  showAll();
});

function close() {
  closeDrawer();
  closeEditor();
  beside.closeBeside();
  task.close();
  focusPrompt();
}
$("new").addEventListener("click", close); // also where the address is that of no task already

/** `again`: whether to open also what is open already. */
function openWhatIsNamed(again = false) {
  const [id, other] = beside.idsIn(location.hash.slice(1));
  if (other !== undefined && task.shown()?.id === id && beside.besideId() === other && !again) return;
  if (id !== "" && id !== NONE && $(id) !== null) return; // an element of the page, such as the target of the skip link
  const wasBeside = beside.besideId() !== null;
  beside.closeBeside();
  if (id === NONE) return close();
  if (id) {
    if (again || task.shown()?.id !== id || !(wasBeside || other)) open(id);
    if (other && other !== id) beside.openBeside(other);
    return changed();
  }
  // Open the newest task that has not ended, if any.
  const unfinished = remembered.tasks().find((each) => ACTIVE.has(each.status));
  if (unfinished !== undefined) go(unfinished.id);
}
addEventListener("hashchange", () => openWhatIsNamed());
remembered.onChange(showList, useKey, readForm);
task.onChange(changed);
beside.onChange(changed);
task.onGone(actions.forgotten);
$("list-older").addEventListener("click", () => list.older().catch(() => showProblem(text("away"))));

showAll();
openWhatIsNamed();
list.follow();
showOwner();
showModels().then(showList);
