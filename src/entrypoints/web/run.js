// What happened to a task, as the events of its log tell it: its waits, its attempts and its end, with
// their times, and the numbers that follow from them. Does not touch the document.
//
// All times are those of the events, in milliseconds since 1970 by the service's clock. So a log that is
// read late gives the same numbers as one that was followed.

const BYTES_PER_TOKEN = 4; // as the service estimates
const SHORTEST_RATE = 100; // milliseconds: over less, a rate says nothing

const encoder = new TextEncoder();
const bytesOf = (text) => encoder.encode(text).length;

/** What the model has said of the answer that counts: by all `attempts`, which are steps, that went on with
 * each other. */
const nothingSaid = () => ({ attempts: [], bytes: 0, firstAt: null, lastAt: null, reasoning: false });

/**
 * Return the run of a task of which no event is known.
 *
 * `steps`: what happened, in order. Each has `kind`, `at` and `until`, which is null while it lasts:
 * - "queued": waits for its first attempt
 * - "attempt": `attempt`, `resumed`, whether it goes on with what the last one said, `firstAt`,
 *   `reasonedAt`, `wroteAt` and `lastAt`, when its first piece, the first ones of reasoning and text and
 *   the last one came, `bytes`, the size of what it said, `calls`, the names of the tools that it called,
 *   `isLost`, and `isKept`, whether the next attempt went on with what this one said
 * - "lost": `attempt`, `reason`, a code or empty, `nextAt`, when the next try is due, or null, `kept`,
 *   whether what was said is kept; null until the next attempt has begun, or if nothing was said
 * - "anew": the service has lost the log, and begins it again
 * - "ended": `status`, `finishReason`, `model`, `calls`, whether the model calls tools, `isEmpty`
 * - "failed": `code`, `message`
 */
export function begin() {
  return { steps: [], said: nothingSaid(), beganAt: null, endedAt: null, usage: null, model: null, clock: 0 };
}

const lastOf = (run) => run.steps.at(-1);

/** Add a step. The one before is over then. */
function add(run, at, step) {
  const before = lastOf(run);
  if (before?.until === null) before.until = Math.max(before.at, at);
  run.steps.push({ at, until: null, ...step });
}

/** Take the next event into account. `now`: this machine's time, by which `run.clock` is found: how far
 * the service's clock is ahead. */
export function step(run, event, now = Date.now()) {
  const { type, timestamp } = event;
  if (type === "connected") {
    run.clock = (timestamp ?? now) - now;
    return;
  }
  run.beganAt ??= timestamp;
  if (type === "status" && event.data === "pending") wait(run, event);
  else if (type === "status" && event.data === "running") attempt(run, event);
  else if (type === "end" || type === "error") end(run, event);
  else if (["content", "reasoning", "tool_call", "item"].includes(type)) piece(run, event);
}

function wait(run, { timestamp, attempt, reason = "", nextAttemptAt = null }) {
  const before = lastOf(run);
  if (attempt === 0) {
    if (before !== undefined) { // an older service lost the log
      run.said = nothingSaid();
      add(run, timestamp, { kind: "anew" });
    }
    add(run, timestamp, { kind: "queued" });
    return;
  }
  if (before?.kind === "attempt") before.isLost = true;
  add(run, timestamp, { kind: "lost", attempt, reason, nextAt: nextAttemptAt, kept: null });
}

function attempt(run, { timestamp, attempt, resumed = false }) {
  const before = lastOf(run);
  if (before?.kind === "attempt") { // it was lost, and nothing told
    before.isLost = true;
    add(run, timestamp, { kind: "lost", attempt: before.attempt, reason: "", nextAt: null, kept: null });
  }
  const lost = lastOf(run);
  if (lost?.kind === "lost" && run.said.bytes > 0) {
    lost.kept = resumed;
    const attempt = run.steps.at(-2);
    if (attempt?.kind === "attempt") attempt.isKept = resumed && attempt.bytes > 0;
  }
  if (!resumed) run.said = nothingSaid();
  add(run, timestamp, {
    kind: "attempt", attempt, resumed, isLost: false, isKept: false,
    firstAt: null, reasonedAt: null, wroteAt: null, lastAt: null, bytes: 0, calls: [],
  });
  run.said.attempts.push(lastOf(run));
}

