// The page: which view of which user is open, kept up to date while it is looked at.

import { call, useToken, users } from "./api.js";
import { button, node, tick } from "./nodes.js";
import { setup } from "./setup.js";
import { Table } from "./table.js";
import { VIEWS } from "./views.js";

const PAUSE = 1_000; // milliseconds between two looks
const SETUP = "setup";
const STATES = ["", "CREATED", "ACTIVE", "IN_PROGRESS", "RETRY", "ERROR", "DELIVERED", "FAILED", "CANCEL_REQUESTED", "CANCELED"];

const at = (id) => document.getElementById(id);
let people = [];
let user = null;
let name = ""; // of the view
let table = null;
let wanted = {}; // filters and cursor
let looks = 0; // what an older look finds is not shown
let seen = ""; // what of the log is shown: it is read again only if there is more
let isBehind = false; // the last look has failed
let looking = null; // the newest look

function route() {
  const [view, messageId = ""] = location.hash.slice(1).split("/");
  const before = name;
  name = view in VIEWS || view === SETUP ? view : "messages";
  wanted = { messageId: decoded(messageId), state: name === before ? (wanted.state ?? "") : "" };
  open();
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

/** Show the view anew. */
function open() {
  const view = VIEWS[name];
  const title = view?.title ?? "Setup";
  at("title").textContent = title;
  document.title = `${title} · Local QStash`;
  for (const link of at("views").querySelectorAll("a")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  at("views").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  at("filter").hidden = !view?.filtered;
  at("message").value = wanted.messageId;
  at("state").value = wanted.state;
  at("tools").replaceChildren(...Object.entries(view?.all ?? {}).map(([act, { text }]) => button(text, act, { "data-all": "", disabled: true })));
  table = view ? new Table(view) : null;
  seen = "";
  at("content").replaceChildren();
  at("loading").hidden = false;
  at("why").hidden = true;
  at("empty").hidden = true;
  at("note").hidden = true;
  at("paging").hidden = true;
  look();
}

/** Show other items of the view. */
function change(wishes) {
  wanted = { ...wanted, ...wishes };
  at("view").setAttribute("aria-busy", "true");
  look();
}

/** Bring what is shown up to date. */
function look() {
  looking = update();
  return looking;
}

async function update() {
  const mine = ++looks;
  const view = VIEWS[name];
  try {
    if (!view) {
      if (at("content").childElementCount > 0) return connected(Boolean(await call("GET", "/page/counts")));
      const sections = await setup(user);
      if (mine === looks) at("content").replaceChildren(node("div", { className: "setup" }, ...sections));
      return connected(true);
    }
    const counts = await call("GET", "/page/counts");
    const log = view.filtered ? `${counts.newest} ${JSON.stringify(wanted)}` : "";
    if (!log || log !== seen) {
      const { items, cursor, count } = await view.load(wanted);
      if (mine !== looks) return;
      seen = log;
      show(view, items, cursor, count);
    }
    if (mine !== looks) return;
    tick();
    for (const [of, count] of Object.entries(counts)) {
      const shown = at(`count-${of}`);
      if (shown) shown.textContent = count ? count.toLocaleString() : "";
    }
    connected(true);
  } catch (error) {
    if (mine !== looks) return;
    tick();
    connected(false, error.message);
  }
}

function show(view, items, cursor, count = 0) {
  table.update(items);
  if (items.length > 0 && !table.element.isConnected) at("content").replaceChildren(table.element);
  if (items.length === 0) table.element.remove();
  at("empty").hidden = items.length > 0;
  at("empty").textContent = view.empty;
  at("note").hidden = count <= items.length;
  at("note").textContent = `The first ${items.length} of ${count.toLocaleString()}`;
  for (const each of at("tools").children) each.disabled = items.length === 0;
  at("paging").hidden = !cursor && !wanted.cursor;
  at("older").hidden = !cursor;
  at("older").value = cursor ?? "";
  at("newest").hidden = !wanted.cursor;
}

/** Say whether what is shown is all that there is. */
function connected(is, why = "") {
  isBehind = !is;
  if (is) at("loading").hidden = true;
  at("view").removeAttribute("aria-busy");
  const shown = at("connection");
  const text = is ? (wanted.cursor ? "Older" : "Live") : "Not up to date";
  if (shown.textContent !== text) shown.textContent = text;
  shown.dataset.tone = is ? "good" : "bad";
  at("why").textContent = why;
  at("why").hidden = !why;
}

/** Look again and again, but not while the page is hidden, and not at older entries, which stay as they are. */
async function keepLooking() {
  for (;;) {
    await pause();
    while (document.hidden) await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
    await looking;
    if (wanted.cursor && !isBehind) tick();
    else await look();
  }
}

function pause() {
  return new Promise((resolve) => setTimeout(resolve, PAUSE));
}

async function act(pressed) {
  const row = pressed.closest("tr.row");
  const item = row && table.item(row.dataset.key);
  if (pressed.dataset.act === "open") return table.toggle(row.dataset.key);
  const isAll = "all" in pressed.dataset;
  const action = (isAll ? VIEWS[name].all : VIEWS[name]?.actions)?.[pressed.dataset.act];
  if (!action) return;
  const question = isAll ? action.sure : action.sure?.(item);
  if (question && !(await isSure(question, pressed.textContent))) return;
  const next = row?.nextElementSibling ?? row?.previousElementSibling;
  pressed.disabled = true;
  try {
    await call(...(isAll ? action.path : action.path(item)));
    say(action.said ?? "Done.");
  } catch (error) {
    say(error.message);
  } finally {
    pressed.disabled = false;
    await look();
    // The button may be gone, and its row. A disabled one has lost the focus.
    const near = [row, next].find((each) => each?.isConnected);
    const focusable = near?.querySelector(".acts button") ?? near?.querySelector("button");
    if (document.activeElement === document.body) (focusable ?? at("view")).focus({ preventScroll: true });
  }
}

function isSure(question, yes) {
  const dialog = at("sure");
  at("sure-what").textContent = question;
  at("sure-yes").textContent = yes;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

let silence = 0;
function say(text) {
  at("said").textContent = text;
  at("said").hidden = false;
  clearTimeout(silence);
  silence = setTimeout(() => (at("said").hidden = true), 4_000);
}

function choose(chosen) {
  user = people.find((each) => each.name === chosen) ?? people[0];
  useToken(user.token);
  sessionStorage.setItem("user", user.name);
  at("user").value = user.name;
}

async function found() {
  for (;;) {
    try {
      return await users();
    } catch (error) {
      connected(false, error.message);
      await pause();
    }
  }
}

async function begin() {
  for (const [id, title] of [...Object.entries(VIEWS).map(([id, view]) => [id, view.title]), [SETUP, "Setup"]]) {
    at("views").append(node("li", {}, node("a", { href: `./#${id}` }, title, node("span", { className: "count", id: `count-${id}` }))));
  }
  at("state").append(...STATES.map((each) => node("option", { value: each }, each || "all")));
  people = await found();
  at("user").append(...people.map((each) => node("option", {}, each.name)));
  choose(sessionStorage.getItem("user"));

  at("user").addEventListener("change", () => {
    choose(at("user").value);
    wanted.cursor = undefined;
    open();
  });
  at("filter").addEventListener("submit", (event) => event.preventDefault());
  at("state").addEventListener("change", () => {
    change({ state: at("state").value, cursor: undefined });
  });
  at("message").addEventListener("change", () => {
    const id = at("message").value.trim();
    location.hash = id ? `log/${encodeURIComponent(id)}` : "log";
  });
  for (const id of ["older", "newest"]) {
    at(id).addEventListener("click", () => {
      change({ cursor: at(id).value });
      at("newest").hidden = !wanted.cursor; // though the look may fail
      at("view").focus();
      scrollTo(0, 0);
    });
  }
  document.addEventListener("click", (event) => {
    const pressed = event.target.closest("a, button, select, input");
    const row = event.target.closest("tr.opens");
    if (pressed?.dataset.act) act(pressed);
    else if (row && !pressed && !String(getSelection())) table.toggle(row.dataset.key);
  });
  addEventListener("hashchange", route);
  route();
  keepLooking();
}

begin();
