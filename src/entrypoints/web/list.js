// The list of tasks: the service's, where it shows them, else those that this browser remembers.

import { LongtaskError } from "./longtask.js";
import { menuButton } from "./menu.js";
import { modelLabel } from "./models.js";
import * as remembered from "./remembered.js";
import { Searching } from "./searching.js";
import { ServedTasks } from "./served.js";
import { text } from "./texts.js";
import { ago, dateOf, money, number, tokens } from "./times.js";
import { keepRight } from "./waiting.js";

const MINUTE = 60_000; // milliseconds

const $ = (id) => document.getElementById(id);

export class List {
  #node;
  #actions;
  #open = null;
  #served = null;
  #needsKey = false;
  #searching = new Searching({
    served: () => (this.isServed ? this.#served : null),
    matching: () => this.#kept.filter((each) => this.#searching.matches(each)).length,
    changed: () => this.show(this.#open),
  });
  #showsHidden = false;
  #following = new AbortController();
  #scheduled = false;
  #rows = new Map(); // by id: {shows, row}

  /** `actions`: the functions open, deleted, and entries (those of its menu), called with a task's id,
   * keyRefused, called if the list needs another API key, and shown, called with the open task as it is
   * listed, or undefined, each time that the list is shown. */
  constructor(node, actions) {
    this.#node = node;
    this.#actions = actions;
    $("search").addEventListener("input", () => this.#searching.begin($("search").value));
    $("list-hidden").addEventListener("click", () => {
      this.#showsHidden = !this.#showsHidden;
      this.show(this.#open);
    });
    setInterval(() => this.#showTimes(), MINUTE);
  }

  /** Whether the list is the service's, so that a task that is removed from it is deleted. */
  get isServed() {
    return this.#served?.isRead ?? false;
  }

  /** Return a task of the list, {id, title, status}, or undefined. */
  find(id) {
    return this.#tasks().find((each) => each.id === id);
  }

  /** The tasks that are listed, in their order. */
  get listed() {
    return [...this.#rows.keys()].map((id) => this.find(id)).filter((each) => each !== undefined);
  }

  /** Return the id of the next task below the one that the page shows, or above it for -1; or null. */
  beside(by) {
    const ids = [...this.#rows.keys()];
    return ids[ids.indexOf(this.#open) + by] ?? null;
  }

  /** Open a task, with its row in view. */
  open(id) {
    this.#actions.open(id);
    this.#rows.get(id)?.row.scrollIntoView({ block: "nearest" });
  }

  /** Follow the list, from now on with the API key that is stored now. */
  async follow() {
    this.#following.abort();
    this.#following = new AbortController();
    const { signal } = this.#following;
    this.#served = new ServedTasks(() => this.#later(), this.#actions.deleted);
    this.#needsKey = false;
    try {
      await this.#served.watch(signal);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof LongtaskError)) throw error;
      this.#served = null;
      this.#needsKey = error.status === 401;
      this.show(this.#open);
      if (this.#needsKey) this.#actions.keyRefused();
      else await keepRight({ shown: () => this.#open, changed: () => this.#later(), signal });
    }
  }

  /** Leave out a task that the service does not know any more. */
  gone(id) {
    this.#served?.remove(id);
  }

  /** Show the next older tasks. */
  async older() {
    const last = this.#node.children.length;
    await (this.#searching.words === "" ? this.#served?.more() : this.#searching.further());
    this.show(this.#open);
    if ($("list-older").hidden) this.#node.children[last]?.querySelector("button").focus();
  }

  /** Show the tasks. `open`: the id of the task that the page shows. */
  show(open) {
    this.#open = open ?? null;
    if (this.isServed) remembered.noteAll((id) => this.#served.find(id)?.status);
    const kept = this.#kept;
    const all = kept.filter((each) => this.#searching.matches(each));
    const empty = $("list-empty");
    const isBeingRead = (this.#served !== null && !this.isServed) || this.#searching.isBusy;
    empty.hidden = all.length > 0 || isBeingRead;
    empty.dataset.text = kept.length > 0 ? "noneFound" : this.isServed ? "noTasks" : this.#needsKey ? "listNeedsKey" : "noneRemembered";
    empty.textContent = text(empty.dataset.text);
    $("list-away").hidden = !this.#served?.isAway;
    this.#showOlder();
    const [known, hidden] = [this.#tasks(), remembered.hidden()];
    const count = known.filter(({ id }) => hidden.has(id)).length;
    $("list-hidden").hidden = count === 0;
    $("list-hidden").textContent = text(this.#showsHidden ? "hideAgain" : "showHidden", { count });
    this.#actions.shown(known.find(({ id }) => id === this.#open));
    const focused = this.#node.contains(document.activeElement) ? document.activeElement : null;
    const place = [...this.#node.children].indexOf(focused?.closest("li"));
    this.#place(all);
    if (focused !== null && !focused.isConnected) {
      const { action, task } = focused.dataset;
      const row = this.#rows.get(task)?.row ?? this.#node.children[Math.min(place, all.length - 1)];
      (row?.querySelector(`[data-action="${action}"]`) ?? row?.querySelector("button"))?.focus();
    }
  }

  /** Show whether there are older tasks, and how many were searched. */
  #showOlder() {
    const hasOlder = this.isServed && this.#served.hasOlder;
    const isSearch = this.#searching.words !== "";
    const { isBusy } = this.#searching;
    $("list-searched").hidden = !(hasOlder && isSearch);
    $("list-searched").textContent = isBusy ? text("searching") : text("searched", { count: number(this.#served?.count ?? 0) });
    $("list-older").hidden = !hasOlder || isBusy;
    $("list-older").textContent = text(isSearch ? "searchOlder" : "older");
  }

  /** The tasks without those that are hidden. */
  get #kept() {
    const hidden = remembered.hidden();
    return this.#tasks().filter(({ id }) => this.#showsHidden || !hidden.has(id));
  }

  /** Place the rows of all tasks. Those that show the same as before stay: there may be hundreds. */
  #place(all) {
    const before = this.#rows;
    this.#rows = new Map(all.map((task) => {
      const { id, title, status, usage, cost } = task;
      const model = modelLabel(task.model);
      const shows = JSON.stringify([title, status, model, usage, cost, id === this.#open, document.documentElement.lang]);
      const known = before.get(id);
      return [id, known?.shows === shows ? known : { shows, row: this.#row(task) }];
    }));
    for (const [id, { row }] of before) if (this.#rows.get(id)?.row !== row) row.remove();
    let next = this.#node.firstElementChild;
    for (const { row } of this.#rows.values()) {
      if (row === next) next = row.nextElementSibling;
      else this.#node.insertBefore(row, next);
    }
  }

  #showTimes() {
    for (const time of this.#node.querySelectorAll("time")) time.textContent = ago(Date.parse(time.dateTime));
  }

  /** Show the tasks in the next frame, however often they change until then. */
  #later() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.show(this.#open);
    });
  }

  #tasks() {
    if (!this.isServed) return remembered.tasks();
    return this.#served.all.map(({ taskId, ...task }) => ({ id: taskId, ...task }));
  }

  #row(task) {
    const row = document.createElement("li");
    const prompt = task.title || task.request?.prompt || task.id; // older entries have no title
    const open = document.createElement("button");
    open.type = "button";
    open.className = "open";
    open.dir = "auto";
    open.title = prompt.slice(0, 500);
    const name = document.createElement("span");
    name.className = "name";
    name.textContent = prompt.slice(0, 120);
    open.append(name);
    open.addEventListener("click", () => this.#actions.open(task.id));
    if (task.id === this.#open) open.setAttribute("aria-current", "true");
    row.classList.toggle("here", task.id === this.#open);
    const menu = menuButton(`${text("moreActions")}: ${prompt.slice(0, 60)}`, () => this.#actions.entries(task.id));
    menu.classList.add("row-menu");
    for (const [button, action] of [[open, "open"], [menu, "menu"]]) Object.assign(button.dataset, { action, task: task.id });
    row.append(open, about(task), menu);
    return row;
  }
}

/** Return the second line of a row: the status, when the task was started, its model, its tokens and its cost. */
function about({ status, createdAt, model, usage, cost }) {
  const line = document.createElement("div");
  line.className = "about";
  const badge = document.createElement("span");
  badge.className = "badge";
  badge.dataset.status = status === "unknown" ? "failed" : status;
  const word = document.createElement("span");
  word.className = status === "completed" ? "unseen" : "";
  word.textContent = text(status);
  badge.append(word);
  line.append(badge);
  if (createdAt !== undefined) {
    const time = document.createElement("time");
    time.dateTime = new Date(createdAt).toISOString();
    time.title = dateOf(createdAt);
    time.textContent = ago(createdAt);
    line.append(time);
  }
  for (const [name, value] of [["model", modelLabel(model)], ["tokens", usage && tokens(usage.completionTokens, usage.estimated)], ["cost", money(cost)]]) {
    if (!value) continue;
    const node = document.createElement("span");
    node.className = name;
    node.textContent = value;
    line.append(node);
  }
  return line;
}
