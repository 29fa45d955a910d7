// The list of this browser's tasks. The open one is updated by its stream. The others that have not
// ended are polled while the page is visible: a stream for each would use up the six connections that
// a browser has per host.

import { status } from "./api.js";
import * as remembered from "./remembered.js";
import { ACTIVE } from "./state.js";
import { text } from "./texts.js";

const POLL_INTERVAL = 2_000;
const AT_ONCE = 4;

export class List {
  #node;
  #actions;
  #open = null;
  #polling = false;

  /** `actions`: the functions open, cancel, retry and remove, called with a task's id. */
  constructor(node, actions) {
    this.#node = node;
    this.#actions = actions;
    setInterval(() => this.#poll(), POLL_INTERVAL);
  }

  /** Show the remembered tasks. `open`: the id of the task that the page shows. */
  show(open) {
    this.#open = open ?? null;
    const all = remembered.tasks();
    document.getElementById("list-empty").hidden = all.length > 0;
    const focused = this.#node.contains(document.activeElement) ? document.activeElement.dataset : null;
    this.#node.replaceChildren(...all.map((task) => this.#row(task)));
    if (focused !== null) {
      const selector = `[data-action="${focused.action}"][data-task="${CSS.escape(focused.task)}"]`;
      this.#node.querySelector(selector)?.focus();
    }
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
    remove.setAttribute("aria-label", `${text("remove")}: ${prompt.slice(0, 60)}`);
    remove.title = text("remove");
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

  async #poll() {
    if (this.#polling || document.hidden) return;
    this.#polling = true;
    try {
      const others = remembered.tasks().filter((task) => ACTIVE.has(task.status) && task.id !== this.#open);
      const changes = await Promise.all(others.slice(0, AT_ONCE).map(async (task) => {
        try {
          return remembered.note(task.id, (await status(task.id)).status);
        } catch (error) {
          return error.status === 404 && remembered.note(task.id, "unknown");
        }
      }));
      if (changes.includes(true)) this.show(this.#open);
    } finally {
      this.#polling = false;
    }
  }
}
