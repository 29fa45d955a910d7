// The timeline of a run: what happened, step by step, and where the time went. Makes nodes of a run (run.js).

import { node } from "./nodes.js";
import { tokensOf } from "./run.js";
import { clockOf, counted, dateOf, duration, number } from "./times.js";
import { reason, text } from "./texts.js";

const NOTABLE = 100; // milliseconds: shorter pauses are not told
const CALLS = 3; // names of tools that are said

/** Return a sentence as a line that stands alone. */
const withoutStop = (sentence) => sentence.replace(/[.。]$/, "");

/** Return what is said of a step of a run at a time of the service's clock: {tone, title, details}.
 * `notBefore`: when the task begins at the earliest, or null. */
function words(run, step, now, notBefore = null) {
  const time = (step.until ?? now) - step.at;
  switch (step.kind) {
    case "queued": {
      const delay = step.until === null && notBefore > now ? text("isPlanned", { time: counted(notBefore - now) }) : null;
      const wait = step.until === null ? text("isQueued", { time: counted(time) }) : text("wasQueued", { time: duration(time) });
      return { tone: "waits", title: text("stepQueued"), details: [delay ?? wait] };
    }
    case "attempt":
      return { tone: toneOf(step), title: text(step.resumed ? "stepResumed" : "stepAttempt", step), details: [...said(run, step, now)] };
    case "lost":
      return { tone: "lost", title: text("stepLost", step), details: [...lost(step, now)] };
    case "anew":
      return { tone: "lost", title: text("stepAnew"), details: [text("logLost")] };
    case "failed":
      return { tone: "failed", title: text("stepFailed"), details: [step.code ? withoutStop(reason(step.code)) : step.message] };
    default:
      return ended(step);
  }
}

/** Return when the next try begins, in words. `nextAt`: the time, `now`: the present one, both by the
 * service's clock. */
export const nextTry = (nextAt, now) => (nextAt > now ? text("nextIn", { time: counted(nextAt - now + 999) }) : text("nextDue"));

const toneOf = ({ isLost, isKept }) => (isKept ? "kept" : isLost ? "lost" : "works");

function* said(run, step, now) {
  const { at, until, firstAt, lastAt, reasonedAt, wroteAt, bytes, calls } = step;
  if (firstAt === null) {
    if (until === null) yield text("isThinking", { time: counted(now - at) });
    return;
  }
  yield text("firstAfter", { time: duration(firstAt - at) });
  if (reasonedAt !== null) {
    yield text("reasonedFirst", { time: duration(Math.max(0, (wroteAt ?? (until === null ? now : lastAt)) - reasonedAt)) });
  }
  if (calls.length > 0) {
    const names = calls.slice(0, CALLS).join(", ") + (calls.length > CALLS ? ", …" : "");
    yield text("called", { names });
  }
  if (bytes === 0) return;
  const { tokens: count, isEstimated } = tokensOf(run, step);
  const tokens = isEstimated ? text("about", { value: number(count) }) : number(count);
  yield text("isWriting", { tokens, time: duration((until === null ? now : lastAt) - firstAt) });
}

function* lost(step, now) {
  if (step.reason) yield withoutStop(reason(step.reason));
  if (step.kept !== null) yield text(step.kept ? "wasKept" : "wasDropped");
  if (step.until !== null) {
    if (step.until - step.at >= NOTABLE) yield text("nextAfter", { time: duration(step.until - step.at) });
  } else if (step.nextAt === null) {
    yield text("isWaiting", { time: counted(now - step.at) });
  } else {
    yield nextTry(step.nextAt, now);
  }
}

function ended({ status, finishReason, model, calls, isEmpty }) {
  const by = model ? [text("endedBy", { model })] : [];
  if (status === "cancelled") return { tone: "waits", title: text("stepCancelled"), details: [text("keptSoFar")] };
  if (finishReason === "length") return { tone: "cut", title: text("stepLimit"), details: by };
  if (finishReason === "content_filter") return { tone: "cut", title: text("stepFilter"), details: by };
  if (calls) return { tone: "done", title: text("stepCalls"), details: by };
  if (isEmpty) return { tone: "cut", title: text("stepEmpty"), details: by };
  if (finishReason === "stop") return { tone: "done", title: text("stepDone"), details: by };
  return { tone: "done", title: text("stepOther", { reason: finishReason }), details: by };
}

function timeNode(at, beganAt) {
  const time = node("time", "", at === beganAt ? clockOf(at) : `+${duration(at - beganAt)}`);
  time.dateTime = new Date(at).toISOString();
  time.title = dateOf(at);
  return time;
}

/** Shows the steps of a run in a list. Items that say the same as before stay as they are. */
export class Timeline {
  #list;
  #shown = []; // what each item says

  constructor(list) {
    this.#list = list;
  }

  reset() {
    this.#shown = [];
    this.#list.replaceChildren();
  }

  /** `now`: the time by the service's clock. `notBefore`: when the task begins at the earliest, or null. */
  show(run, now, notBefore) {
    const { steps, beganAt } = run;
    steps.forEach((step, place) => {
      const { tone, title, details } = words(run, step, now, notBefore);
      const isOpen = step.until === null;
      const says = JSON.stringify([tone, title, details, isOpen, step.at]);
      if (this.#shown[place] === says) return;
      this.#shown[place] = says;
      const item = node(
        "li", "step",
        node("p", "step-title", node("span", "", title), timeNode(step.at, beganAt)),
        ...details.map((each) => node("p", "step-detail", each)),
      );
      item.dataset.tone = tone;
      item.dataset.open = String(isOpen);
      const before = this.#list.children[place];
      if (before === undefined) this.#list.append(item);
      else before.replaceWith(item);
    });
  }
}

/** Show in a strip how the time of a run was spent, in proportion. */
export function showStrip(strip, run, now) {
  const lasting = run.steps.filter(({ kind, at, until }) => !["ended", "failed", "anew"].includes(kind) && (until ?? now) > at);
  while (strip.children.length > lasting.length) strip.lastChild.remove();
  lasting.forEach((step, place) => {
    const part = strip.children[place] ?? strip.appendChild(node("span"));
    const spent = (step.until ?? now) - step.at;
    part.dataset.tone = step.kind === "attempt" ? toneOf(step) : "waits";
    part.style.flexGrow = String(spent);
    part.title = `${words(run, step, now).title}: ${duration(spent)}`;
  });
}
