// The models that the service offers: the default one comes first.

import { getJson } from "./longtask.js";
import { apiKey } from "./remembered.js";
import { text } from "./texts.js";

const MODELS = new URL("../v1/models", import.meta.url).href;

let names = [];
let demo = null; // the name of the demo model, if that answers

/** Return the name of the model that answers where none is chosen, or "" while it is not known. */
export const defaultModel = () => names[0] ?? "";

/** Return how a task names its model. Where the demo answers, it does for the default model too. */
export function modelLabel(name) {
  if (!demo || (name !== names[0] && name !== demo)) return name;
  return text("demoModel");
}

/** Return the names of all of them. */
export const modelNames = () => names;

/** Whether the demo model answers. */
export const isDemo = () => demo !== null;

/** Read the models with the API key that is stored now. Whether they are known then. */
export async function readModels() {
  try {
    const { data } = await getJson(MODELS, apiKey() ? { Authorization: `Bearer ${apiKey()}` } : {});
    names = data.map(({ id }) => id);
    demo = data.find(({ owned_by: owner }) => owner === "longtask")?.id ?? null;
    return true;
  } catch {
    return false; // any name can be written, and the list of tasks says what is wrong
  }
}

/** Return an element with the choices of a field. */
export function choices() {
  return names.map((name) => {
    const option = document.createElement("option");
    option.value = name;
    return option;
  });
}
