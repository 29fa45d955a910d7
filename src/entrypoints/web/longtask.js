// Follow a task of Longtask from any page, through every loss of the connection.
//
//   import { follow } from "https://longtask.example.org/web/longtask.js";
//   const end = await follow(started, { onText: (text) => { output.textContent = text; } });
//
// `started` is what POST /api/tasks/start returned. `onAnswer` and `end` have reasoning, tool calls and
// citations too. The module needs no build and no other file, finds the service by its own address, and
// runs in pages, workers and Node.

const HOME = new URL("..", import.meta.url).href;
const FIRST_PAUSE = 500; // milliseconds, as all below
const LONGEST_PAUSE = 8_000;
const LONGEST_ORDERED_PAUSE = 3_600_000; // Retry-After may ask for more than a timer can hold
const SILENCE = 60_000; // the service sends a comment every 15 s, so this connection is dead
const TICK = 2_000;
const REFUSALS = 8; // in a row, after which also those are final that another try could have mended

/** Why a task cannot be followed, or why it failed. */
export class LongtaskError extends Error {
  // `status`: that of a refusal; 0 if the task itself failed. `code`: what programs may compare, the code
  // of the task's error or the kind of the problem. `retryable`: whether a new task may succeed.
  constructor(message, { status = 0, code = "", retryable = false } = {}) {
    super(message);
    Object.assign(this, { name: "LongtaskError", status, code, retryable });
  }
}

/** Thrown inside this module where another try may help, after `pause` if the server asks for one. */
class Lost extends Error {
  constructor(message, { pause = 0, status = 0, code = "", cause } = {}) {
    super(message, { cause });
    Object.assign(this, { pause, status, code });
  }
}

/**
 * @typedef {{text: string, refusal: string, reasoning: string, annotations: object[], items: object[],
 *   toolCalls: {index: number, id: string, name: string, arguments: string}[]}} Answer what a model has
 *   said: all text, the part of it that refuses, and so on; `annotations` are notes about the text, such
 *   as citations, `items` what hosted tools did */
const EMPTY = Object.freeze({ text: "", refusal: "", reasoning: "", toolCalls: [], annotations: [], items: [] });

/** Return a new Answer with what an event adds or takes back, or the same one if that is nothing. */
export function added(answer = EMPTY, event) {
  const { type, data, refusal, annotations = [] } = event;
  if (type === "content") {
    const more = { text: answer.text + data, refusal: answer.refusal + (refusal ? data : "") };
    return { ...answer, ...more, annotations: [...answer.annotations, ...annotations] };
  }
  if (type === "reasoning") return { ...answer, reasoning: answer.reasoning + data };
  if (type === "tool_call") return { ...answer, toolCalls: withCall(answer.toolCalls, data) };
  if (type === "item") return { ...answer, items: [...answer.items, data] };
  // An attempt begins. It goes on with what the last one said only if it says so.
  if (type === "status" && data === "running" && !event.resumed) return EMPTY;
  if (type !== "end") return answer; // an event of tomorrow, perhaps
  const { reasoning = "", toolCalls = [], items = [] } = event; // what is empty is left out
  return { text: data, refusal: refusal ?? "", reasoning, toolCalls, annotations, items };
}

function withCall(calls, { index, id = "", name = "", arguments: more }) {
  const before = calls.find((call) => call.index === index) ?? { index, id, name: "", arguments: "" };
  const call = { ...before, name: before.name + name, arguments: before.arguments + more };
  return calls.filter((each) => each !== before).concat(call).sort((a, b) => a.index - b.index);
}

/**
 * @typedef {object} Options
 * @property {string} [key] an API key. A page for others has none: its tasks come with a `streamUrl`.
 * @property {(text: string) => void} [onText] is given the whole text so far whenever it changes. What
 *   an attempt said that was lost is no longer in it once the next attempt begins.
 * @property {(answer: Answer) => void} [onAnswer] is given all that the model said so far whenever it
 *   changes: text, reasoning, tool calls, refusal and annotations. Lost attempts are taken back likewise.
 * @property {(status: string, event: object) => void} [onStatus] is given each status, such as pending.
 * @property {(event: object, id: string) => void} [onEvent] is given every event, once and in order. The
 *   id is empty for `connected`, which every connection begins with.
 * @property {(state: "open" | "lost", cause?: Error) => void} [onConnection] A lost one is replaced by itself.
 * @property {() => string | Promise<string>} [renew] returns a fresh `streamUrl` when the last one has
 *   run out: from your own server, if the page has no key. The default asks the service.
 * @property {boolean} [pauseHidden] close the connection while the page is hidden, since a browser has
 *   only six for each host. What was missed comes as soon as the page is shown again.
 * @property {string} [service] the address of the service, if this module is not loaded from there.
 * @property {AbortSignal} [signal] stops following.
 */

