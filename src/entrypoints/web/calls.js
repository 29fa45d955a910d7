// Show the calls of tools: the name of each, and its arguments as they come.

import { Queue } from "./painting.js";
import { Plain } from "./plain.js";
import { text } from "./texts.js";

const LIMIT = 200; // calls that are shown
const DEPTH_LIMIT = 50;
const TOKENS = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/** Return JSON with line breaks and indentation, or null if it is none or too deep. Numbers and texts
 * stay as they were written. */
function indented(json) {
  try {
    JSON.parse(json);
  } catch {
    return null;
  }
  const parts = [];
  let depth = 0;
  let before = "";
  for (const [token] of json.matchAll(TOKENS)) {
    if (token === "}" || token === "]") depth -= 1;
    const opened = before === "{" || before === "[";
    const closes = token === "}" || token === "]";
    if (before === "," || (opened && !closes) || (closes && !opened)) parts.push("\n", "  ".repeat(depth));
    parts.push(token === ":" ? ": " : token);
    if (token === "{" || token === "[") depth += 1;
    if (depth > DEPTH_LIMIT) return null;
    before = token;
  }
  return parts.join("");
}

export class ToolCalls {
  #root;
  #painter;
  #shown = new Map(); // by index: {name, queue}

  constructor(root, painter) {
    this.#root = root;
    this.#painter = painter;
  }

  reset() {
    for (const { queue } of this.#shown.values()) this.#painter.queues.delete(queue);
    this.#shown.clear();
    this.#root.replaceChildren();
  }

  /** Add a piece of a call. */
  add({ index, name = "", arguments: more }) {
    const call = this.#shown.get(index) ?? this.#begin(index);
    if (name) call.name?.append(name);
    call.queue.add(more);
  }

  /** Show the calls of an answer that has ended, with whole arguments indented. */
  finish(calls) {
    for (const call of calls) {
      const whole = indented(call.arguments);
      const { queue } = this.#shown.get(call.index);
      if (whole === null) continue;
      queue.reset();
      queue.add(whole);
    }
  }

  #begin(index) {
    const call = { name: null, queue: new Queue([]) };
    this.#shown.set(index, call);
    if (this.#shown.size > LIMIT) {
      this.#root.lastElementChild.textContent = text("moreCalls", { count: this.#shown.size - LIMIT });
      return call;
    }
    const node = document.createElement("details");
    node.className = "call";
    node.open = true;
    const summary = document.createElement("summary");
    const label = document.createElement("span");
    label.dataset.text = "call";
    label.textContent = text("call");
    call.name = document.createElement("code");
    summary.append(label, " ", call.name);
    const box = document.createElement("div");
    box.className = "box";
    box.dir = "ltr";
    box.tabIndex = 0;
    node.append(summary, box);
    call.queue = new Queue([new Plain(box)], () => node.open);
    node.addEventListener("toggle", () => this.#painter.later());
    this.#painter.queues.add(call.queue);
    this.#root.append(node);
    if (this.#shown.size === LIMIT) this.#root.append(document.createElement("p"));
    return call;
  }
}
