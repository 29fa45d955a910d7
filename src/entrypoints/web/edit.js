// Edit the prompt of the open task where it stands, and run it again: with the same model, options and
// attachments, going on from the same task. The task that was edited stays as it is.

import { node } from "./nodes.js";
import { attachmentOf, promptOf } from "./sent.js";
import { text } from "./texts.js";
import { isComposed, sends } from "./typing.js";

const $ = (id) => document.getElementById(id);

let editor = null; // the form, while there is one

/** Whether the last message of a request is one of the user, which can be edited. */
export const isEditable = (request) => request?.prompt !== undefined || request?.messages?.at(-1)?.role === "user";

/** Return a request with another text in its last message. Its attachments stay. */
function withText(request, prompt) {
  if (request.prompt !== undefined) return { ...request, prompt };
  const last = request.messages.at(-1);
  const kept = Array.isArray(last.content) ? last.content.filter((part) => attachmentOf(part) !== null) : [];
  const asked = prompt.trim() ? [{ type: "text", text: prompt }] : [];
  const content = kept.length > 0 ? [...kept, ...asked] : prompt;
  return { ...request, messages: [...request.messages.slice(0, -1), { ...last, content }] };
}

const isEmpty = (request) => (request.prompt ?? request.messages.at(-1).content).length === 0;

/** Let the user edit the text of a request. `start` starts the edited one, and returns whether it did. */
export function edit(request, start) {
  closeEditor();
  const field = node("textarea");
  const cancel = node("button", "quiet", text("editNot"));
  const submit = node("button", "primary", text("runAgain"));
  const buttons = node("div", "actions", cancel, submit);
  const means = node("p", "hint", text("editMeans"));
  const form = node("form", "editing", field, means, buttons);
  means.id = "edit-means";
  Object.assign(field, { value: promptOf(request), dir: "auto", ariaLabel: text("editPrompt") });
  field.setAttribute("aria-describedby", means.id);
  cancel.type = "button";
  cancel.addEventListener("click", () => closeEditor(true));
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !isComposed(event)) closeEditor(true);
    else if (event.target === field && sends(event)) form.requestSubmit();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const edited = withText(request, field.value.trim() ? field.value : "");
    if (isEmpty(edited)) return field.focus();
    submit.disabled = true;
    const isStarted = await start(edited);
    submit.disabled = false;
    if (isStarted && editor === form) closeEditor();
  });
  $("task-prompt").after(form);
  $("asked").classList.add("is-edited");
  editor = form;
  field.focus();
}

/** Edit no more. `byHand`: whether the focus goes back to where the editing began. */
export function closeEditor(byHand = false) {
  if (editor === null) return;
  editor.remove();
  editor = null;
  $("asked").classList.remove("is-edited");
  if (byHand) $("edit").focus();
}
