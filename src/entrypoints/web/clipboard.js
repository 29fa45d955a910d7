// Copy a text, and say so.

import { text } from "./texts.js";

const SHOWN = 1_500; // milliseconds
const $ = (id) => document.getElementById(id);

let hiding = 0;

async function write(content) {
  try {
    await navigator.clipboard.writeText(content);
  } catch {
    // Without https there is no clipboard API: use the older way.
    const area = document.createElement("textarea");
    area.value = content;
    area.className = "unseen";
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

/** Copy, and say so on the button. `label` is the name of its text, which is restored after a moment. */
export async function copy(content, button, label) {
  await write(content);
  button.textContent = text("copied");
  $("announcer").textContent = text("copied");
  setTimeout(() => (button.textContent = text(label)), SHOWN);
}

/** Copy, and say so at the bottom of the page: for an entry of a menu, which has gone by then. */
export async function copyAndSay(content) {
  await write(content);
  say(text("copied"));
}

/** Say something for a moment, also to a screen reader. */
export function say(sentence) {
  $("announcer").textContent = sentence;
  $("toast").textContent = sentence;
  $("toast").hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => ($("toast").hidden = true), Math.max(SHOWN, 60 * sentence.length));
}
