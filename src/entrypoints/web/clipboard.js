// Copy a text, and say so on the button and to a screen reader.

import { text } from "./texts.js";

/** `label` is the name of the button's text, which is restored after a moment. */
export async function copy(content, button, label) {
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
  button.textContent = text("copied");
  document.getElementById("announcer").textContent = text("copied");
  setTimeout(() => (button.textContent = text(label)), 1_500);
}
