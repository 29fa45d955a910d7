// Lets the user choose a model: one of those that the service lists, or any by its name.

import { modelNames, readModels } from "./models.js";
import { node } from "./nodes.js";
import { text } from "./texts.js";

const SHOWN = 200; // models

/** Ask for a model, and return its name, or "" if the user wants none. `taken`: those that answer
 * already, which can be chosen too. */
export async function chooseModel(taken) {
  const dialog = node("dialog", "choice");
  const title = node("h2", "", text("beside"));
  const field = node("input");
  const found = node("ul");
  const none = node("p", "hint", text("noModelFound"));
  const cancel = node("button", "", text("close"));
  const means = node("p", "hint", text("besideStart"));
  const form = node("form", "", means, field, found, none, node("div", "actions", cancel));
  dialog.append(title, form);
  title.id = "choice-title";
  dialog.setAttribute("aria-labelledby", title.id);
  Object.assign(field, { type: "text", autocomplete: "off", spellcheck: false, maxLength: 200, placeholder: text("findModel"), ariaLabel: text("findModel") });
  form.className = "choice-form";
  cancel.type = "button";

  function show() {
    const wanted = field.value.trim().toLowerCase();
    const names = modelNames().filter((name) => name.toLowerCase().includes(wanted)).slice(0, SHOWN);
    found.replaceChildren(...names.map((name) => {
      const button = node("button", "", name, ...(taken.includes(name) ? [node("small", "", text("modelOfTask"))] : []));
      button.type = "button";
      button.addEventListener("click", () => dialog.close(name));
      return node("li", "", button);
    }));
    found.hidden = names.length === 0;
    none.hidden = names.length > 0 || wanted === "";
  }
  field.addEventListener("input", show);
  cancel.addEventListener("click", () => dialog.close(""));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (field.value.trim()) dialog.close(field.value.trim());
  });
  document.body.append(dialog);
  show();
  dialog.showModal();
  field.focus();
  readModels().then(show);
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    }, { once: true });
  });
}
