// The list of tasks: the service's, where it shows them, else those that this browser remembers.

import { LongtaskError } from "./longtask.js";
import * as remembered from "./remembered.js";
import { ServedTasks } from "./served.js";
import { ACTIVE } from "./state.js";
import { text } from "./texts.js";
import { keepRight } from "./waiting.js";

const $ = (id) => document.getElementById(id);

export class List {
  #node;
  #actions;
  #open = null;
  #served = null;
  #needsKey = false;
  #following = new AbortController();
  #scheduled = false;
  #rows = new Map(); // by id: {shows, row}

  /** `actions`: the functions open, cancel, retry, remove and deleted, called with a task's id, and
   * keyRefused, called if the list needs another API key. */
  constructor(node, actions) {
    this.#node = node;
    this.#actions = actions;
  }

  /** Whether the list is the service's, so that a task that is removed from it is deleted. */
  get isServed() {
    return this.#served?.isRead ?? false;
  }

  /** Return a task of the list, {id, title, status}, or undefined. */
  find(id) {
    return this.#tasks().find((each) => each.id === id);
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
    await this.#served?.more();
    this.show(this.#open);
    if ($("list-older").hidden) this.#node.children[last]?.querySelector("button").focus();
  }

  /** Show the tasks. `open`: the id of the task that the page shows. */
  show(open) {
    this.#open = open ?? null;
    if (this.isServed) remembered.noteAll((id) => this.#served.find(id)?.status);
    const all = this.#tasks();
    const empty = $("list-empty");
    const isBeingRead = this.#served !== null && !this.isServed;
    empty.hidden = all.length > 0 || isBeingRead;
    empty.dataset.text = this.isServed ? "noTasks" : this.#needsKey ? "listNeedsKey" : "noneRemembered";
    empty.textContent = text(empty.dataset.text);
    $("list-away").hidden = !this.#served?.isAway;
    $("list-older").hidden = !(this.isServed && this.#served.hasOlder);
    const focused = this.#node.contains(document.activeElement) ? document.activeElement : null;
    const place = [...this.#node.children].indexOf(focused?.closest("li"));
    this.#place(all);
    if (focused !== null && !focused.isConnected) {
      const { action, task } = focused.dataset;
      const row = this.#rows.get(task)?.row ?? this.#node.children[Math.min(place, all.length - 1)];
      (row?.querySelector(`[data-action="${action}"]`) ?? row?.querySelector("button"))?.focus();
    }
  }

  /** Place the rows of all tasks. Those that show the same as before stay: there may be hundreds. */
  #place(all) {
    const before = this.#rows;
    this.#rows = new Map(all.map((task) => {
      const { id, title, status } = task;
      const shows = JSON.stringify([title, status, id === this.#open, this.isServed, document.documentElement.lang]);
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
    return this.#served.all.map(({ taskId, title, status }) => ({ id: taskId, title, status }));
  }

  #row(task) {
    const row = document.createElement("li");
    const prompt = task.title || task.request?.prompt || task.id; // older entries have no title
    const open = this.#button("open", task.id, prompt.slice(0, 120));
    open.className = "open";
    open.dir = "auto";
    open.title = prompt.slice(0, 500);
    if (task.id === this.#open) open.setAttribute("aria-current", "true");
    const badge = document.createElement("span");
    badge.className = "badge";
    badge.dataset.status = task.status === "unknown" ? "failed" : task.status;
    badge.textContent = text(task.status);
    const active = ACTIVE.has(task.status);
    const act = active ? this.#button("cancel", task.id, text("cancel")) : this.#button("retry", task.id, text("retry"));
    const remove = this.#button("remove", task.id, "×");
    remove.title = text(this.isServed ? "delete" : "remove");
    remove.setAttribute("aria-label", `${remove.title}: ${prompt.slice(0, 60)}`);
    const tools = document.createElement("span");
    tools.className = "row-tools";
    tools.append(badge, act, remove);
    row.append(open, tools);
    return row;
  }

  #button(action, id, label) {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.action = action;
    button.dataset.task = id;
    button.textContent = label;
    button.addEventListener("click", () => this.#actions[action](id));
    return button;
  }
}
