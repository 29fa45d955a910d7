// Show what the model has said: reasoning, what hosted tools did, text, tool calls, refusals, sources, and
// whether it fits its schema.

import { ToolCalls } from "./calls.js";
import { Items } from "./items.js";
import { Markdown } from "./markdown.js";
import { Painter, Queue } from "./painting.js";
import { Plain } from "./plain.js";
import { keepUp } from "./reading.js";
import { webLink } from "./sent.js";
import { reasonedFor } from "./state.js";
import { text } from "./texts.js";

const SOURCES_LIMIT = 100;

const $ = (id) => document.getElementById(id);

/** Shows an answer as Markdown or, where JSON was asked for, as code. */
class Answer {
  isJson = false;
  #markdown = new Markdown($("answer"), keepUp);
  #empty = true;

  reset() {
    this.#markdown.reset();
    this.#empty = true;
  }

  append(text) {
    if (this.isJson && this.#empty) this.#markdown.append("```json\n");
    this.#empty = false;
    this.#markdown.append(text);
  }
}

export class Said {
  #painter;
  #answer = new Answer();
  #text = new Queue([this.#answer, new Plain($("raw"))]);
  #reasoning = new Queue([new Markdown($("reasoning-text"))], () => $("reasoning").open);
  #calls;
  #items = new Items($("items"));
  #annotations = null; // those that are shown

  /** `painted`: a function that is called in each frame to show everything else. */
  constructor(painted) {
    this.#painter = new Painter(painted);
    this.#painter.queues.add(this.#reasoning).add(this.#text);
    this.#calls = new ToolCalls($("calls"), this.#painter);
    $("reasoning").addEventListener("toggle", () => this.#painter.later());
  }

  /** Whether JSON was asked for. Counts from the next `replace` on. */
  get isJson() {
    return this.#answer.isJson;
  }

  set isJson(asked) {
    this.#answer.isJson = asked;
  }

  /** Show another answer in the place of the one before. */
  replace({ text, reasoning, toolCalls }) {
    this.#text.reset();
    this.#reasoning.reset();
    this.#calls.reset();
    this.#text.add(text);
    this.#reasoning.add(reasoning);
    for (const call of toolCalls) this.#calls.add(call);
  }

  /** Add the piece of an event. */
  add({ type, data }) {
    if (type === "content") this.#text.add(data);
    else if (type === "reasoning") this.#reasoning.add(data);
    else if (type === "tool_call") this.#calls.add(data);
  }

  /** Show an answer that is whole now: after `replace` and `add`. */
  finish({ toolCalls }) {
    this.#calls.finish(toolCalls);
  }

  later() {
    this.#painter.later();
  }

  /** Show what is not painted piece by piece. */
  show(state) {
    const { answer, lost, end } = state;
    for (const id of ["answer", "raw", "reasoning", "items", "calls"]) $(id).classList.toggle("lost", lost?.counts === false);
    $("reasoning").hidden = answer.reasoning === "";
    this.showTime(state);
    const { refusal } = answer;
    $("refusal").hidden = refusal === "";
    $("refusal").textContent = text(refusal === answer.text ? "refusedAll" : "refusedPart");
    $("valid").hidden = typeof end?.valid !== "boolean";
    $("valid").textContent = text(end?.valid ? "fits" : "fitsNot");
    $("valid").dataset.valid = String(end?.valid);
    this.#items.show(answer.items);
    if (this.#annotations !== answer.annotations) this.#showSources(answer.annotations);
  }

  /** Show for how long the model has reasoned. */
  showTime(state) {
    const seconds = Math.round(reasonedFor(state) / 1000);
    const name = state.reasoningSince !== null ? "reasoning" : seconds > 0 ? "reasonedFor" : "reasoned";
    $("reasoning").classList.toggle("active", state.reasoningSince !== null);
    $("reasoning-title").textContent = text(name, { seconds });
  }

  #showSources(annotations) {
    this.#annotations = annotations;
    const nodes = new Map(); // by what is shown, so that each source is there once
    for (const each of annotations) {
      const cited = each[each.type] ?? each; // in an object of its own, as chat completions has it
      const name = String(cited.title || cited.url || cited.filename || cited.file_id || JSON.stringify(each)).slice(0, 300);
      const node = webLink(String(cited.url ?? ""), name) ?? document.createTextNode(name);
      nodes.set(`${cited.url} ${name}`, node);
    }
    const items = [...nodes.values()].slice(0, SOURCES_LIMIT).map((node) => {
      const item = document.createElement("li");
      item.append(node, node.host ? ` ${node.host}` : "");
      return item;
    });
    if (nodes.size > SOURCES_LIMIT) items.push(document.createElement("li"));
    if (nodes.size > SOURCES_LIMIT) items.at(-1).textContent = text("more", { count: nodes.size - SOURCES_LIMIT });
    $("sources").hidden = items.length === 0;
    $("source-list").replaceChildren(...items);
  }
}
