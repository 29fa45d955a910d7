// The form of a new task.

import { keepDraft } from "./remembered.js";
import { text } from "./texts.js";

const $ = (id) => document.getElementById(id);

/** Return the request, or null after showing what is wrong with it. */
export function requestOfForm() {
  const prompt = $("prompt").value;
  const temperature = $("temperature").valueAsNumber;
  const maxTokens = $("length").valueAsNumber;
  if (!prompt.trim()) {
    showProblem(text("emptyPrompt"));
    $("prompt").focus();
    return null;
  }
  if (!(temperature >= 0 && temperature <= 2 && maxTokens >= 1 && maxTokens <= 128_000)) {
    showProblem(text("badNumber"));
    return null;
  }
  const model = $("model").value.trim();
  return { prompt, temperature, maxTokens: Math.round(maxTokens), ...(model && { model }) };
}

/** Show an error at the form, or none for an empty sentence. */
export function showProblem(sentence) {
  $("start-error").textContent = sentence;
  $("start-error").hidden = !sentence;
}

$("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("start").requestSubmit();
});
$("prompt").addEventListener("input", () => keepDraft($("prompt").value));
