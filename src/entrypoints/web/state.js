// The state of a task, as its events tell it. Does not touch the document.

import { added } from "./longtask.js";

export const ACTIVE = new Set(["pending", "running"]);
const GONE = new Set(["gone", "locked", "deleted"]);

/** Whether the service does not show a task, or not any more, by the connection to it. */
export const isGone = (connection) => GONE.has(connection);

const NOTHING = added(undefined, {});

export function begin() {
  return {
    status: "pending",
    attempt: 0,
    answer: NOTHING, // what the model said: text, reasoning, toolCalls and so on
    lost: null, // {attempt, reason, nextAt, counts} while `answer` is that of a lost attempt; it counts until the next begins anew
    reasoned: 0, // milliseconds
    reasoningSince: null, // when the reasoning began that goes on
    pieces: 0,
    createdAt: null,
    startedAt: null,
    endedAt: null,
    end: null, // the last event
  };
}

/** Whether an answer has something to show as it comes. */
export const saysSomething = ({ text, reasoning, toolCalls, items }) =>
  text !== "" || reasoning !== "" || toolCalls.length > 0 || items.length > 0;

/** Return for how many milliseconds the model has reasoned. */
export const reasonedFor = (state) => state.reasoned + (state.reasoningSince === null ? 0 : Date.now() - state.reasoningSince);

/** Apply one event of the log to the state. Return what happened to the answer: "kept", "more" (the
 * event's piece was added), or "anew" (it was replaced). */
export function apply(state, event) {
  state.createdAt ??= event.timestamp;
  switch (event.type) {
    case "status": {
      const restarted = event.data === "running";
      if (event.data === "pending" && event.attempt > 0) {
        state.lost = { attempt: event.attempt, reason: event.reason ?? "", nextAt: event.nextAttemptAt ?? null, counts: true };
      }
      if (event.data === "pending" && event.attempt === 0 && saysSomething(state.answer)) {
        // The log starts over: the service has lost it.
        Object.assign(state, begin(), { createdAt: event.timestamp });
        return "anew";
      }
      if (restarted && !event.resumed && (state.lost !== null || saysSomething(state.answer))) {
        state.lost = { attempt: state.attempt, reason: "", ...state.lost, nextAt: null, counts: false };
      }
      state.status = event.data;
      state.attempt = event.attempt;
      if (restarted && event.resumed) {
        state.lost = null; // the attempt goes on with what the last one said
      } else if (restarted) {
        state.startedAt = event.timestamp;
        state.pieces = 0;
      }
      stopReasoning(state, event.timestamp);
      // What a lost attempt said stays, marked as such, until something else is said.
      return "kept";
    }
    case "content":
    case "reasoning":
    case "item":
    case "tool_call": {
      const anew = state.lost !== null;
      if (anew) Object.assign(state, { answer: NOTHING, lost: null, reasoned: 0 });
      state.answer = added(state.answer, event);
      state.pieces += 1;
      if (event.type === "reasoning") state.reasoningSince ??= event.timestamp;
      else stopReasoning(state, event.timestamp);
      return anew ? "anew" : "more";
    }
    case "end":
    case "error": {
      const before = state.answer;
      state.end = event;
      state.endedAt = event.timestamp;
      state.lost = null;
      state.answer = added(before, event);
      stopReasoning(state, event.timestamp);
      return isShownAs(before, state.answer) ? "kept" : "anew";
    }
    default:
      return "kept"; // an event that this page does not know
  }
}

function stopReasoning(state, now) {
  if (state.reasoningSince !== null) state.reasoned += Math.max(0, now - state.reasoningSince);
  state.reasoningSince = null;
}

const isShownAs = (one, other) => one === other ||
  (one.text === other.text && one.reasoning === other.reasoning && JSON.stringify(one.toolCalls) === JSON.stringify(other.toolCalls));
