// The task that the page shows: its stream, its state, and what is shown of it.

import * as api from "./api.js";
import { EventTable } from "./inside.js";
import { LongtaskError, follow } from "./longtask.js";
import * as remembered from "./remembered.js";
import { Said } from "./said.js";
import { promptOf, showSent } from "./sent.js";
import { ACTIVE, apply, begin, saysSomething } from "./state.js";
import { advice, ending, text } from "./texts.js";

const $ = (id) => document.getElementById(id);
const events = new EventTable($("events"));
const said = new Said(() => {
  show();
  events.show();
});

let current = null; // {id, request, state, connection, stop, rates}
let changed = () => {};
let needsKey = () => {};
let gone = () => {};

/** Return the task that is shown, or null. */
export const shown = () => current;

/** Set the function to call when the status of the task that is shown has changed, the one when an API
 * key is required or refused, and the one when the service does not know the task. */
export const onChange = (callback) => (changed = callback);
export const onKeyNeeded = (callback) => (needsKey = callback);
export const onGone = (callback) => (gone = callback);

export function open(id) {
  current?.stop();
  current = { id, request: remembered.find(id)?.request ?? null }; // `listen` adds the rest
  $("task").hidden = false;
  $("task-id").textContent = id;
  showRequest();
  const mine = current;
  // What other browsers sent and the conversation before it: the service knows.
  if (current.request === null || current.request.previousTaskId) {
    api.record(id).then(({ request }) => {
      if (request !== null) mine.request = given(request);
      if (current !== mine) return;
      const wasJson = said.isJson;
      showRequest();
      if (said.isJson === wasJson) return;
      said.replace(mine.state.answer);
      if (mine.state.end !== null) said.finish(mine.state.answer);
      said.later(false);
    }, () => {}); // the stream reports the error
  }
  listen();
}

/** Show what was sent, in the current language. */
export function showRequest() {
  if (current === null) return;
  showSent(current.request);
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
  mine.rates = [];
  said.replace(mine.state.answer);
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
}

function take(event, id) {
  events.add(event, id);
  if (event.type === "connected") return said.later(false);
  const { state } = current;
  const before = state.status;
  const atBottom = said.atBottom;
  const change = apply(state, event);
  if (change === "anew") said.replace(state.answer);
  else if (change === "more") said.add(event);
  if (change === "more") current.rates.push(Date.now());
  if (event.type === "end") said.finish(state.answer);
  if (before !== state.status) {
    announce(state.status);
    if (remembered.note(current.id, state.status)) changed();
  }
  said.later(atBottom);
}

export function show() {
  if (current === null) return;
  const { state, connection, id, request } = current;
  const isGone = ["gone", "locked", "deleted"].includes(connection);
  const active = ACTIVE.has(state.status) && !isGone;
  const running = state.status === "running" && state.lost === null;
  const isNew = state.createdAt === null; // none of its events has come
  $("status").hidden = isNew && connection === "lost";
  $("status").textContent = text(connection === "deleted" ? "wasDeleted" : isGone ? "unknown" : state.status);
  $("status").dataset.status = isGone ? "failed" : state.status;
  $("connection").hidden = !(active && (connection === "lost" || connection === "stopped"));
  $("connection").textContent = text(connection === "lost" ? "reconnecting" : "notListening");
  $("attempt").textContent = state.attempt > 0 ? text("attempt", state) : "";
  $("pieces").textContent = state.pieces === 1 ? text("onePiece") : text("pieces", state);
  said.show(state);
  showTime();
  $("cancel").hidden = !active;
  $("listen").hidden = !active;
  $("listen").textContent = text(connection === "stopped" ? "listen" : "stopListening");
  $("retry").hidden = active || isGone;
  $("go-on").hidden = isGone || state.end?.type !== "end";
  for (const each of ["copy", "download", "raw-toggle"]) $(each).disabled = !state.answer.text;
  $("notice").hidden = state.lost === null && !isGone;
  $("notice").textContent = isGone ? text(connection) : text("lost", state.lost ?? {});
  $("waiting").hidden = $("status").hidden || !(active && (!running || !saysSomething(state.answer)));
  $("waiting-text").textContent = text(state.status === "running" ? "waitModel" : "waitQueued");
  const failed = state.end?.type === "error";
  $("failure").hidden = !failed;
  if (failed) {
    $("failure-what").textContent = state.end.data;
    $("failure-do").textContent = advice(state.end.code, state.end.retryable);
  }
  const sentence = !isGone && state.end?.type === "end" ? ending(state.end) : "";
  $("ended").textContent = sentence;
  $("ended").hidden = !sentence;
  document.title = `${active ? "● " : ""}${((request && promptOf(request)) || id).slice(0, 60)} · Longtask`;
}

function showTime() {
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
  said.showTime(state);
}
setInterval(() => {
  if (current !== null && ACTIVE.has(current.state.status)) showTime();
}, 250);

function announce(status) {
  $("announcer").textContent = text("said", { status: text(status), prompt: $("task-prompt").textContent.slice(0, 60) });
}

$("inside").addEventListener("toggle", () => events.show());
