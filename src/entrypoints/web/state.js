// What a task is, from its events alone. No document here.

export const ACTIVE = new Set(["pending", "running"]);

export function begin() {
  return {
    status: "pending",
    attempt: 0,
    text: "",
    lost: null, // {attempt, reason} while the text is that of an attempt that was lost
    pieces: 0,
    createdAt: null,
    startedAt: null,
    endedAt: null,
    end: null, // the last event
  };
}

/** Change the state by one event of the log. Answers what became of the text: "kept", "more" (with
 * the event's data added), or "anew". */
export function apply(state, event) {
  state.createdAt ??= event.timestamp;
  switch (event.type) {
    case "status": {
      const restarted = event.data === "running";
      if (event.data === "pending" && event.attempt > 0) {
        state.lost = { attempt: event.attempt, reason: event.reason ?? "" };
      }
      if (event.data === "pending" && event.attempt === 0 && state.text) {
        // The log begins anew: the service lost what we saw.
        Object.assign(state, begin(), { createdAt: event.timestamp });
        return "anew";
      }
      state.status = event.data;
      state.attempt = event.attempt;
      if (restarted) {
        state.startedAt = event.timestamp;
        state.pieces = 0;
      }
      // The lost text stays, marked as such, until there is other text in its place.
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
    default: {
      state.end = event;
      state.endedAt = event.timestamp;
      state.lost = null;
      if (event.type !== "end" || event.data === state.text) return "kept";
      state.text = event.data;
      return "anew";
    }
  }
}
