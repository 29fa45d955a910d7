// Show what was sent: the prompt, images and files, and the conversation before it.
//
// An image comes with the request as a `data:` URL, or is a link: to load it from its server would tell
// that server who reads.

import { anchor } from "./inline.js";
import { Markdown } from "./markdown.js";
import { breakable } from "./plain.js";
import { isText, text } from "./texts.js";

const SHOWN = 20; // attachments, and messages of the conversation
const MESSAGE_LIMIT = 2_000; // characters of a message of the conversation
const CLIPPED = { characters: 700, lines: 8 }; // a prompt that is longer is shown whole if that is wanted
const IMAGES = /^data:image\/(?:png|jpeg|gif|webp);base64,/i;
const FILE = /^<file name="([^"\n]*)">\n/;

const $ = (id) => document.getElementById(id);

/** Return a link to another server, or null unless the URL is of http or https. */
export function webLink(url, name) {
  const node = anchor(url, breakable(name));
  return node !== null && /^https?:$/.test(node.protocol) ? node : null;
}

const partsOf = (message) => (Array.isArray(message?.content) ? message.content.filter((part) => part?.type) : []);

/** Return what a message says, without its images and files. */
function textOf(message) {
  if (typeof message?.content === "string") return message.content;
  const texts = partsOf(message).filter((part) => part.type === "text" && !FILE.test(part.text));
  return texts.map((part) => part.text).join("\n\n");
}

/** Return what a request asks, without its images and files. */
export const promptOf = (request) => request.prompt ?? textOf(request.messages?.at(-1));

/** Return a number of bytes for people. */
export function sizeOf(bytes) {
  return bytes < 1_000 ? `${bytes} B` : bytes < 1_000_000 ? `${Math.ceil(bytes / 1_000)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

const sizeOfBase64 = (data) => sizeOf(Math.floor(((data.replace(/=+$/, "").length - data.indexOf(",") - 1) * 3) / 4));

/** Return what a part of a message is, for people, as {image} or {url, name} or {name}; null for text. */
export function attachmentOf(part) {
  switch (part.type) {
    case "text": {
      const file = FILE.exec(part.text);
      return file && { name: `${unescaped(file[1])} (${sizeOf(part.text.length - file[0].length - "\n</file>".length)})` };
    }
    case "image_url": {
      const url = String(part.image_url?.url ?? part.image_url ?? "");
      if (IMAGES.test(url)) return { image: url, name: text("image") };
      return url.startsWith("data:") ? { name: `${text("image")} (${sizeOfBase64(url)})` } : { url, name: url };
    }
    case "input_audio":
      return { name: `${text("audio")} (${sizeOfBase64(String(part.input_audio?.data))})` };
    case "file": {
      const { filename, file_data: data, file_id: id } = part.file ?? {};
      return { name: `${filename ?? id ?? text("file")}${data ? ` (${sizeOfBase64(data)})` : ""}` };
    }
    default:
      return { name: part.type };
  }
}

const unescaped = (name) => name.replaceAll("&quot;", '"').replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&#x27;", "'").replaceAll("&amp;", "&");

/** Return an element that shows an attachment. */
export function attachmentNode({ image, url, name }) {
  if (image !== undefined) {
    const node = document.createElement("img");
    node.src = image;
    node.alt = name;
    return node;
  }
  const node = document.createElement("span");
  node.className = "file";
  node.append(webLink(url ?? "", name.slice(0, 200)) ?? name.slice(0, 200));
  return node;
}

/** Show a request, or that it is not known yet (null). */
export function showSent(request) {
  const prompt = request === null ? "…" : promptOf(request);
  $("task-prompt").replaceChildren(...breakable(prompt));
  const isLong = prompt.length > CLIPPED.characters || prompt.split("\n", CLIPPED.lines + 1).length > CLIPPED.lines;
  $("whole-prompt").hidden = !isLong;
  showWhole(!isLong);
  showAttachments(partsOf(request?.messages?.at(-1)).map(attachmentOf).filter(Boolean));
  const system = request?.system ? [{ role: "system", content: request.system }] : [];
  showConversation([...system, ...(request?.history ?? []), ...(request?.messages?.slice(0, -1) ?? [])], request?.previousTaskId, isText(prompt, "goOnPrompt"));
}

function showWhole(whole) {
  $("task-prompt").classList.toggle("clipped", !whole);
  $("whole-prompt").setAttribute("aria-expanded", String(whole));
  $("whole-prompt").textContent = text(whole ? "showLess" : "showAll");
}
$("whole-prompt").addEventListener("click", () => showWhole($("task-prompt").classList.contains("clipped")));

function showAttachments(attachments) {
  const items = attachments.slice(0, SHOWN).map((each) => item(attachmentNode(each)));
  if (attachments.length > SHOWN) items.push(item(text("more", { count: attachments.length - SHOWN })));
  $("sent").replaceChildren(...items);
  $("sent").hidden = items.length === 0;
}

/** `continues`: whether the task goes on in the middle of an answer: then that is in view. */
function showConversation(messages, previous, continues) {
  $("before").hidden = messages.length === 0 && !previous;
  $("before-title").textContent = text(messages.length === 1 ? "oneBefore" : "before", { count: messages.length });
  const items = messages.slice(-SHOWN).map((each) => messageNode(each, continues));
  if (continues) $("before").open = true;
  if (messages.length > SHOWN) items.unshift(item(text("earlier", { count: messages.length - SHOWN })));
  $("before-list").replaceChildren(...items);
  $("previous").hidden = !previous;
  $("previous").href = `#${encodeURIComponent(previous ?? "")}`;
}

/** Return an item that shows an earlier message: what the model said as Markdown, anything else as text.
 * `end`: whether the end counts of one that is too long, and not its beginning. */
function messageNode(message, end) {
  const role = document.createElement("b");
  role.textContent = `${message.role}: `;
  const attached = partsOf(message).map(attachmentOf).filter(Boolean).map(({ name }) => `[${name}]`);
  const calls = (message.tool_calls ?? []).map(({ function: tool }) => `${tool?.name}(${tool?.arguments})`);
  const said = [textOf(message), ...attached, ...calls].filter(Boolean).join(" ");
  const cut = () => (end ? `…${said.slice(-MESSAGE_LIMIT)}` : `${said.slice(0, MESSAGE_LIMIT)}…`);
  const shown = said.length > MESSAGE_LIMIT ? cut() : said;
  const body = document.createElement("div");
  const isAnswer = message.role === "assistant" && calls.length === 0;
  if (isAnswer) new Markdown(body).append(shown);
  else body.append(...breakable(shown));
  body.className = isAnswer ? "answer" : message.role === "user" ? "said" : "";
  body.dir = "auto";
  const node = item(role, body);
  node.dataset.role = message.role;
  return node;
}

function item(...content) {
  const node = document.createElement("li");
  node.append(...content);
  return node;
}
