// The answer of one task beside another: live, with its status, its reasoning, its text and its calls.

import { ToolCalls } from "./calls.js";
import { copy } from "./clipboard.js";
import { ColumnHead } from "./column-head.js";
import { Items } from "./items.js";
import { LongtaskError, follow } from "./longtask.js";
import { Markdown } from "./markdown.js";
import { node } from "./nodes.js";
import { Painter, Queue } from "./painting.js";
import { keepUp } from "./reading.js";
import * as remembered from "./remembered.js";
import * as run from "./run.js";
import { ACTIVE, apply, begin, isGone, reasonedFor, saysSomething } from "./state.js";
import { advice, ending, failure, lostNotice, statusText, text } from "./texts.js";

export class SideAnswer {
  connection = "open"; // as that of the open task: open, lost, locked, gone, deleted
  #id;
  #needsKey;
  #state = begin();
  #run = run.begin();
  #stopping = new AbortController();
  #cancel = node("button", "danger", text("cancel"));
  #copy = node("button", "", text("copy"));
  #head;
  #notice = node("p", "notice");
  #waiting = node("p", "waiting", node("span", "dot"), " ");
  #waitsFor = node("span");
  #failure = node("div", "problem");
  #summary = node("summary");
  #fold = node("details", "fold reasoning", this.#summary);
  #ended = node("p", "hint");
  #texts; // queues, by the type of the event
  #calls;
  #items;
  #painter = new Painter(() => this.#show());

  /** Follow a task and show it in `root`. `actions`: the functions close, cancel, and needsKey, which is
   * told whether a key was sent. */
  constructor(root, id, { close, cancel, needsKey }) {
    this.#id = id;
    this.#needsKey = needsKey;
    const [head, reasoning, items, answer, calls] = [
      node("header", "column-head"), node("div", "answer"), node("ul", "items"), node("div", "answer"), node("div", "calls"),
    ];
    this.#waiting.append(this.#waitsFor);
    this.#fold.append(reasoning);
    this.#fold.addEventListener("toggle", () => this.#painter.later());
    for (const button of [this.#cancel, this.#copy]) button.type = "button";
    this.#cancel.addEventListener("click", cancel);
    this.#copy.addEventListener("click", () => copy(this.#state.answer.text, this.#copy, "copy"));
    this.#head = new ColumnHead(head, [this.#cancel, this.#copy], close);
    this.#texts = {
      reasoning: new Queue([new Markdown(reasoning)], () => this.#fold.open),
      content: new Queue([new Markdown(answer, keepUp)]),
    };
    for (const queue of Object.values(this.#texts)) this.#painter.queues.add(queue);
    this.#calls = new ToolCalls(calls, this.#painter);
    this.#items = new Items(items);
    root.replaceChildren(head, this.#notice, this.#failure, this.#fold, items, answer, calls, this.#waiting, this.#ended);
    this.#follow();
    this.#show();
  }

  stop() {
    this.#stopping.abort();
  }

  /** Note that the task is no longer known. What it said stays in view. */
  lose(connection) {
    this.stop();
    this.connection = connection;
    this.#show();
  }

  /** `model`: the one that was asked for. */
  showHead(model) {
    const { status, end } = this.#state;
    this.#head.show({
      model: model || end?.model,
      status: isGone(this.connection) ? "failed" : status,
      shownAs: statusText(this.connection, status),
      numbers: run.numbers(this.#run, run.serverTime(this.#run)),
    });
  }

  #follow() {
    const { signal } = this.#stopping;
    const key = remembered.apiKey();
    const connected = (connection) => {
      if (signal.aborted) return;
      this.connection = connection;
      this.#show();
    };
    const options = { key, onEvent: (event) => this.#take(event), onConnection: connected, pauseHidden: true, signal };
    follow({ taskId: this.#id }, options).catch((error) => {
      if (signal.aborted) return;
      if (!(error instanceof LongtaskError)) throw error;
      if (error.status === 0) return; // the task failed, which one of its events has told
      if (error.status === 401) this.#needsKey(key !== "");
      connected(error.status === 401 ? "locked" : "gone");
    });
  }

  #take(event) {
    run.step(this.#run, event);
    const before = this.#state.status;
    const change = event.type === "connected" ? "kept" : apply(this.#state, event);
    const { answer, status } = this.#state;
    if (change === "anew") this.#replace(answer);
    else if (change === "more" && event.type === "tool_call") this.#calls.add(event.data);
    else if (change === "more") this.#texts[event.type]?.add(event.data);
    if (event.type === "end") this.#calls.finish(answer.toolCalls);
    if (before !== status) remembered.note(this.#id, status);
    this.#painter.later();
  }

  #replace({ text, reasoning, toolCalls }) {
    for (const queue of [...Object.values(this.#texts), this.#calls]) queue.reset();
    this.#texts.content.add(text);
    this.#texts.reasoning.add(reasoning);
    for (const call of toolCalls) this.#calls.add(call);
  }

  #show() {
    const { status, answer, lost, end } = this.#state;
    const unknown = isGone(this.connection);
    const active = ACTIVE.has(status) && !unknown;
    const seconds = Math.round(reasonedFor(this.#state) / 1000);
    const notice = unknown ? text(this.connection) : this.connection === "lost" ? text("reconnecting") : lost === null ? "" : lostNotice(this.#state);
    this.#notice.textContent = notice;
    this.#notice.hidden = notice === "";
    this.#cancel.hidden = !active;
    this.#copy.hidden = active || !answer.text;
    this.#fold.hidden = answer.reasoning === "";
    this.#summary.textContent = text(seconds > 0 ? "reasonedFor" : "reasoned", { seconds });
    this.#items.show(answer.items);
    this.#waiting.hidden = !active || (status === "running" && lost === null && saysSomething(answer));
    this.#waitsFor.textContent = text(status === "running" ? "waitModel" : lost === null ? "waitQueued" : "waitNext");
    const failed = end?.type === "error";
    this.#failure.hidden = !failed;
    if (failed) this.#failure.replaceChildren(node("strong", "", failure(end)), " ", advice(end.code, end.retryable));
    const sentence = !unknown && end?.type === "end" ? ending(end) : "";
    this.#ended.textContent = sentence;
    this.#ended.hidden = !sentence;
  }
}
