// Tells of tasks of this browser that end while the page is hidden, if the user wants to be told: in the
// title of the page, and with a notification.
//
// A hidden page holds no connection but this one, and of all hidden tabs of the browser only one does: it
// waits for the oldest task, and then looks at the others.

import * as api from "./api.js";
import { say } from "./clipboard.js";
import * as remembered from "./remembered.js";
import { ACTIVE } from "./state.js";
import { text } from "./texts.js";

const KEY = "longtask.tell"; // "yes", "no", or nothing while the user has not been asked
const LOCK = "longtask.tell";
const LONG = 10_000; // milliseconds, after which a task is long enough to offer it
const PAUSE = 8_000; // milliseconds, after a call has failed
const OTHERS = 500; // milliseconds, in which a tab that is in view shows the end itself
const TITLE = 80; // characters

const $ = (id) => document.getElementById(id);
const canTell = () => "Notification" in globalThis && Notification.permission !== "denied" && navigator.locks !== undefined;

const tells = () => canTell() && localStorage.getItem(KEY) === "yes" && Notification.permission === "granted";

/** Offer to tell of the end of a task that runs for some milliseconds. Those that do not run: 0. */
export function offerToTell(ranFor) {
  const isNew = canTell() && localStorage.getItem(KEY) === null;
  $("tell").hidden = !(isNew && ranFor >= LONG);
}

/** Return the entry of a menu that lets the user choose, or false if the browser cannot tell. */
export function entryOfTelling() {
  if (!canTell()) return false;
  return tells() ? { name: "tellOff", act: tellNoMore } : { name: "tell", act: askToTell };
}

async function askToTell() {
  const isAllowed = (await Notification.requestPermission()) === "granted";
  choose(isAllowed ? "yes" : "no");
  say(text(isAllowed ? "tellOn" : "tellRefused"));
}

const tellNoMore = () => choose("no");

function choose(answer) {
  remembered.keep(KEY, answer);
  $("tell").hidden = true;
}

$("tell-yes").addEventListener("click", askToTell);
$("tell-no").addEventListener("click", tellNoMore);

let title = ""; // that of the page when it was hidden
let ended = 0; // tasks since then
let watching = new AbortController();

document.addEventListener("visibilitychange", () => {
  watching.abort();
  if (ended > 0) document.title = title;
  ended = 0;
  if (!document.hidden || !tells()) return;
  title = document.title;
  watching = new AbortController();
  const { signal } = watching;
  navigator.locks.request(LOCK, { signal }, () => watch(signal)).catch((error) => {
    if (!signal.aborted) throw error;
  });
});

/** Tell of each task that ends, until none is left or `signal` is aborted. */
async function watch(signal) {
  const unfinished = () => remembered.tasks().filter(({ status }) => ACTIVE.has(status));
  for (let tasks = unfinished(); tasks.length > 0 && !signal.aborted; tasks = unfinished()) {
    const oldest = tasks.pop();
    try {
      await look(oldest, api.result(oldest.id, signal), signal);
      for (const task of tasks) await look(task, api.status(task.id), signal);
    } catch (error) {
      if (signal.aborted || error.status === 401) return; // the page will ask for a key
      await pause(PAUSE, signal);
    }
  }
}

/** Tell of a task if it has ended. `call` returns its status. */
async function look({ id, title }, call, signal) {
  let status = "unknown";
  try {
    ({ status } = await call);
  } catch (error) {
    if (error.status !== 404) throw error;
  }
  if (ACTIVE.has(status)) return;
  await pause(OTHERS, signal);
  if (signal.aborted || !remembered.note(id, status) || status === "unknown") return; // it was seen
  tell(id, title || id, status);
}

function tell(id, what, status) {
  ended += 1;
  document.title = `(${ended}) ${title}`;
  try {
    const icon = new URL("icon.svg", import.meta.url).href;
    const notification = new Notification(what.slice(0, TITLE), { body: text(status), tag: id, icon });
    notification.addEventListener("click", () => {
      notification.close();
      globalThis.focus();
      location.hash = id;
    });
  } catch {
    // Browsers of phones have notifications of other kinds only. The title tells.
  }
}

const pause = (milliseconds, signal) => new Promise((resolve) => {
  const timer = setTimeout(resolve, milliseconds);
  signal.addEventListener("abort", () => resolve(clearTimeout(timer)), { once: true });
});
