// The form of a new task.

import { keepDraft } from "./remembered.js";
import { text } from "./texts.js";

const $ = (id) => document.getElementById(id);

/** Return the number in a field, undefined if it is empty, or NaN if it is none from `min` to `max`. */
function numberIn(field, min, max) {
  const number = field.valueAsNumber;
  if (Number.isNaN(number) && !field.validity.badInput) return undefined;
  return number >= min && number <= max ? number : NaN;
}

/** Return the request, or null after showing what is wrong with it. */
export function requestOfForm() {
  const prompt = $("prompt").value;
  const temperature = numberIn($("temperature"), 0, 2);
  const maxTokens = numberIn($("length"), 1, 128_000);
  if (!prompt.trim()) {
    showProblem(text("emptyPrompt"));
    $("prompt").focus();
    return null;
  }
  if (Number.isNaN(temperature) || Number.isNaN(maxTokens)) {
    showProblem(text("badNumber"));
    return null;
  }
  const model = $("model").value.trim();
  return {
    prompt,
    ...(model && { model }),
    ...(temperature !== undefined && { temperature }),
    ...(maxTokens !== undefined && { maxTokens: Math.round(maxTokens) }),
  };
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
