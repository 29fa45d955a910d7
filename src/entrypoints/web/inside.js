// The table of the open task's events as they arrive, for developers. Latencies are by the clock of
// this machine.

const LIMIT = 200;
const SHOWN = 80;

export class EventTable {
  #body;
  #waiting = []; // the newest events, which have no row yet

  constructor(body) {
    this.#body = body;
  }

  reset() {
    this.#waiting = [];
    this.#body.replaceChildren();
  }

  /** `id` is empty for an event that is not in the log. */
  add(event, id) {
    this.#waiting.push([event, id, Date.now()]);
    if (this.#waiting.length > LIMIT) this.#waiting.shift();
  }

  /** Add rows for new events, newest first, if the table is visible. */
  show() {
    if (this.#body.closest("section").hidden) return;
    for (const each of this.#waiting) this.#row(...each);
    this.#waiting = [];
    while (this.#body.rows.length > LIMIT) this.#body.deleteRow(-1);
  }

  #row(event, id, now) {
    const row = this.#body.insertRow(0);
    const data = typeof event.data === "object" ? JSON.stringify(event.data) : event.data ?? event.status;
    const reason = event.reason ?? event.code ?? event.finishReason ?? (event.resumed ? "resumed" : undefined);
    const shown = event.type === "end" ? `${event.data.length} characters` : JSON.stringify(data?.slice(0, SHOWN));
    const cells = [id, event.type, reason === undefined ? shown : `${shown} (${reason})`, now - event.timestamp];
    for (const value of cells) row.insertCell().textContent = value;
    row.dataset.type = event.type;
  }
}
