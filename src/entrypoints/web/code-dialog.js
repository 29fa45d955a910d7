// A request as code, in a dialog: a tab for each language.

import { asCode, isForOpenai } from "./as-code.js";
import { copy } from "./clipboard.js";
import { icon } from "./icons.js";
import { node } from "./nodes.js";
import { apiKey, keep } from "./remembered.js";
import { text } from "./texts.js";

const HOME = new URL("..", import.meta.url).href.replace(/\/$/, "");
const LANGUAGES = { curl: "curl", python: "Python", javascript: "JavaScript" };
const KEY = "longtask.code"; // the language that was shown last

/** Show a request as code. The API key is never in it: only the name of its variable. */
export function showCode(request) {
  const dialog = node("dialog", "as-code");
  const title = node("h2", "", text("codeWhat"));
  const close = node("button", "icon", icon("close"));
  const tabList = node("div", "run-tabs");
  const code = node("pre");
  const means = node("p", "hint");
  const copying = node("button", "primary", text("copy"));
  const hasKey = apiKey() !== "";
  let shown = "";

  const tabs = Object.entries(LANGUAGES).map(([name, label]) => {
    const tab = node("button", "", label);
    Object.assign(tab, { type: "button", role: "tab", id: `code-${name}` });
    tab.setAttribute("aria-controls", "code-shown");
    tab.addEventListener("click", () => choose(name));
    return [name, tab];
  });

  function choose(name) {
    keep(KEY, name);
    shown = asCode(name, request, { home: HOME, hasKey });
    code.textContent = shown;
    code.scrollTo(0, 0);
    code.setAttribute("aria-labelledby", `code-${name}`);
    for (const [each, tab] of tabs) {
      tab.setAttribute("aria-selected", String(each === name));
      tab.tabIndex = each === name ? 0 : -1;
    }
    const what = name === "curl" ? "codeCurl" : isForOpenai(request) ? "codeOpenai" : "codeNative";
    means.textContent = [text(what), hasKey && text("codeKey")].filter(Boolean).join(" ");
  }

  title.id = "code-title";
  dialog.setAttribute("aria-labelledby", title.id);
  Object.assign(code, { id: "code-shown", role: "tabpanel", tabIndex: 0, dir: "ltr" });
  Object.assign(tabList, { role: "tablist", ariaLabel: text("codeLanguage") });
  Object.assign(close, { type: "button", ariaLabel: text("close") });
  copying.type = "button";
  tabList.append(...tabs.map(([, tab]) => tab));
  tabList.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    const at = tabs.findIndex(([, tab]) => tab === document.activeElement);
    const [name, tab] = tabs.at((at + step) % tabs.length);
    choose(name);
    tab.focus();
    event.preventDefault();
  });
  close.addEventListener("click", () => dialog.close());
  copying.addEventListener("click", () => copy(shown, copying, "copy"));
  dialog.addEventListener("close", () => dialog.remove());
  dialog.append(node("div", "dialog-head", title, close), tabList, code, node("div", "actions", means, copying));
  document.body.append(dialog);
  const last = localStorage.getItem(KEY);
  choose(Object.hasOwn(LANGUAGES, last ?? "") ? last : "curl");
  dialog.showModal();
  tabs.find(([, tab]) => tab.tabIndex === 0)[1].focus();
}
