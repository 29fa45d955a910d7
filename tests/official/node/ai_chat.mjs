// A page of the AI SDK that talks with a model: tools, stop, regenerate, errors, a second tab.

import { lastAssistantMessageIsCompleteWithToolCalls as complete } from "ai";

import { api, bare, cutting, kept, Page, sdk, standard, textOf, visible, workflow } from "./ai_page.mjs";
import { run } from "./common.mjs";

const transports = { standard, workflow };
const LIMIT = 10; // of posts: a page that is asked for more posts for ever

const post = (path, body, headers) =>
  fetch(`${api}/${path}`, {
    method: "POST",
    headers: { ...(body && { "content-type": "application/json" }), ...headers },
    body: body && JSON.stringify(body),
  });

/** Wait until a page shows a text. */
async function shows(page, text) {
  while (!textOf(page.lastMessage).includes(text) && page.status !== "error")
    await new Promise((resolve) => setTimeout(resolve, 5));
}

const taskOf = (page) => page.lastMessage.metadata.taskId;

await run({
  /** Rounds of a tool until the model is done. Each post is cut after so many chunks, if it says so:
   * the page is then loaded again with what it had kept. */
  async rounds({ way, cut }) {
    const posts = [];
    const fetch = (input, init) => {
      if (init.method !== "POST") return globalThis.fetch(input, init);
      if (posts.push(JSON.parse(init.body)) > LIMIT) throw new Error("posts for ever");
      return cut === undefined ? globalThis.fetch(input, init) : cutting([cut])(input, init);
    };
    const ran = [];
    const open = (id, messages) => {
      const page = new Page({
        id,
        messages,
        transport: transports[way]({ fetch }),
        sendAutomaticallyWhen: ({ messages }) =>
          complete({ messages: messages.map((each) => ({ ...each, parts: visible(each.parts) })) }),
        onToolCall: ({ toolCall: { toolName: tool, toolCallId, input } }) => {
          ran.push(toolCallId);
          void page.addToolOutput({ tool, toolCallId, output: `20 degrees in ${input.city}` });
        },
      });
      return page;
    };
    let page = open();
    await page.sendMessage({ text: "How warm is it?" });
    let loads = 1;
    for (; page.status === "error" && loads < LIMIT; loads++) {
      page = open(page.id, kept(page.messages));
      await page.resumeStream();
    }
    return { told: page.told, posts: posts.length, ran, loads };
  },

  /** The model never ends its first answer. */
  async stops({ way, asks }) {
    const page = new Page({ transport: transports[way]() });
    const sent = page.sendMessage({ text: "Hi." });
    await shows(page, "Hel");
    const task = taskOf(page);
    await page.stop();
    await sent;
    const { told } = page;
    const stopped = [];
    for (const body of asks) {
      const given = body?.activeStreamId === "own" ? { activeStreamId: task } : body;
      stopped.push(await (await post(`${page.id}/stop`, given)).json());
    }
    await page.sendMessage({ text: "Go on." });
    const late = await (await post(`${page.id}/stop`, { activeStreamId: task })).json();
    return { task, told, stopped, late, after: page.told };
  },

  async regenerates({ way }) {
    const page = new Page({ transport: transports[way]() });
    await page.sendMessage({ text: "Hi." });
    const told = [page.told];
    for (let time = 0; time < 2; time++) {
      await page.regenerate();
      told.push(page.told);
    }
    const [{ id }] = page.messages;
    await page.sendMessage({ messageId: id, text: "Hello?" });
    return [...told, page.told];
  },

  async says({ way, body, chat }) {
    const page = new Page({ id: chat, transport: transports[way]({ body }) });
    await page.sendMessage({ text: "Hi." });
    return { told: page.told, seen: page.seen };
  },

  async resumesNothing({ way, initialStartIndex }) {
    const page = new Page({ transport: transports[way]({ initialStartIndex }) });
    await page.resumeStream();
    return page.told;
  },

  /** A second tab opens while the first one reads. */
  async twoTabs({ way }) {
    const first = new Page({ transport: transports[way]() });
    const sent = first.sendMessage({ text: "Hi." });
    await shows(first, "Hel");
    const second = new Page({
      id: first.id,
      messages: kept(first.messages.slice(0, 1)),
      transport: transports[way](),
    });
    await Promise.all([sent, second.resumeStream()]);
    return [first.told, second.told];
  },

  /** The transport as it is made without preparation: its requests have no content type. */
  async bare({ key, chat = "its-chat" }) {
    const types = new Set();
    let auth = {};
    if (key) {
      const asked = await post(`${chat}/token`, undefined, { authorization: `Bearer ${key}` });
      auth = { authorization: `Bearer ${(await asked.json()).token}` };
    }
    const fetch = (input, init) => {
      if (init.method === "POST") types.add(new Request(input, init).headers.get("content-type"));
      return globalThis.fetch(input, { ...init, headers: { ...init.headers, ...auth } });
    };
    const page = new Page({ id: chat, transport: bare({ fetch: cutting([4], { fetch }) }) });
    await page.sendMessage({ text: "Hi." }, { body: { id: chat, sdk } });
    const { told } = page;
    const asked = kept(page.messages.slice(0, 1));
    const again = new Page({ id: chat, messages: asked, transport: bare({ fetch }) });
    await again.resumeStream();
    const other = new Page({ id: "another", transport: bare({ fetch }) });
    await other.sendMessage({ text: "Hi." }, { body: { id: "another", sdk } });
    return { types: [...types], told, again: again.told, other: other.told };
  },
});
