// Show what hosted tools did (searches, code, pictures): a line for each output item of the model's
// server, in their order.

import { webLink } from "./sent.js";
import { text } from "./texts.js";

const LIMIT = 200; // items that are shown
const SHOWN = 300; // characters of a line
const FORMATS = new Set(["png", "jpeg", "webp"]);
const BASE64 = /^[A-Za-z0-9+/=\s]+$/;

/** Return what an item did, as the name of a text and what stands behind it. */
function told(item) {
  const joined = (values) => (Array.isArray(values) ? values.join(", ") : "");
  const { action = {} } = item;
  switch (item.type) {
    case "web_search_call":
      if (action?.url) return ["itemPage", String(action.url)];
      return ["itemSearch", joined(action?.queries) || String(action?.query ?? "")];
    case "file_search_call":
      return ["itemFiles", joined(item.queries)];
    case "code_interpreter_call":
      return ["itemCode", String(item.code ?? "")];
    case "image_generation_call":
      return ["itemPicture", String(item.revised_prompt ?? "")];
    case "mcp_list_tools":
      return ["itemTools", String(item.server_label ?? "")];
    case "mcp_call":
      return ["itemCall", `${item.server_label}: ${item.name}`];
    default:
      return ["itemOther", String(item.type)];
  }
}

/** Return the picture that an item made, or null. */
function picture({ type, result, output_format: format }) {
  if (type !== "image_generation_call" || typeof result !== "string" || !BASE64.test(result)) return null;
  const node = document.createElement("img");
  node.src = `data:image/${FORMATS.has(format) ? format : "png"};base64,${result}`;
  node.alt = ""; // the line that it stands in says what it is
  return node;
}

function line(item) {
  const [name, rest] = told(item);
  const shown = rest.length > SHOWN ? `${rest.slice(0, SHOWN)}…` : rest;
  const node = document.createElement("li");
  const label = document.createElement("span");
  label.dataset.text = name;
  label.textContent = text(name);
  node.append(label, " ", webLink(name === "itemPage" ? rest : "", shown) ?? shown);
  if (item.error || item.status === "failed") {
    const failed = document.createElement("em");
    failed.dataset.text = "failed";
    failed.textContent = text("failed");
    node.append(" ", failed);
  }
  const image = picture(item);
  if (image !== null) node.append(image);
  return node;
}

export class Items {
  #root;
  #shown = []; // the items that have a line

  constructor(root) {
    this.#root = root;
  }

  /** Show the items of an answer. Those that are shown already stay as they are. */
  show(items) {
    if (items === this.#shown) return;
    const grown = this.#shown.length <= items.length && this.#shown.every(({ id, type }, n) => id === items[n].id && type === items[n].type);
    if (!grown) this.#root.replaceChildren();
    for (const item of items.slice(this.#root.children.length, LIMIT)) this.#root.append(line(item));
    if (items.length > LIMIT) {
      if (this.#root.children.length === LIMIT) this.#root.append(document.createElement("li"));
      this.#root.lastElementChild.textContent = text("more", { count: items.length - LIMIT });
    }
    this.#root.hidden = items.length === 0;
    this.#shown = items;
  }
}
