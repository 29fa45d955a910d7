// The line above each of two answers that stand side by side: model, status, time, tokens and speed, and
// what can be done with it.

import { icon } from "./icons.js";
import { node } from "./nodes.js";
import { text } from "./texts.js";
import { duration, number, tokens } from "./times.js";

export class ColumnHead {
  #model = node("h2");
  #status = node("span", "badge");
  #facts = new Map(["time", "tokens", "rate"].map((name) => [name, node("span", name)]));
  #close = node("button", "icon", icon("close"));

  /** `tools`: other buttons. `close`: the function that closes the answer. */
  constructor(root, tools, close) {
    this.#close.type = "button";
    this.#close.addEventListener("click", close);
    this.#model.dir = "auto";
    const facts = node("div", "column-facts", this.#status, ...this.#facts.values());
    root.replaceChildren(this.#model, facts, node("div", "column-tools", ...tools, this.#close));
  }

  /** `model`: its name, or "" while it is not known. `status`: that of the task, `shownAs` in words.
   * `numbers`: those of its run. */
  show({ model, status, shownAs, numbers: { duration: time, tokens: count, isEstimated, rate } }) {
    const name = model || text("modelUnknown");
    set(this.#model, name);
    this.#model.title = name;
    this.#close.ariaLabel = this.#close.title = text("closeColumn", { model: name });
    this.#status.dataset.status = status;
    set(this.#status, shownAs);
    const speed = rate === null ? "" : number(rate < 10 ? rate.toFixed(1) : Math.round(rate));
    set(this.#facts.get("time"), time === null ? "" : duration(time));
    set(this.#facts.get("tokens"), count > 0 ? tokens(count, isEstimated) : "");
    set(this.#facts.get("rate"), speed && text("rate", { value: isEstimated ? text("about", { value: speed }) : speed }));
  }
}

function set(node, shown) {
  if (node.textContent !== shown) node.textContent = shown;
  node.hidden = shown === "";
}
