// The models that the service offers: the default one comes first.

import { getJson } from "./longtask.js";
import { apiKey } from "./remembered.js";

const MODELS = new URL("../v1/models", import.meta.url).href;

let names = [];
let demo = false;

/** Return the name of the model that answers where none is chosen, or "" while it is not known. */
export const defaultModel = () => names[0] ?? "";

/** Return the names of all of them. */
export const modelNames = () => names;

/** Whether the demo model answers. */
export const isDemo = () => demo;

/** Read the models with the API key that is stored now. Whether they are known then. */
export async function readModels() {
  try {
    const { data } = await getJson(MODELS, apiKey() ? { Authorization: `Bearer ${apiKey()}` } : {});
    names = data.map(({ id }) => id);
    demo = data.some(({ owned_by: owner }) => owner === "longtask");
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