/**
 * Follow a task to its end, and return its last event, `end`, filled up with the Answer: `data` is the
 * whole text, `valid` says whether it fits the schema that the request gave (null: none was given, or it
 * is not known). Connect again for as long as that may help, and go on behind the last event seen.
 *
 * Throws LongtaskError if the task failed, if the service does not know it, or if it refuses the
 * caller; the reason of `signal` if that was aborted; and what a callback throws, `renew` aside.
 *
 * @param {{taskId?: string, streamUrl?: string, error?: string, status?: unknown}} task the response to
 *   the start of the task, or its record, or only its id or only its link
 * @param {Options} [options]
 * @returns {Promise<Answer & {type: "end", data: string, valid: boolean | null, finishReason: string,
 *   usage: object | null, model: string | null}>}
 */
export async function follow(task, options = {}) {
  const { onText, onAnswer, onStatus, onEvent } = options;
  let [answer, shown, ended] = [EMPTY, EMPTY, null]; // `shown`: what the callbacks were given

  function take(event, id) {
    answer = added(answer, event);
    if (event.type === "end" || event.type === "error") ended = event;
    if (event.type === "status") onStatus?.(event.data, event);
    onEvent?.(event, id);
    return ended !== null;
  }

  function taken() {
    if (answer.text !== shown.text) onText?.(answer.text);
    if (answer !== shown) onAnswer?.(answer);
    shown = answer;
  }

  await receive(wayTo(task, options), { ...options, take, taken });
  if (ended.type === "error") throw new LongtaskError(ended.data, ended);
  return { valid: null, ...answer, ...ended };
}

/** Receive a stream of events, through every loss of the connection, until `take`, which is given each
 * event and its id, returns true. `taken` is called after each read. What `onConnection` returns is
 * awaited before the events of a connection. Throws as `follow` does. */
export async function receive(way, { take, taken, onConnection, pauseHidden = false, signal }) {
  let [last, over] = ["", false]; // `last`: the id of the last event
  let [tries, refusals] = [0, 0]; // since the connection was last open
  const isHidden = () => pauseHidden && globalThis.document?.hidden;

  /** Read one connection until it or the stream ends. */
  async function read() {
    const connection = new AbortController();
    const abort = () => connection.abort();
    let lastReceived = Date.now();
    const watching = setInterval(() => Date.now() - lastReceived > SILENCE && abort(), TICK);
    const once = { signal: connection.signal }; // what ends the connection ends the listeners
    signal?.addEventListener("abort", abort, once);
    globalThis.addEventListener?.("online", abort, once); // the old one went through a network that is gone
    globalThis.document?.addEventListener("visibilitychange", () => isHidden() && abort(), once);
    try {
      const response = await send(way.stream(last), way.headers, connection.signal);
      if (response.status !== 200 || !response.headers.get("content-type")?.startsWith("text/event-stream")) {
        throw new Lost("not a stream of events");
      }
      const reader = response.body.getReader();
      const parse = parser();
      while (!over) {
        const { done, value } = await orLost(reader.read());
        signal?.throwIfAborted();
        if (done) throw new Lost("the stream ended before its last event");
        lastReceived = Date.now();
        for (const [event, id] of parse(value)) {
          if (event?.type === "connected") {
            await onConnection?.("open");
            tries = refusals = 0;
          }
          last = id || last;
          over = event !== null && take(event, id) === true;
          if (over || signal?.aborted) break;
        }
        taken?.();
      }
    } catch (error) {
      if (!(error instanceof Lost && connection.signal.aborted)) throw error; // else we closed it, to open another
    } finally {
      clearInterval(watching);
      abort();
    }
  }

  /** Wait as long as it makes sense before the next try, or throw that none does. */
  async function afterLoss(lost) {
    onConnection?.("lost", lost);
    if (lost.status >= 400 && lost.status < 500 && lost.status !== 429) refusals += 1;
    if (refusals >= REFUSALS) throw new LongtaskError(lost.message, lost);
    if (lost.status === 401) {
      try {
        await way.renew(signal);
        if (refusals === 1) return; // the link had run out, and nothing is wrong
      } catch (error) {
        if (error.status === 401) throw new LongtaskError(lost.message, lost); // says why the link is not valid
        if (!(error instanceof Lost)) throw error;
        lost = error;
      }
    }
    const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** tries++);
    // At random, so that the clients of a service that was restarted do not come all at once.
    await wait(Math.max(lost.pause, pause * (0.5 + Math.random() / 2)), signal, lost.pause > 0 ? [] : ["online"]);
  }

  while (!over) {
    signal?.throwIfAborted();
    while (isHidden()) await wait(2 ** 31 - 1, signal, ["visibilitychange"]);
    try {
      await read();
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof Lost)) throw error;
      await afterLoss(error);
    }
  }
}

