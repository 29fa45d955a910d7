// The task that the page shows: its stream, its state, and what is shown of it.

import * as api from "./api.js";
import { isEditable } from "./edit.js";
import { LongtaskError, follow } from "./longtask.js";
import { begin as beginReading } from "./reading.js";
import * as remembered from "./remembered.js";
import { RunPanel } from "./run-panel.js";
import { Said } from "./said.js";
import { promptOf, showSent } from "./sent.js";
import { heldBackAt } from "./share.js";
import { ACTIVE, apply, begin, isGone, saysSomething } from "./state.js";
import { offerToTell } from "./tell.js";
import { advice, ending, failure, lostNotice, statusText, text } from "./texts.js";
import { nextTry } from "./timeline.js";
import { duration, money, tokens } from "./times.js";

const TITLE = 200; // characters
const $ = (id) => document.getElementById(id);
const run = new RunPanel($("run-panel"));
const said = new Said(() => {
  show();
  run.show();
});

let current = null; // {id, request, cost, state, connection, stop, isGreeted}
let changed = () => {};
let needsKey = () => {};
let gone = () => {};

/** Return the task that is shown, or null. */
export const shown = () => current;

/** Return the numbers of its run until now. */
export const shownNumbers = () => run.numbers;

/** Set the function to call when the task that is shown has changed its status or has ended, the one when an API
 * key is required or refused, and the one when the service does not know the task. */
export const onChange = (callback) => (changed = callback);
export const onKeyNeeded = (callback) => (needsKey = callback);
export const onGone = (callback) => (gone = callback);

export function open(id) {
  current?.stop();
  current = { id, request: remembered.find(id)?.request ?? null, cost: null, isGreeted: false }; // `listen` adds the rest
  setView("task");
  $("task-id").textContent = id;
  showRaw(false);
  $("before").open = false;
  showRequest();
  beginReading(false);
  const mine = current;
  // What other browsers sent and the conversation before it: the service knows.
  if (current.request === null || current.request.previousTaskId) {
    api.record(id).then(({ request, notBefore }) => {
      if (request !== null) mine.request = given(request);
      if (current !== mine) return;
      mine.notBefore = notBefore;
      run.plan(notBefore);
      changed();
      const wasJson = said.isJson;
      showRequest();
      if (said.isJson === wasJson) return;
      said.replace(mine.state.answer);
      if (mine.state.end !== null) said.finish(mine.state.answer);
      said.later();
    }, () => {}); // the stream reports the error
  }
  listen();
}

/** Show no task any more. */
export function close() {
  current?.stop();
  current = null;
  setView("empty");
  document.title = "Longtask";
  $("title").textContent = "Longtask";
  changed();
}

function setView(view) {
  document.body.dataset.view = view;
  for (const id of ["task", "facts", "bar-tools"]) $(id).hidden = view === "empty";
  if (view === "empty") showRun(false);
}

/** Return what the next task may go on from, {id, prompt, calls}: the task that is shown, if it has ended
 * in an answer or was cancelled. Else null. */
export function answered() {
  if (current === null || isGone(current.connection) || current.state.end?.type !== "end") return null;
  const { id, request, state } = current;
  // A cancelled task's calls are not part of the conversation.
  return { id, prompt: request === null ? "" : promptOf(request), calls: state.status === "completed" ? state.answer.toolCalls : [] };
}

/** Show the answer as it was written, or as Markdown is read. */
export function showRaw(raw) {
  $("raw").hidden = !raw;
  $("answer").hidden = raw;
}

/** Show what was sent, in the current language. */
export function showRequest() {
  if (current === null) return;
  showSent(current.request);
  const prompt = (current.request && promptOf(current.request)) || current.id;
  $("title").textContent = prompt.slice(0, TITLE);
  said.isJson = String(current.request?.options?.response_format?.type).startsWith("json");
}

const given = (request) => Object.fromEntries(Object.entries(request).filter(([, value]) => value !== null));

/** Return the request that starts a task like this one, or null if it is not known any more. */
export async function requestLike(id) {
  const request = (id === current?.id ? current.request : null) ?? remembered.find(id)?.request ?? (await api.record(id)).request;
  if (request === null) return null;
  const { history, ...rest } = given(request); // the service resolves it again
  return rest;
}

/** Follow the task that is shown, from its first event, also after a stop. */
export function listen() {
  const mine = current;
  mine.connection = "open";
  mine.state = begin();
  said.replace(mine.state.answer);
  run.reset();
  run.plan(mine.notBefore ?? null);
  run.price(mine.cost);
  const connected = (connection) => {
    if (stopping.signal.aborted || mine.connection === connection) return;
    mine.connection = connection;
    show();
    if (isGone(connection)) changed();
  };
  const stopping = new AbortController();
  mine.stop = () => stopping.abort();
  const key = remembered.apiKey();
  follow({ taskId: mine.id }, { key, onEvent: take, onConnection: connected, pauseHidden: true, signal: stopping.signal }).catch((error) => {
    if (stopping.signal.aborted) return;
    if (!(error instanceof LongtaskError)) throw error;
    if (error.status === 0) return; // the task failed, which one of its events has told
    if (error.status === 401) needsKey(key !== "");
    if (error.status === 404) gone(mine.id);
    connected(error.status === 401 ? "locked" : "gone");
  });
  show();
}

