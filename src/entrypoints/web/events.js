// The events of a log as they came, for developers: by type, each to be opened and copied.

import { copy } from "./clipboard.js";
import { node } from "./nodes.js";
import { dateOf, number } from "./times.js";
import { text } from "./texts.js";

const KEPT = 50_000; // events
const DROPPED = 5_000; // of the oldest at once, when there are more
const WINDOW = 100; // rows that are shown at first, and added with each click
const MOST = 3 * WINDOW; // rows, while the newest are followed
const FLOOD = 40; // rows, where more events come at once than one could read
const SHOWN = 120; // characters
const NEAR = 40; // pixels from the end at which the newest are followed

const $ = (selector, root) => root.querySelector(selector);

/** Return the data of an event in one line. */
function line({ type, data, status, reason, code, finishReason, resumed }) {
  const value = data ?? status;
  const most = type === "end" ? `${number(data.length)} characters` : JSON.stringify(typeof value === "string" ? value.slice(0, SHOWN) : value);
  const more = reason ?? code ?? finishReason ?? (resumed ? "resumed" : undefined);
  return `${String(most).slice(0, SHOWN)}${more === undefined ? "" : ` (${more})`}`;
}

export class RawEvents {
  #root;
  #all = []; // {event, id}: the newest ones
  #left = 0; // how many older ones were left out
  #counts = new Map(); // by type
  #type = ""; // the one that is shown; empty for all
  #from = 0; // the first event that has a row, as a place in #matching
  #matching = []; // the events that the filter lets through
  #next = 0; // the first of those that has no row yet
  #beganAt = null;
  #filter = node("select", "events-filter");
  #copy = node("button", "events-copy");
  #earlier = node("button", "events-earlier");
  #note = node("p", "hint");
  #rows = node("ol", "events-rows");
  #scroller = node("div", "events-scroller", this.#earlier, this.#rows);

  constructor(root) {
    this.#root = root;
    this.#copy.type = this.#earlier.type = "button";
    this.#scroller.tabIndex = 0;
    this.#scroller.role = "region";
    root.replaceChildren(node("div", "events-tools", this.#filter, this.#copy), this.#note, this.#scroller);
    this.#filter.addEventListener("change", () => this.#choose(this.#filter.value));
    this.#earlier.addEventListener("click", () => this.#showEarlier());
    this.#copy.addEventListener("click", () => copy(this.#matching.map(json).join("\n"), this.#copy, "eventsCopy"));
    this.#rows.addEventListener("toggle", (event) => this.#open(event.target), true);
  }

  reset() {
    this.#all = [];
    this.#left = 0;
    this.#counts.clear();
    this.#beganAt = null;
    this.#choose("");
    this.#showFilter();
  }

  add(event, id) {
    const entry = { event, id };
    this.#all.push(entry);
    this.#counts.set(event.type, (this.#counts.get(event.type) ?? 0) + 1);
    if (this.#matches(entry)) this.#matching.push(entry);
    if (this.#all.length > KEPT) this.#drop();
  }

  /** Show the events that have come. `beganAt`: the time of the first one of the log, or null. */
  show(beganAt) {
    this.#beganAt = beganAt;
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    const follows = scrollTop + clientHeight >= scrollHeight - NEAR;
    this.#showFilter();
    const due = this.#matching.length - this.#next;
    if (due === 0) return;
    if (due > WINDOW) { // those between are not worth their rows
      this.#from = this.#matching.length - FLOOD;
      this.#next = this.#from;
      this.#rows.replaceChildren();
    }
    this.#rows.append(...this.#matching.slice(this.#next).map((entry) => this.#row(entry)));
    this.#next = this.#matching.length;
    if (follows && this.#rows.children.length > MOST) {
      this.#from = this.#next - WINDOW;
      while (this.#rows.children.length > WINDOW) this.#rows.firstChild.remove();
    }
    this.#showEdges();
    if (follows) this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  translate() {
    this.#copy.textContent = text("eventsCopy");
    this.#filter.setAttribute("aria-label", text("eventsFilter"));
    this.#scroller.setAttribute("aria-label", text("eventsList"));
    this.#filter.replaceChildren();
    this.#choose(this.#type);
    this.#showFilter();
    this.#showEdges();
  }

  #matches = ({ event }) => this.#type === "" || event.type === this.#type;

  #choose(type) {
    this.#type = type;
    this.#matching = this.#all.filter(this.#matches);
    this.#from = Math.max(0, this.#matching.length - WINDOW);
    this.#next = this.#from;
    this.#rows.replaceChildren();
    if (this.#beganAt !== null) this.show(this.#beganAt);
    this.#showEdges();
  }

  #drop() {
    this.#left += DROPPED;
    this.#all = this.#all.slice(DROPPED);
    this.#choose(this.#type);
  }

  #showFilter() {
    const types = ["", ...this.#counts.keys()];
    const total = this.#left + this.#all.length;
    types.forEach((type, place) => {
      const option = this.#filter.children[place] ?? this.#filter.appendChild(node("option"));
      const count = number(type === "" ? total : this.#counts.get(type));
      const label = `${type === "" ? text("eventsAll") : type} · ${count}`;
      if (option.value !== type) option.value = type;
      if (option.textContent !== label) option.textContent = label;
    });
    while (this.#filter.children.length > types.length) this.#filter.lastChild.remove();
    if (this.#filter.value !== this.#type) this.#filter.value = this.#type;
  }

  #showEdges() {
    this.#earlier.hidden = this.#from === 0;
    this.#earlier.textContent = text("eventsEarlier", { count: number(this.#from) });
    this.#copy.disabled = this.#matching.length === 0;
    this.#note.hidden = this.#left === 0 && this.#all.length > 0;
    const [count, kept] = [number(this.#left), number(KEPT)];
    this.#note.textContent = this.#left > 0 ? text("eventsLeftOut", { count, kept }) : text("eventsNone");
  }

  #showEarlier() {
    const until = this.#from;
    this.#from = Math.max(0, until - WINDOW);
    const before = this.#scroller.scrollHeight;
    this.#rows.prepend(...this.#matching.slice(this.#from, until).map((entry) => this.#row(entry)));
    this.#showEdges();
    this.#scroller.scrollTop += this.#scroller.scrollHeight - before;
    $("summary", this.#rows).focus({ preventScroll: true });
  }

  #row({ event, id }) {
    const after = this.#beganAt === null ? "" : `+${((event.timestamp - this.#beganAt) / 1_000).toFixed(3)}`;
    const time = node("time", "", id === "" ? "" : after);
    time.title = dateOf(event.timestamp);
    const summary = node(
      "summary", "",
      node("span", "event-number", id.slice(id.lastIndexOf("-") + 1)),
      time,
      node("span", "event-type", event.type),
      node("span", "event-data", line(event)),
    );
    const item = node("li", "", node("details", "", summary));
    item.dataset.type = event.type;
    item.entry = { event, id };
    return item;
  }

  /** Show the whole of an event once its row is opened. */
  #open(details) {
    if (!details.open || $("pre", details) !== null) return;
    const { event, id } = details.parentElement.entry;
    const whole = node("pre", "", `id: ${id}\n${JSON.stringify(event, null, 2)}`);
    whole.tabIndex = 0; // it may scroll
    details.append(whole);
  }
}

const json = ({ event, id }) => JSON.stringify(id === "" ? event : { id, ...event });