/** The addresses and headers with which a task is reached. */
function wayTo(task, { key = "", service = HOME, renew }) {
  if (!task.taskId && !task.streamUrl) {
    throw new LongtaskError(task.error ?? "follow() needs a taskId or a streamUrl.", { status: Number(task.status) || 0 });
  }
  const root = `${service.replace(/\/+$/, "")}/`;
  // A link may lack the path under which a proxy serves the service: what follows it is the same.
  const absolute = (link) => new URL(/^https?:/.test(link) ? link : link.slice(link.indexOf("api/tasks/")), root);
  const taskId = task.taskId ?? absolute(task.streamUrl).searchParams.get("taskId");
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  let link = task.streamUrl ?? `api/tasks/stream?${new URLSearchParams({ taskId })}`;
  return {
    headers,
    stream(last) {
      const url = absolute(link);
      if (last) url.searchParams.set("lastEventId", last); // in a header, it would cost a preflight request
      return url;
    },
    async renew(signal) {
      if (renew) {
        link = await orLost(Promise.resolve().then(renew));
        if (!link) throw new LongtaskError("The link to the stream has run out.", { status: 401 });
      } else {
        link = (await getJson(new URL(`api/tasks/${encodeURIComponent(taskId)}`, root), headers, signal)).streamUrl;
      }
    },
  };
}

/** Return the JSON at an address. Throws as `send` does. */
export const getJson = async (url, headers, signal) => orLost((await send(url, headers, signal)).json());

/** Make one GET. Throws Lost where another try may help, and LongtaskError where the service says no. */
async function send(url, headers, signal) {
  const response = await orLost(fetch(url, { headers, signal, cache: "no-store" }));
  if (response.ok) return response;
  const { status } = response;
  const ours = response.headers.get("content-type")?.startsWith("application/problem+json");
  const problem = ours ? await orLost(response.json()) : {};
  const [message, code] = [problem.error ?? `${status} ${response.statusText}`, problem.type?.split(":").at(-1)];
  // What is not ours is a proxy's, which answers even 404 while the service is away.
  if (ours && status < 500 && ![401, 408, 429].includes(status)) throw new LongtaskError(message, { status, code });
  throw new Lost(message, { status, code, pause: retryAfter(response) });
}

/** Return how many milliseconds to wait, as Retry-After has it: in seconds, or as a date. */
function retryAfter(response) {
  const value = response.headers.get("retry-after") ?? "";
  const pause = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now();
  return pause > 0 ? Math.min(pause, LONGEST_ORDERED_PAUSE) : 0;
}

const orLost = (promise) => promise.catch((cause) => {
  throw cause instanceof LongtaskError ? cause : new Lost(String(cause), { cause });
});

/** Return a function that turns the next bytes of a stream into pairs of an event and its id, of which
 * either may be missing. An event that a lost connection cut is never whole, so it is never returned. */
function parser() {
  const decoder = new TextDecoder();
  let [rest, id, data] = ["", "", ""];
  return function* parse(bytes) {
    const lines = decoder.decode(bytes, { stream: true }).split("\n");
    lines[0] = rest + lines[0];
    rest = lines.pop();
    for (const each of lines) {
      const line = each.endsWith("\r") ? each.slice(0, -1) : each;
      if (line.startsWith("id: ")) id = line.slice(4);
      else if (line.startsWith("data: ")) data = line.slice(6);
      if (line !== "") continue;
      let event = null; // a comment, or an id alone
      try {
        if (data !== "") event = JSON.parse(data);
      } catch (cause) {
        throw new Lost("an event that is no JSON", { cause });
      }
      yield [event, id];
      data = "";
    }
  };
}

/** Wait for a time, or for one of some events. Throws the reason of `signal`. */
function wait(milliseconds, signal, events) {
  return new Promise((resolve, reject) => {
    const over = new AbortController();
    const done = () => {
      clearTimeout(timer);
      over.abort(); // removes the listeners
      return signal?.aborted ? reject(signal.reason) : resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal?.addEventListener("abort", done, over); // `over` as options: those with its signal
    const targets = [globalThis, globalThis.document].filter((each) => each?.addEventListener);
    for (const target of targets) for (const each of events) target.addEventListener(each, done, over);
  });
}
