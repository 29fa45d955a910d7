// The page: the actions of the user, and what is shown. The state is in state.js, the list in list.js.

import * as api from "./api.js";
import { copy } from "./clipboard.js";
import { requestOfForm, showProblem } from "./form.js";
import { EventTable } from "./inside.js";
import { List } from "./list.js";
import { LongtaskError, follow } from "./longtask.js";
import { Markdown } from "./markdown.js";
import { Painter } from "./painting.js";
import { Plain, breakable } from "./plain.js";
import * as remembered from "./remembered.js";
import { ACTIVE, apply, begin } from "./state.js";
import { showTheme } from "./theme.js";
import { advice, ending, otherLanguage, text, translate } from "./texts.js";

const $ = (id) => document.getElementById(id);
const answer = new Markdown($("answer"));
const raw = new Plain($("raw"));
const events = new EventTable($("events"));
const painter = new Painter($("task"), [answer, raw], () => {
  show();
  events.show();
});
const list = new List($("list"), { open: go, cancel, retry, remove });

let current = null; // {id, request, state, connection, stop, rates}

// Starting

async function start(request) {
  const button = $("submit");
  button.disabled = true;
  button.textContent = text("starting");
  showProblem("");
  const key = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
  try {
    const started = await api.twice(() => api.start(request, key));
    remembered.remember({ id: started.taskId, status: "pending", request });
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
  if (request !== null && (await start(request))) {
    $("prompt").value = "";
    remembered.keepDraft("");
  }
});
// The API key, if the service requires one

let waitsForKey = false; // whether a start was refused since it had no valid key

function askForKey(given) {
  $("key-hint").textContent = text(given ? "keyRefused" : "keyWanted");
  if ($("key-form").hidden) {
    $("key-form").hidden = false;
    $("key").focus();
  }
}
api.onKeyRefused(askForKey);
$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  remembered.keepApiKey($("key").value.trim());
  $("key").value = "";
  $("key-form").hidden = true;
  if (waitsForKey) $("start").requestSubmit();
  else if (current !== null) open(current.id);
});

// One task

function go(id) {
  if (location.hash === `#${id}`) open(id);
  else location.hash = id; // hashchange opens it
}

function open(id) {
  current?.stop();
  current = { id, request: remembered.find(id)?.request ?? null }; // `listen` adds the rest
  $("task").hidden = false;
  $("task-id").textContent = id;
  showPrompt(current.request?.prompt ?? "…");
  const mine = current;
  if (current.request === null) {
    api.record(id).then((found) => {
      mine.request = asRequest(found.request);
      if (current === mine) showPrompt(mine.request.prompt ?? mine.request.messages?.at(-1)?.content ?? "");
    }, () => {}); // the stream reports the error
  }
  listen();
  list.show(id);
}

const showPrompt = (prompt) => $("task-prompt").replaceChildren(...breakable(String(prompt)));

const asRequest = (found) => Object.fromEntries(Object.entries(found).filter(([, value]) => value !== null));

function listen() {
  const mine = current;
  mine.connection = "open";
  // From the first event, also after a stop: the log has the same events again.
  mine.state = begin();
  mine.rates = [];
  painter.reset();
  events.reset();
  const connected = (connection) => {
    if (stopping.signal.aborted || mine.connection === connection) return;
    mine.connection = connection;
    show();
  };
  const stopping = new AbortController();
  mine.stop = () => stopping.abort();
  const key = remembered.apiKey();
  follow({ taskId: mine.id }, { key, onEvent: take, onConnection: connected, pauseHidden: true, signal: stopping.signal }).catch((error) => {
    if (stopping.signal.aborted) return;
    if (!(error instanceof LongtaskError)) throw error;
    if (error.status === 0) return; // the task failed, which one of its events has told
    if (error.status === 401) askForKey(key !== "");
    connected(error.status === 401 ? "locked" : "gone");
  });
  show();
}

function take(event, id) {
  events.add(event, id);
  if (event.type === "connected") return painter.later(false);
  const { state } = current;
  const before = state.status;
  const atBottom = painter.atBottom;
  const change = apply(state, event);
  if (change === "anew") {
    painter.reset();
    painter.add(state.text);
  } else if (change === "more") {
    current.rates.push(Date.now());
    painter.add(event.data);
  }
  if (before !== state.status) {
    announce(state.status);
    if (remembered.note(current.id, state.status)) list.show(current.id);
  }
  painter.later(atBottom);
}

