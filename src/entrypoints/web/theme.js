// The theme of the page: the system's, or the one that the user chose.

import { keep } from "./remembered.js";
import { text } from "./texts.js";

const button = document.getElementById("theme");
const THEME = "longtask.theme";

export function showTheme() {
  const chosen = localStorage.getItem(THEME);
  if (chosen) document.documentElement.dataset.theme = chosen;
  const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  button.textContent = text(dark ? "light" : "dark");
  button.setAttribute("aria-pressed", String(dark));
}
button.addEventListener("click", () => {
  const dark = button.getAttribute("aria-pressed") === "true";
  keep(THEME, dark ? "light" : "dark");
  showTheme();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);