export function stopListening() {
  current.stop();
  current.connection = "stopped";
  show();
}

/** Say that the task was deleted, if it is the one that is shown. What it said stays in view. */
export function deleted(id) {
  if (current?.id !== id) return;
  current.stop();
  current.connection = "deleted";
  show();
  changed();
}

function take(event, id) {
  run.add(event, id);
  if (event.type === "connected") {
    if (!current.isGreeted) beginReading(ACTIVE.has(event.status));
    current.isGreeted = true;
    return said.later();
  }
  const { state } = current;
  const before = state.status;
  const change = apply(state, event);
  if (change === "anew") said.replace(state.answer);
  else if (change === "more") said.add(event);
  if (event.type === "end") said.finish(state.answer);
  if (before !== state.status) {
    announce(state.status);
    remembered.note(current.id, state.status);
  }
  if (before !== state.status || state.end !== null) changed();
  said.later();
}

export function show() {
  if (current === null) return;
  const { state, connection, id, request } = current;
  const unknown = isGone(connection);
  const active = ACTIVE.has(state.status) && !unknown;
  const running = state.status === "running" && state.lost === null;
  const isNew = state.createdAt === null; // none of its events has come
  $("status").hidden = isNew && connection === "lost";
  $("status").textContent = statusText(connection, state.status);
  $("status").dataset.status = unknown ? "failed" : state.status;
  $("connection").hidden = !(active && (connection === "lost" || connection === "stopped"));
  $("connection").textContent = text(connection === "lost" ? "reconnecting" : "notListening");
  said.show(state);
  showNumbers();
  // One action for each state. The others are in the menu.
  const failed = state.end?.type === "error";
  const again = !active && !unknown && (failed || state.status === "cancelled");
  $("task-prompt").hidden = unknown && request === null;
  $("edit").hidden = unknown || !isEditable(request);
  $("cancel").hidden = !active;
  $("retry").hidden = !again;
  $("copy").hidden = active || again || !state.answer.text;
  $("go-on").hidden = unknown || state.end?.finishReason !== "length" || !state.answer.text;
  $("notice").hidden = state.lost === null && !unknown;
  $("notice").textContent = unknown ? text(connection) : state.lost === null ? "" : lostNotice(state);
  $("waiting").hidden = $("status").hidden || !(active && (!running || !saysSomething(state.answer)));
  $("failure").hidden = !failed;
  if (failed) {
    $("failure-what").textContent = failure(state.end);
    $("failure-do").textContent = advice(state.end.code, state.end.retryable);
  }
  const sentence = !unknown && state.end?.type === "end" ? ending(state.end) : "";
  $("ended").textContent = sentence;
  $("ended").hidden = !sentence;
  document.title = `${active ? "● " : ""}${((request && promptOf(request)) || id).slice(0, 60)} · Longtask`;
}

function showNumbers() {
  const { state, connection } = current;
  const { duration: lasted, tokens: count, isEstimated } = run.numbers;
  const nextAt = state.status === "pending" ? state.lost?.nextAt ?? null : null;
  $("attempt").textContent = nextAt !== null ? nextTry(nextAt, run.now) : state.attempt > 0 ? text("attempt", state) : "";
  $("attempt").hidden = nextAt === null && state.attempt < 2;
  $("waiting-text").textContent = waitsFor(state, lasted ?? 0);
  $("elapsed").textContent = lasted === null ? "" : duration(lasted);
  $("tokens").textContent = count > 0 ? tokens(count, isEstimated) : "";
  $("tokens").title = money(current.cost);
  offerToTell(ACTIVE.has(state.status) && !isGone(connection) ? lasted ?? 0 : 0);
  said.showTime(state);
}

function waitsFor({ status, lost }, lasted) {
  if (status === "running") return text("waitModel");
  if (lost === null) {
    const amount = status === "pending" ? heldBackAt(lasted) : null;
    return amount === null ? text("waitQueued") : text("waitShare", { amount });
  }
  return lost.nextAt === null ? text("waitNext") : nextTry(lost.nextAt, run.now);
}

/** Show what the task that is shown has cost. `listed`: that task as the list has it, or undefined. */
export function price(listed) {
  if (current === null || listed?.id !== current.id) return;
  current.cost = listed.cost ?? null;
  run.price(current.cost);
  showNumbers();
}

setInterval(() => {
  if (current !== null && ACTIVE.has(current.state.status)) showNumbers();
}, 250);

function announce(status) {
  $("announcer").textContent = text("said", { status: text(status), prompt: $("title").textContent.slice(0, 60) });
}

/** Say what is about the run in the language that the page has now. */
export const translateRun = () => run.translate();

/** Show the run of the task beside it, or hide it. `tab`: "runTimeline", "runEvents" or the one before. */
export function showRun(shown, tab) {
  $("run").hidden = !shown;
  document.body.toggleAttribute("data-run", shown);
  $("run-toggle").setAttribute("aria-expanded", String(shown));
  if (tab) run.choose(tab);
  run.show();
}