function show() {
  if (current === null) return;
  const { state, connection, id } = current;
  const gone = connection === "gone" || connection === "locked";
  const active = ACTIVE.has(state.status) && !gone;
  const running = state.status === "running" && state.lost === null;
  $("status").textContent = text(gone ? "unknown" : state.status);
  $("status").dataset.status = gone ? "failed" : state.status;
  $("connection").hidden = !(active && (connection === "lost" || connection === "stopped"));
  $("connection").textContent = text(connection === "lost" ? "reconnecting" : "notListening");
  $("attempt").textContent = state.attempt > 0 ? text("attempt", state) : "";
  $("pieces").textContent = state.pieces === 1 ? text("onePiece") : text("pieces", state);
  showTime();
  $("cancel").hidden = !active;
  $("listen").hidden = !active;
  $("listen").textContent = text(connection === "stopped" ? "listen" : "stopListening");
  $("retry").hidden = active || gone;
  for (const each of ["copy", "download", "raw-toggle"]) $(each).disabled = !state.text;
  $("notice").hidden = state.lost === null && !gone;
  $("notice").textContent = gone ? text(connection) : text("lost", state.lost ?? {});
  $("answer").classList.toggle("lost", state.lost !== null);
  $("raw").classList.toggle("lost", state.lost !== null);
  $("waiting").hidden = !(active && (!running || !state.text));
  $("waiting-text").textContent = text(state.status === "running" ? "waitModel" : "waitQueued");
  const failed = state.end?.type === "error";
  $("failure").hidden = !failed;
  if (failed) {
    $("failure-what").textContent = state.end.data;
    $("failure-do").textContent = advice(state.end.code, state.end.retryable);
  }
  const sentence = state.end?.type === "end" ? ending(state.end) : "";
  $("ended").textContent = sentence;
  $("ended").hidden = !sentence;
  document.title = `${active ? "● " : ""}${($("task-prompt").textContent || id).slice(0, 60)} · Longtask`;
}

function showTime() {
  if (current === null) return;
  const { state, rates } = current;
  const until = state.endedAt ?? Date.now();
  const seconds = state.createdAt === null ? 0 : Math.max(0, until - state.createdAt) / 1000;
  $("elapsed").textContent = seconds < 60 ? `${seconds.toFixed(1)} s` : `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
  const now = Date.now();
  const old = rates.findIndex((time) => time >= now - 2_000);
  rates.splice(0, old < 0 ? rates.length : old);
  const span = state.endedAt === null ? 0 : (state.endedAt - (state.startedAt ?? state.endedAt)) / 1000;
  const rate = state.endedAt === null ? rates.length / 2 : span > 0 ? state.pieces / span : 0;
  $("rate").textContent = text("rate", { rate: rate.toFixed(0) });
}
setInterval(() => {
  if (current !== null && ACTIVE.has(current.state.status)) showTime();
}, 250);

function announce(status) {
  $("announcer").textContent = text("said", { status: text(status), prompt: $("task-prompt").textContent.slice(0, 60) });
}

// Actions on a task

async function cancel(id) {
  try {
    const task = await api.twice(() => api.cancel(id));
    remembered.note(id, task.status);
  } catch (error) {
    if (error instanceof api.Away) showProblem(text("away"));
    else if (error.status === 404) remembered.note(id, "unknown");
  }
  list.show(current?.id);
}

async function retry(id) {
  const request = (id === current?.id ? current.request : null) ?? remembered.find(id)?.request ?? asRequest((await api.record(id)).request);
  await start(request);
}

function remove(id) {
  remembered.forget(id);
  list.show(current?.id);
}

$("cancel").addEventListener("click", () => cancel(current.id));
$("retry").addEventListener("click", () => retry(current.id));
$("listen").addEventListener("click", () => {
  if (current.connection === "stopped") return listen();
  current.stop();
  current.connection = "stopped";
  show();
});
$("raw-toggle").addEventListener("click", () => {
  const shown = !$("raw").hidden;
  $("raw").hidden = shown;
  $("answer").hidden = !shown;
  $("raw-toggle").setAttribute("aria-pressed", String(!shown));
});
$("inside").addEventListener("toggle", () => events.show());
$("copy").addEventListener("click", (event) => copy(current.state.text, event.currentTarget, "copy"));
$("share").addEventListener("click", (event) => copy(location.href, event.currentTarget, "share"));
$("answer").addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button !== null) copy(button.closest("figure").querySelector("pre").textContent, button, "copy");
});
$("download").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([current.state.text], { type: "text/markdown" }));
  link.download = `${current.id}.md`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1_000);
});

// The page itself

function showAll() {
  translate();
  showTheme();
  show();
  list.show(current?.id);
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
  const unfinished = remembered.tasks().find((task) => ACTIVE.has(task.status));
  if (unfinished !== undefined) go(unfinished.id);
}
addEventListener("hashchange", openWhatIsNamed);
remembered.onChange(() => list.show(current?.id));

$("prompt").value = remembered.draft();
showAll();
openWhatIsNamed();
