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
  const asItIs = node("button", "quiet");
  const means = node("p", "hint", text("besideStart"));
  const form = node("form", "", means, field, found, none, node("div", "actions", asItIs, cancel));
  dialog.append(title, form);
  title.id = "choice-title";
  dialog.setAttribute("aria-labelledby", title.id);
  Object.assign(field, { type: "text", autocomplete: "off", spellcheck: false, maxLength: 200, placeholder: text("findModel"), ariaLabel: text("findModel") });
  form.className = "choice-form";
  cancel.type = asItIs.type = "button";

  const written = () => field.value.trim();
  function matches() {
    const wanted = written().toLowerCase();
    return modelNames().filter((name) => name.toLowerCase().includes(wanted)).slice(0, SHOWN);
  }
  function show() {
    const names = matches();
    found.replaceChildren(...names.map((name) => {
      const button = node("button", "", name, ...(taken.includes(name) ? [node("small", "", text("modelOfTask"))] : []));
      button.type = "button";
      button.addEventListener("click", () => dialog.close(name));
      return node("li", "", button);
    }));
    found.hidden = names.length === 0;
    none.hidden = names.length > 0 || written() === "";
    asItIs.hidden = written() === "" || names.includes(written());
    asItIs.textContent = text("useName", { model: written() });
  }
  field.addEventListener("input", show);
  cancel.addEventListener("click", () => dialog.close(""));
  asItIs.addEventListener("click", () => dialog.close(written()));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const names = matches();
    if (written()) dialog.close(names.includes(written()) ? written() : names[0] ?? written());
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
