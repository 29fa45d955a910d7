// The examples of an empty page. Each of them runs with any model.

import { isDemo } from "./models.js";
import { text } from "./texts.js";

const EXAMPLES = [
  { name: "explain", demoOptions: { reasoning_effort: "low" } }, // a server refuses it for many models
  { name: "table" },
  { name: "code" },
];

/** Show the examples in the current language. `start` starts a request. */
export function showExamples(start) {
  document.getElementById("examples").replaceChildren(...EXAMPLES.map(({ name, demoOptions }) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    const title = document.createElement("b");
    const prompt = document.createElement("span");
    button.type = "button";
    title.textContent = text(`${name}Title`);
    prompt.textContent = text(`${name}Prompt`);
    button.append(title, prompt);
    button.addEventListener("click", () => {
      const model = document.getElementById("model").value.trim();
      const options = isDemo() ? demoOptions : undefined;
      start({ prompt: prompt.textContent, ...(model && { model }), ...(options && { options }) });
    });
    item.append(button);
    return item;
  }));
}
