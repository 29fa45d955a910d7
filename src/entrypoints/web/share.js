// Why a task is queued: whether its owner's share is used up. The service is asked while the page shows such a task.

import { me } from "./api.js";

const ASKED_AFTER = 2_000; // ms that a task is queued before the service is asked
const PERIOD = 15_000; // ms between two questions

let share = null;
let askedAt = -Infinity;

/** Return how many tasks of the caller run at the same time, if as many run already, else null. `queued`: for how
 * many milliseconds the task has been queued. */
export function heldBackAt(queued) {
  if (queued < ASKED_AFTER) return null;
  if (!document.hidden && performance.now() - askedAt > PERIOD) void ask();
  return share !== null && share.parallelism !== null && share.running >= share.parallelism ? share.parallelism : null;
}

async function ask() {
  askedAt = performance.now();
  try {
    ({ share } = await me());
  } catch {
    share = null; // not known: the list tells why
  }
}
