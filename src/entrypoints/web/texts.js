// The texts of the page in the chosen language. Each file in English and its Chinese one have the same names.

import chineseAgain from "./chinese-again.js";
import chineseCodes from "./chinese-codes.js";
import { PROBLEMS, faultInChinese } from "./chinese-problems.js";
import chineseRun from "./chinese-run.js";
import chineseTools from "./chinese-tools.js";
import chineseUsage from "./chinese-usage.js";
import chinese from "./chinese.js";
import englishAgain from "./english-again.js";
import englishCodes from "./english-codes.js";
import englishRun from "./english-run.js";
import englishTools from "./english-tools.js";
import englishUsage from "./english-usage.js";
import english from "./english.js";
import { keep } from "./remembered.js";
import { isGone, saysSomething } from "./state.js";

const TEXTS = {
  en: { ...english, ...englishRun, ...englishTools, ...englishUsage, ...englishAgain },
  zh: { ...chinese, ...chineseRun, ...chineseTools, ...chineseUsage, ...chineseAgain },
};
const CODES = { en: englishCodes, zh: chineseCodes };

// What the user can do about a failure, by its code.
const ADVICE = {
  invalid_api_key: "doKey",
  permission_denied: "doKey",
  insufficient_quota: "doQuota",
  model_not_found: "doModel",
  content_refused: "doContent",
  context_length_exceeded: "doShorter",
  answer_too_long: "doLonger",
  attempt_timeout: "doFaster",
  model_unreachable: "doAddress",
  wrong_address: "doAddress",
  redirected: "doAddress",
  queue_unavailable: "doQueue",
  deliveries_exhausted: "doQueue",
  forgotten: "doQueue",
};

const KEY = "longtask.language";
let language = localStorage.getItem(KEY) ?? (/^zh\b/i.test(navigator.language) ? "zh" : "en");

export function text(name, values = {}) {
  const sentence = TEXTS[language][name] ?? name;
  return sentence.replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);
}

/** Return whether a sentence is that text in any language. */
export const isText = (sentence, name) => Object.values(TEXTS).some((texts) => texts[name] === sentence);

/** Return a sentence about a code of a failure or of a lost attempt. What is not known is said as it is. */
export const reason = (code) => (Object.hasOwn(CODES[language], code) ? CODES[language][code] : code);

/** Return what an `error` event says: in English as the service does, else by its code. */
export function failure({ code, data }) {
  if (language === "en") return data;
  const isSpecific = code === "invalid_request" || !Object.hasOwn(CODES[language], code); // quotes the model's server
  return isSpecific ? `${reason(code)} ${data}` : reason(code);
}

const LABELS = { prompt: "promptLabel", model: "model", temperature: "temperature", maxTokens: "length", system: "system" };

/** Return what the service says of a call that it refused (a Refusal of api.js): in English as it does,
 * else by the kind of problem and the fields at fault. */
export function refusal({ message, kind, status, errors }) {
  if (language === "en") return message;
  if (kind === "invalid-request" && errors.length > 0) {
    const name = (field) => (Object.hasOwn(LABELS, field) ? text(LABELS[field]) : field);
    return errors.map((each) => `${name(each.field)}：${faultInChinese(each.message)}`).join("；");
  }
  if (!Object.hasOwn(PROBLEMS, kind)) return `HTTP ${status}（${message}）`;
  const [, limit] = /The limit is (\d+)/.exec(message) ?? [];
  return PROBLEMS[kind] + (limit ? text("limitIs", { limit }) : "");
}

export function advice(code, retryable) {
  const name = Object.hasOwn(ADVICE, code) ? ADVICE[code] : retryable ? "doLater" : "";
  return name && text(name);
}

/** Return the status of a task, by the connection to it and what its state says. */
export const statusText = (connection, status) => text(connection === "deleted" ? "wasDeleted" : isGone(connection) ? "unknown" : status);

/** Return a sentence about the attempt that was lost last, by the state of its task. */
export function lostNotice({ answer, lost: { attempt, reason: code, counts } }) {
  const name = !saysSomething(answer) ? "lostEmpty" : counts ? "lostWaiting" : "lost";
  return text(name, { attempt, reason: reason(code) });
}

/** Return a sentence about how a task ended: its `end` event. */
export function ending(end) {
  if (end.finishReason === "cancelled") return text("endCancelled");
  if (end.finishReason === "content_filter") return text("endFilter");
  if (end.finishReason === "length") {
    if (end.data) return text("endLength");
    const tokens = end.usage?.reasoningTokens;
    return text("endNoRoom", { spent: tokens ? text("endSpent", { tokens }) : "" });
  }
  if (end.toolCalls?.length > 0) return text("endCalls");
  if (!end.data && !end.items?.length) return text("endEmpty");
  if (!end.usage) return "";
  const { estimated, promptTokens, completionTokens } = end.usage;
  return text(estimated ? "endAbout" : "endDone", { model: end.model, read: promptTokens, written: completionTokens });
}

export function otherLanguage() {
  language = language === "zh" ? "en" : "zh";
  keep(KEY, language);
}

/** The language of the page, as Intl names it. */
export const locale = () => (language === "zh" ? "zh-CN" : "en");

/** Set the texts of all marked elements in the current language. */
export function translate() {
  document.documentElement.lang = locale();
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = text(node.dataset.text);
  for (const node of document.querySelectorAll("[data-placeholder]")) node.placeholder = text(node.dataset.placeholder);
  for (const node of document.querySelectorAll("[data-label]")) node.setAttribute("aria-label", text(node.dataset.label, node.dataset));
  for (const node of document.querySelectorAll("[data-title]")) node.title = text(node.dataset.title);
  const button = document.getElementById("language");
  button.textContent = language === "zh" ? "English" : "中文";
  button.lang = language === "zh" ? "en" : "zh";
}
