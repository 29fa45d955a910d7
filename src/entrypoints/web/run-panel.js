// The panel about the run of the open task: its numbers, its timeline and the events of its log.

import { RawEvents } from "./events.js";
import { node } from "./nodes.js";
import { begin, numbers, serverTime, step } from "./run.js";
import { showStrip, Timeline } from "./timeline.js";
import { duration, money, number } from "./times.js";
import { text } from "./texts.js";

const TICK = 250; // milliseconds
const PAUSE = 150; // milliseconds between two times that the panel is drawn
const TABS = ["runTimeline", "runEvents"];
const FACTS = ["factTime", "factFirst", "factTokens", "factRate", "factCost"];

export class RunPanel {
  #root;
  #run = begin();
  #notBefore = null;
  #cost = null;
  #drawnAt = -PAUSE;
  #timer = 0;
  #facts = new Map(); // by name: {term, value}
  #tabs = new Map(); // by name: {tab, panel}
  #empty = node("p", "hint");
  #strip = node("div", "strip");
  #list = node("ol", "timeline");
  #timeline = new Timeline(this.#list);
  #events;

  /** `root`: the element that the panel fills. Nothing is drawn while it cannot be seen. */
  constructor(root) {
    this.#root = root;
    const facts = node("dl", "run-facts");
    for (const name of FACTS) {
      const [term, value] = [node("dt"), node("dd")];
      facts.append(node("div", "", term, value));
      this.#facts.set(name, { term, value });
    }
    const tabList = node("div", "run-tabs");
    tabList.role = "tablist";
    const events = node("div", "raw-events");
    this.#events = new RawEvents(events);
    const panels = [node("div", "", this.#empty, this.#strip, this.#list), events];
    TABS.forEach((name, place) => {
      const [tab, panel] = [node("button"), panels[place]];
      Object.assign(tab, { type: "button", role: "tab", id: `${name}-tab` });
      Object.assign(panel, { role: "tabpanel", id: `${name}-panel` });
      tab.setAttribute("aria-controls", panel.id);
      panel.setAttribute("aria-labelledby", tab.id);
      tab.addEventListener("click", () => this.choose(name));
      this.#tabs.set(name, { tab, panel });
      tabList.append(tab);
    });
    tabList.addEventListener("keydown", (event) => this.#move(event));
    root.replaceChildren(facts, tabList, ...panels);
    this.choose(TABS[0]);
    this.translate();
    setInterval(() => this.#run.endedAt === null && this.#run.beganAt !== null && this.show(), TICK);
  }

  /** Begin to show a log, of another task or once more. */
  reset() {
    this.#run = begin();
    this.#notBefore = null;
    this.#cost = null;
    this.#timeline.reset();
    this.#strip.replaceChildren();
    this.#events.reset();
    this.#draw();
    clearTimeout(this.#timer); // what comes first is shown at once
    this.#timer = 0;
    this.#drawnAt = -PAUSE;
  }

  /** Note when the task begins at the earliest, in milliseconds since 1970, or null. */
  plan(notBefore) {
    this.#notBefore = notBefore;
  }

  /** Note what the task has cost, as the service says it, or null. */
  price(cost) {
    this.#cost = cost;
    this.show();
  }

  /** The present time by the service's clock. */
  get now() {
    return serverTime(this.#run);
  }

  /** The numbers of the run until now. */
  get numbers() {
    return numbers(this.#run, this.now);
  }

  /** Take an event. `id` is empty for one that is not in the log. */
  add(event, id) {
    step(this.#run, event);
    this.#events.add(event, id);
  }

  /** Show what has changed, if it can be seen: at once, or a moment after the last time. */
  show() {
    if (this.#timer !== 0) return;
    if (this.#drawnAt < 0) return this.#draw();
    // Also if it is due: in a frame of its own, not in that in which the answer is painted.
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      this.#draw();
    }, PAUSE - (performance.now() - this.#drawnAt));
  }

  #draw() {
    if (document.hidden || !this.#root.checkVisibility()) return;
    this.#drawnAt = performance.now();
    const now = serverTime(this.#run);
    this.#showFacts(now);
    if (this.#tabs.get("runEvents").panel.hidden) {
      this.#empty.hidden = this.#run.steps.length > 0;
      this.#strip.hidden = this.#run.steps.length === 0;
      this.#timeline.show(this.#run, now, this.#notBefore);
      showStrip(this.#strip, this.#run, now);
    } else {
      this.#events.show(this.#run.beganAt);
    }
  }

  /** Say everything in the language that the page has now. */
  translate() {
    for (const [name, { term }] of this.#facts) term.textContent = text(name);
    for (const [name, { tab }] of this.#tabs) tab.textContent = text(name);
    this.#empty.textContent = text("runEmpty");
    this.#events.translate();
    this.#timeline.reset();
    this.#draw();
  }

  #showFacts(now) {
    const { duration: time, firstToken, tokens, isEstimated, rate, ...rest } = numbers(this.#run, now);
    const guessed = (value) => (isEstimated ? text("about", { value }) : value);
    const rateText = rate !== null && number(rate < 10 ? rate.toFixed(1) : Math.round(rate));
    this.#fact("factTime", time !== null && duration(time), "factTimeMeans");
    this.#fact("factFirst", firstToken !== null && duration(firstToken), "factFirstMeans");
    this.#fact("factTokens", tokens !== null && guessed(number(tokens)), isEstimated ? "factTokensGuessed" : "factTokensMeans", rest);
    this.#fact("factRate", rateText && guessed(rateText), "factRateMeans");
    this.#fact("factCost", money(this.#cost), "factCostMeans");
    this.#facts.get("factCost").value.parentElement.hidden = this.#cost === null;
  }

  #fact(name, value, means, { prompt, cached, reasoning } = {}) {
    const details = [["detailPrompt", prompt], ["detailCached", cached], ["detailReasoning", reasoning]]
      .filter(([, count]) => count > 0)
      .map(([what, count]) => text(what, { count: number(count) }))
      .join(", ");
    const shown = this.#facts.get(name).value;
    const says = value || text("none");
    if (shown.textContent !== says) shown.textContent = says;
    shown.parentElement.title = text(means, { details });
  }

  /** Show a tab: "runTimeline" or "runEvents". */
  choose(name) {
    for (const [each, { tab, panel }] of this.#tabs) {
      tab.setAttribute("aria-selected", String(each === name));
      tab.tabIndex = each === name ? 0 : -1;
      panel.hidden = each !== name;
    }
    this.#draw();
  }

  #move(event) {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    const other = TABS.find((name) => this.#tabs.get(name).panel.hidden);
    this.choose(other);
    this.#tabs.get(other).tab.focus();
    event.preventDefault();
  }
}
