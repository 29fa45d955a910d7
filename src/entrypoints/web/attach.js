// Images and files that go with a prompt, as parts of a message.

import { attachmentNode, attachmentOf, sizeOf } from "./sent.js";
import { text } from "./texts.js";

const LIMIT = 50_000_000; // bytes of a file that is read at all: the service accepts less, and says so
const IMAGES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);
const AUDIO = new Set(["wav", "mp3"]); // the formats, which are the endings of names too

const $ = (id) => document.getElementById(id);

let attached = []; // {part, name}

/** Return the parts of the files that are attached. */
export const attachedParts = () => attached.map(({ part }) => part);

export function detachAll() {
  attached = [];
  show();
}

/** Attach files. `refuse` is called with a sentence about one that cannot be. */
export async function attach(files, refuse) {
  for (const file of files) {
    if (file.size > LIMIT) {
      refuse(text("tooLarge", { name: file.name, size: sizeOf(file.size) }));
      continue;
    }
    try {
      attached.push({ part: await partOf(file), name: file.name });
    } catch {
      refuse(text("unreadable", { name: file.name })); // it was moved, or it is a folder
    }
  }
  show();
}

/** Return a file as the part that models take: UTF-8 text as text under its name, WAV and MP3 as audio,
 * anything else that is no image, such as a PDF, as a file. */
async function partOf(file) {
  if (IMAGES.has(file.type)) return { type: "image_url", image_url: { url: await dataUrl(file) } };
  const format = file.name.split(".").at(-1).toLowerCase();
  if (AUDIO.has(format)) {
    const url = await dataUrl(file);
    return { type: "input_audio", input_audio: { data: url.slice(url.indexOf(",") + 1), format } };
  }
  const content = file.type === "application/pdf" ? null : utf8(await file.arrayBuffer());
  if (content !== null) return { type: "text", text: `<file name="${escaped(file.name)}">\n${content}\n</file>` };
  return { type: "file", file: { filename: file.name, file_data: await dataUrl(file) } };
}

function utf8(bytes) {
  try {
    const content = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return content.includes("\0") ? null : content;
  } catch {
    return null;
  }
}

const escaped = (name) => name.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;").replaceAll("\n", " ");

function dataUrl(file) {
  const typed = file.type ? file : new Blob([file], { type: "application/octet-stream" });
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(typed);
  });
}

function show() {
  $("attached").replaceChildren(...attached.map((each) => {
    const item = document.createElement("li");
    const remove = document.createElement("button");
    remove.type = "button";
    remove.textContent = "×";
    remove.title = text("detach");
    remove.setAttribute("aria-label", `${text("detach")}: ${each.name}`);
    remove.addEventListener("click", () => {
      attached = attached.filter((other) => other !== each);
      show();
      $("attach").focus();
    });
    const shown = attachmentOf(each.part);
    item.append(attachmentNode({ ...shown, name: shown.image ? each.name : shown.name }), remove);
    return item;
  }));
  $("attached").hidden = attached.length === 0;
}