function piece(run, event) {
  const { type, timestamp, data } = event;
  const current = lastOf(run);
  if (current?.kind !== "attempt") return; // no such log is legal
  const text = type === "item" ? "" : type === "tool_call" ? (data.name ?? "") + data.arguments : data;
  const bytes = bytesOf(text);
  current.firstAt ??= timestamp;
  current.lastAt = timestamp;
  current.bytes += bytes;
  if (type === "reasoning") current.reasonedAt ??= timestamp;
  if (type === "content") current.wroteAt ??= timestamp;
  if (type === "tool_call" && data.id !== undefined && data.name) current.calls.push(data.name);
  run.said.firstAt ??= timestamp;
  run.said.lastAt = timestamp;
  run.said.bytes += bytes;
  run.said.reasoning ||= type === "reasoning";
}

function end(run, event) {
  const { type, timestamp } = event;
  run.endedAt = timestamp;
  if (type === "error") {
    const before = lastOf(run);
    if (before?.kind === "attempt") before.isLost = true;
    add(run, timestamp, { kind: "failed", code: event.code ?? "", message: event.data });
  } else {
    const { finishReason, model = null, usage = null, toolCalls = [], items = [] } = event;
    const isEmpty = !event.data && toolCalls.length === 0 && items.length === 0;
    const status = finishReason === "cancelled" ? "cancelled" : "completed";
    Object.assign(run, { usage, model });
    add(run, timestamp, { kind: "ended", status, finishReason, model, calls: toolCalls.length > 0, isEmpty });
  }
  lastOf(run).until = timestamp;
}

/** Return the present time by the service's clock. */
export const serverTime = (run, now = Date.now()) => now + run.clock;

/** Return how many tokens the model has counted and not shown: its reasoning, before the first piece. */
const hiddenTokens = ({ said, usage }) => (said.reasoning ? 0 : usage?.reasoningTokens ?? 0);

/** Return how many tokens an attempt, which is a step, has said: {tokens, isEstimated}. The model counts those
 * of an answer: where several attempts said it, each is given a part by the size of what it said. */
export function tokensOf(run, attempt) {
  const { said, usage } = run;
  if (usage === null || !said.attempts.includes(attempt)) {
    return { tokens: Math.ceil(attempt.bytes / BYTES_PER_TOKEN), isEstimated: true };
  }
  const tokens = Math.round(((usage.completionTokens - hiddenTokens(run)) * attempt.bytes) / said.bytes);
  return { tokens, isEstimated: usage.estimated === true || attempt.bytes < said.bytes };
}

/**
 * Return the numbers of a run at a time of the service's clock:
 * `duration`: milliseconds from its start to its end, or until now;
 * `firstToken`: those from its start to the first piece of the answer that counts, or null;
 * `tokens`: of that answer, reasoning and calls of tools included; `isEstimated`: whether they follow
 * from the text, since the model has told none, or not yet;
 * `prompt`, `reasoning` and `cached`: tokens by the model's own numbers, or null;
 * `rate`: tokens a second from the first to the last piece, pauses between attempts included, or null.
 */
export function numbers(run, now) {
  const { said, usage, beganAt, endedAt } = run;
  const estimated = Math.ceil(said.bytes / BYTES_PER_TOKEN);
  const tokens = usage?.completionTokens ?? estimated;
  const hidden = hiddenTokens(run);
  const written = said.lastAt - said.firstAt; // milliseconds
  const hasRate = said.firstAt !== null && written >= SHORTEST_RATE && tokens > hidden;
  return {
    duration: beganAt === null ? null : Math.max(0, (endedAt ?? now) - beganAt),
    firstToken: said.firstAt === null ? null : Math.max(0, said.firstAt - beganAt),
    tokens: usage !== null || estimated > 0 ? tokens : null,
    isEstimated: usage === null || usage.estimated === true,
    prompt: usage?.promptTokens ?? null,
    reasoning: usage?.reasoningTokens ?? null,
    cached: usage?.cachedTokens ?? null,
    rate: hasRate ? ((tokens - hidden) * 1_000) / written : null,
  };
}
