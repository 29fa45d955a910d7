// What was used and what it cost: of a month or of 90 days, as bars by day, by model and by API key.

import * as api from "./api.js";
import { node } from "./nodes.js";
import { dayName, money, number, tokens } from "./times.js";
import { refusal, text } from "./texts.js";

const $ = (id) => document.getElementById(id);
const DAY = 86_400_000; // milliseconds
const DAYS = 90; // that the service keeps

const dialog = $("usage");

/** Return the first and the last day of a period, which are days of UTC, as the service writes them. */
export function span(period, now = new Date()) {
  const [year, month, today] = [now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate()];
  const day = (...parts) => new Date(Date.UTC(...parts)).toISOString().slice(0, 10);
  if (period === "last") return { from: day(year, month - 1, 1), to: day(year, month, 0) };
  if (period === "days") return { from: day(year, month, today - DAYS + 1), to: day(year, month, today) };
  return { from: day(year, month, 1), to: day(year, month + 1, 0) };
}

/** Open the dialog. */
function open() {
  dialog.showModal();
  show();
}

let asked = 0; // numbers the calls: only what the newest one gives is shown

async function show() {
  const [call, days] = [(asked += 1), span($("usage-period").value)];
  const part = $("usage-report");
  part.setAttribute("aria-busy", "true");
  let shown;
  try {
    const reports = await Promise.all(["model", "day", "owner"].map((by) => api.usage({ ...days, by })));
    shown = report(days, ...reports);
  } catch (error) {
    if (error.status === 401) return dialog.close(); // the page asks for a key
    shown = [node("p", "problem", fault(error))];
  }
  if (call !== asked) return;
  part.replaceChildren(...shown);
  part.removeAttribute("aria-busy");
}

const fault = (error) => (error instanceof api.Away ? text("usageAway") : text("refused", { detail: refusal(error) }));

/** Return what is shown of the reports by model, by day and by owner. */
function report(days, byModel, byDay, byOwner) {
  const { total, currency, unpriced = [] } = byModel;
  if (total.totalTokens === 0 && total.tasks === 0) return [node("p", "hint", text("usageNone"))];
  const owners = byOwner.rows.length > 1 ? [node("h3", "", text("usageOwners")), bars(byOwner.rows, "owner", currency)] : [];
  return [
    sum(total, currency),
    node("h3", "", text("usageDays")),
    columns(days, byDay.rows, currency),
    node("h3", "", text("usageModels")),
    bars(byModel.rows, "model", currency),
    ...owners,
    ...(unpriced.length > 0 ? [node("p", "hint", text("usageUnpriced", { models: unpriced.join(", ") }))] : []),
  ];
}

const costOf = (row, currency) => (row.cost === undefined ? "" : money({ amount: row.cost, currency }));

/** Return a number of tokens, and what they cost, in words. */
const wordsOf = (row, currency) => [text("tokens", { count: number(row.totalTokens) }), costOf(row, currency)].filter(Boolean).join(" · ");

function sum(total, currency) {
  const some = (name, count) => (count > 0 ? text(name, { count: number(count) }) : "");
  const facts = [
    text(total.tasks === 1 ? "usageTask" : "usageTasks", { count: number(total.tasks) }),
    text("usageRead", { count: number(total.inputTokens), cached: some("usageCached", total.cachedTokens) }),
    text("usageWritten", { count: number(total.outputTokens), reasoned: some("usageReasoned", total.reasoningTokens) }),
  ];
  const [first, second] = [costOf(total, currency), tokens(total.totalTokens, false)];
  return node("div", "usage-sum", node("strong", "", first || second), node("span", "hint", [...(first ? [second] : []), ...facts].join(" · ")));
}

/** Return a bar of a share of the largest value. The numbers stand beside it. */
function bar(share, side) {
  const filled = node("span", "usage-bar");
  filled.style[side] = `${Math.max(share > 0 ? 1 : 0, share * 100)}%`;
  return filled;
}

/** Return rows as bars that lie, the longest first. `word`: which of its fields names a row. */
function bars(rows, word, currency) {
  const most = Math.max(1, ...rows.map((row) => row.totalTokens));
  const sorted = rows.toSorted((one, other) => other.totalTokens - one.totalTokens);
  return node("ul", "usage-rows", ...sorted.map((row) => {
    const name = node("span", "name", row[word] ?? text("none"));
    name.dir = "auto";
    const line = node("li", "", name, node("span", "about", wordsOf(row, currency)), bar(row.totalTokens / most, "width"));
    line.title = row[word] ?? "";
    return line;
  }));
}

/** Return a column for each day of a period, also for those without use. */
function columns({ from, to }, rows, currency) {
  const used = new Map(rows.map((row) => [row.day, row]));
  const most = Math.max(1, ...rows.map((row) => row.totalTokens));
  const chart = node("ol", "usage-days");
  for (let time = Date.parse(from); time <= Date.parse(to); time += DAY) {
    const row = used.get(new Date(time).toISOString().slice(0, 10));
    const column = node("li", "");
    if (row !== undefined) {
      column.title = `${dayName(time)}: ${wordsOf(row, currency)}`;
      column.append(node("span", "unseen", column.title), bar(row.totalTokens / most, "height"));
    } else {
      column.ariaHidden = "true";
    }
    chart.append(column);
  }
  return node("div", "", chart, node("div", "usage-axis hint", node("span", "", dayName(Date.parse(from))), node("span", "", dayName(Date.parse(to)))));
}

$("usage-open").addEventListener("click", open);
$("usage-period").addEventListener("change", show);
$("usage-close").addEventListener("click", () => dialog.close());
