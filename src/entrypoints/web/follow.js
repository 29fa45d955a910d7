// Follow the events of one task, in order, through every loss of the connection.
//
// After a network error EventSource reconnects by itself and sends the last event id. It gives up on
// other errors (a proxy's 502, a service that stops) and does not notice some (a laptop that slept):
// these are handled here.

import { Refusal, link, status } from "./api.js";
import { apiKey } from "./remembered.js";

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 8_000;
const HIDDEN_LIMIT = 60_000; // a browser has six connections per host; a hidden page needs none
const TICK = 2_000;

/**
 * Call `onEvent(data, id)` for each event, and `onState` with "open", "lost", "gone" (the service does
 * not know the task) or "locked" (it requires another key). Return a function that stops following;
 * after the last event it stops by itself.
 */
export function follow(taskId, onEvent, onState) {
  let path = `/api/tasks/stream?${new URLSearchParams({ taskId })}`;
  let source = null;
  let last = "";
  let pause = FIRST_PAUSE;
  let waiting = 0;
  let hidden = 0;
  let ticked = Date.now();
  let ended = false;

  function open() {
    clearTimeout(waiting);
    source?.close();
    const url = new URL(path, location.href);
    if (last) url.searchParams.set("lastEventId", last);
    source = new EventSource(url);
    source.onmessage = (message) => {
      if (ended) return;
      const data = JSON.parse(message.data);
      if (data.type === "connected") {
        pause = FIRST_PAUSE;
        onState("open");
      } else {
        last = message.lastEventId;
      }
      onEvent(data, data.type === "connected" ? "" : last);
      if (data.type === "end" || data.type === "error") stop();
    };
    source.onerror = () => {
      if (ended) return;
      onState("lost");
      if (source.readyState === EventSource.CLOSED) later();
    };
  }

  function later() {
    clearTimeout(waiting);
    waiting = setTimeout(ask, pause);
    pause = Math.min(LONGEST_PAUSE, pause * 2);
  }

  /** Find out why EventSource gave up, and get a new link if there is a key, which it cannot send. */
  async function ask() {
    try {
      if (apiKey()) path = await link(taskId);
      else await status(taskId);
    } catch (error) {
      if (ended) return;
      if (error instanceof Refusal && [400, 401, 404].includes(error.status)) {
        onState(error.status === 401 ? "locked" : "gone");
        stop();
      } else {
        later();
      }
      return;
    }
    if (!ended) open();
  }

  function tick() {
    const slept = Date.now() - ticked > TICK * 4;
    ticked = Date.now();
    if (document.hidden) {
      hidden += TICK;
      if (hidden >= HIDDEN_LIMIT) source?.close();
    } else if (hidden >= HIDDEN_LIMIT || slept) {
      hidden = 0;
      open();
    } else {
      hidden = 0;
    }
  }

  function again() {
    if (!document.hidden && source !== null && source.readyState !== EventSource.OPEN) {
      pause = FIRST_PAUSE;
      open();
    }
  }

  function stop() {
    ended = true;
    clearTimeout(waiting);
    clearInterval(ticking);
    source?.close();
    removeEventListener("online", again);
    document.removeEventListener("visibilitychange", tick);
  }

  const ticking = setInterval(tick, TICK);
  addEventListener("online", again);
  document.addEventListener("visibilitychange", tick);
  if (apiKey()) ask();
  else open();
  return stop;
}
