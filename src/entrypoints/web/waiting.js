// Keeps the statuses of remembered tasks right where the service does not show its list of tasks.
//
// The open task has its stream. Of the others one request is held at a time: with the stream, that is
// two of the six connections that a browser has for all its tabs. It waits for the oldest task, since
// that one usually ends first. All are looked at when it has ended, when the page is shown or focused,
// and when a task is started or opened, here or in another tab. What ends in another order while the
// page stays in view is noted when the request returns, after five minutes at most.

import * as api from "./api.js";
import * as remembered from "./remembered.js";
import { ACTIVE } from "./state.js";

const PAUSE = 8_000; // milliseconds, after a call has failed
const STIRS = ["visibilitychange", "focus", "online", "storage", "hashchange"];

/** Return a signal that is aborted when it makes sense to look at all tasks again. */
function stir() {
  const stirred = new AbortController();
  for (const each of STIRS) addEventListener(each, () => stirred.abort(), { signal: stirred.signal });
  return stirred.signal;
}

const aborted = (signal) => new Promise((resolve) => {
  if (signal.aborted) resolve();
  else signal.addEventListener("abort", resolve);
});

/** Note how the remembered tasks change until `signal` is aborted. `shown` returns the id of the open
 * task, `changed` is called after a change. */
export async function keepRight({ shown, changed, signal }) {
  const others = () => remembered.tasks().filter(({ id, status }) => ACTIVE.has(status) && id !== shown());

  /** Note the status that a call returns. Whether the call has failed. */
  async function note(id, call) {
    let status = "unknown";
    try {
      ({ status } = await call);
    } catch (error) {
      if (error.status === 401) throw error;
      if (error.status !== 404) return true;
    }
    if (remembered.note(id, status)) changed();
    return false;
  }

  async function look() {
    let failed = false;
    for (const { id } of document.hidden ? [] : others()) failed ||= await note(id, api.status(id));
    const until = AbortSignal.any([signal, stir()]);
    const oldest = others().at(-1);
    if (document.hidden || oldest === undefined) {
      await aborted(until);
    } else {
      failed ||= await note(oldest.id, api.result(oldest.id, until));
      if (failed) await Promise.race([aborted(until), new Promise((resolve) => setTimeout(resolve, PAUSE))]);
    }
  }

  try {
    while (!signal.aborted) await look();
  } catch (error) {
    if (error.status !== 401) throw error; // the page asks for a key, and then begins anew
  }
}
