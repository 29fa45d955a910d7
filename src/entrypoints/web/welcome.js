// The examples of an empty page. Each of them runs: with the demo model too, which shows by them how
// reasoning and data arrive.

import { text } from "./texts.js";

const EXAMPLES = [
  { name: "explain", options: { reasoning_effort: "low" } },
  { name: "table" },
  { name: "code" },
];

/** Show the examples in the current language. `start` starts a request. */
export function showExamples(start) {
  document.getElementById("examples").replaceChildren(...EXAMPLES.map(({ name, options }) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    const title = document.createElement("b");
    const prompt = document.createElement("span");
    button.type = "button";
    title.textContent = text(`${name}Title`);
    prompt.textContent = text(`${name}Prompt`);
    button.append(title, prompt);
    button.addEventListener("click", () => start({ prompt: prompt.textContent, ...(options && { options }) }));
    item.append(button);
    return item;
  }));
}
