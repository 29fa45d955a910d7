// The state of a task, as its events tell it. Does not touch the document.

export const ACTIVE = new Set(["pending", "running"]);

export function begin() {
  return {
    status: "pending",
    attempt: 0,
    text: "",
    lost: null, // {attempt, reason} while `text` is that of a lost attempt
    pieces: 0,
    createdAt: null,
    startedAt: null,
    endedAt: null,
    end: null, // the last event
  };
}

/** Apply one event of the log to the state. Return what happened to the text: "kept", "more" (the
 * event's data was added), or "anew" (it was replaced). */
export function apply(state, event) {
  state.createdAt ??= event.timestamp;
  switch (event.type) {
    case "status": {
      const restarted = event.data === "running";
      if (event.data === "pending" && event.attempt > 0) {
        state.lost = { attempt: event.attempt, reason: event.reason ?? "" };
      }
      if (event.data === "pending" && event.attempt === 0 && state.text) {
        // The log starts over: the service has lost it.
        Object.assign(state, begin(), { createdAt: event.timestamp });
        return "anew";
      }
      if (restarted && !event.resumed && state.text) state.lost ??= { attempt: state.attempt, reason: "" };
      state.status = event.data;
      state.attempt = event.attempt;
      if (restarted && event.resumed) {
        state.lost = null; // the attempt goes on with the text of the last one
      } else if (restarted) {
        state.startedAt = event.timestamp;
        state.pieces = 0;
      }
      // The text of a lost attempt stays, marked as such, until new text replaces it.
      return "kept";
    }
    case "content": {
      const anew = state.lost !== null;
      if (anew) state.text = "";
      state.lost = null;
      state.text += event.data;
      state.pieces += 1;
      return anew ? "anew" : "more";
    }
    case "end":
    case "error": {
      state.end = event;
      state.endedAt = event.timestamp;
      state.lost = null;
      if (event.type !== "end" || event.data === state.text) return "kept";
      state.text = event.data;
      return "anew";
    }
    default:
      return "kept"; // an event that this page does not know
  }
}
