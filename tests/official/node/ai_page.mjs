// A page of the AI SDK: its chat and its two transports, of the version that is installed here.

import { createRequire } from "node:module";

import { AbstractChat, DefaultChatTransport } from "ai";

import { url } from "./common.mjs";

export const sdk = parseInt(createRequire(import.meta.url)("ai/package.json").version);
const { WorkflowChatTransport } = await import(sdk < 7 ? "@workflow/ai" : "@ai-sdk/workflow/client");

export const api = `${url}/api/chat`;
export const tools = [{ type: "function", function: { name: "look_up" } }];
console.error = console.warn = () => {}; // WorkflowChatTransport tells of each cut

/** What docs/ai-sdk.md has a page of version 5 or 6 show and store: no parts of lost attempts. */
export function visible(parts) {
  const out = [];
  for (const part of parts)
    if (part.type === "data-reset-step")
      while (out.length && out.at(-1).type !== "step-start") out.pop();
    else out.push(part);
  return out;
}

/** What a page keeps for its next load. Version 5 goes on with an unfinished tool part, twice. */
export function kept(messages) {
  const unfinished = (part) => sdk === 5 && part.state === "input-streaming" && part.toolCallId;
  return JSON.parse(JSON.stringify(messages)).map((message) => ({
    ...message,
    parts: visible(message.parts).filter((part) => !unfinished(part)),
  }));
}

export function standard(options = {}) {
  const { body, ...rest } = options;
  return new DefaultChatTransport({ api, body: { sdk, options: { tools }, ...body }, ...rest });
}

/** As it is made without any preparation of its requests. */
export const bare = (options) => new WorkflowChatTransport({ api, ...options });

/** It is told that a resumed stream begins anew. */
export function workflow({ body, headers, ...rest } = {}) {
  const transport = new WorkflowChatTransport({
    api,
    maxConsecutiveErrors: 1000,
    prepareSendMessagesRequest: ({ id, messages, trigger, messageId }) => ({
      body: { id, messages, trigger, messageId, sdk, options: { tools }, ...body },
      headers: { "Content-Type": "application/json", ...headers },
    }),
    prepareReconnectToStreamRequest: ({ api }) => ({ api, headers }),
    ...rest,
  });
  return Object.assign(transport, { resumeStreamIsReplay: true });
}

/** As @ai-sdk/react keeps it. */
class State {
  status = "ready";
  error = undefined;
  seen = [];
  constructor(messages) {
    this.messages = messages;
  }
  snapshot = (thing) => structuredClone(thing);
  pushMessage = (message) => this.#show([...this.messages, message]);
  popMessage = () => this.#show(this.messages.slice(0, -1));
  replaceMessage = (index, message) =>
    this.#show(this.messages.with(index, this.snapshot(message)));
  #show(messages) {
    this.messages = messages;
    this.seen.push(textOf(messages.at(-1)));
  }
}

/** A failed tool's input that is told again stands there as it was written, too. */
function plain({ rawInput, ...part }) {
  return part.state === "output-error" && part.input !== undefined ? part : { ...part, rawInput };
}

export const textOf = (message) =>
  visible(message?.parts ?? [])
    .filter((part) => part.type === "text")
    .map((part) => part.text)
    .join("|");

export class Page extends AbstractChat {
  /** The ids with which `onToolCall` was called. */
  calls;

  constructor({ messages = [], onToolCall, ...init }) {
    const calls = [];
    super({
      ...init,
      state: new State(structuredClone(messages)),
      onToolCall: (given) => {
        calls.push(given.toolCall.toolCallId);
        onToolCall?.(given);
      },
    });
    this.calls = calls;
  }

  /** The texts of the last message, as they were shown one after another. */
  get seen() {
    return this.state.seen;
  }

  get told() {
    const messages = this.messages.map((each) => ({ ...each, parts: visible(each.parts).map(plain) }));
    const { status, error } = this;
    return JSON.parse(JSON.stringify({ status, error: error?.message, messages }));
  }
}

async function* first(body, count, early) {
  let text = "";
  for await (const piece of body.pipeThrough(new TextDecoderStream())) {
    text += piece;
    for (let at; (at = text.indexOf("\n\n")) >= 0; text = text.slice(at + 2)) {
      if (count-- <= 0) {
        // What was read must have reached the page: a broken stream drops what is on its way.
        for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
        if (early) return;
        throw new TypeError("network error");
      }
      yield text.slice(0, at + 2);
    }
  }
}

/** A fetch whose first bodies are cut, each after so many chunks; `early`: as if they were whole. */
export function cutting(counts, { early = false, fetch = globalThis.fetch } = {}) {
  const left = [...counts];
  return async (input, init) => {
    const answer = await fetch(input, init);
    if (!left.length || !answer.ok) return answer;
    const chunks = first(answer.body, left.shift(), early);
    const body = ReadableStream.from(chunks).pipeThrough(new TextEncoderStream());
    return new Response(body, answer);
  };
}
