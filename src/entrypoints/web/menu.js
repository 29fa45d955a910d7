// A menu of actions under a button. There is one, in the top layer of the page.

import { icon } from "./icons.js";
import { text } from "./texts.js";

const GAP = 4; // pixels
const menu = document.getElementById("menu");

let owner = null; // the button that the menu belongs to

/** Open the menu of a button, or close it if it is open. `entries`: {name, act, danger}, where `name` is
 * that of a text, or null for a line between groups. */
export function toggleMenu(button, entries) {
  const wasOpen = owner === button;
  if (menu.matches(":popover-open")) menu.hidePopover();
  if (wasOpen) return;
  menu.replaceChildren(...entries.map((entry) => (entry === null ? document.createElement("hr") : item(entry))));
  menu.setAttribute("aria-label", button.getAttribute("aria-label") ?? button.textContent.trim());
  button.closest("aside, header, main").append(menu); // what else is inert while the drawer is open
  owner = button;
  button.setAttribute("aria-expanded", "true");
  menu.showPopover();
  place(button.getBoundingClientRect());
  menu.querySelector("button").focus();
}

function item({ name, act, danger }) {
  const node = document.createElement("button");
  node.type = "button";
  node.role = "menuitem";
  node.tabIndex = -1;
  node.dataset.do = name;
  node.className = danger ? "danger" : "";
  node.textContent = text(name);
  node.addEventListener("click", () => {
    menu.hidePopover(); // gives the focus back to the button
    act();
  });
  return node;
}

function place({ right, top, bottom }) {
  const { offsetWidth: width, offsetHeight: height } = menu;
  const fits = bottom + GAP + height <= innerHeight;
  menu.style.left = `${Math.max(GAP, Math.min(right, innerWidth - GAP) - width)}px`;
  menu.style.top = `${Math.max(GAP, fits ? bottom + GAP : top - GAP - height)}px`;
}

menu.addEventListener("toggle", ({ newState }) => {
  if (newState === "open") return;
  owner?.setAttribute("aria-expanded", "false");
  owner = null;
});
menu.addEventListener("keydown", (event) => {
  const items = [...menu.querySelectorAll("button")];
  const at = items.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
  if (event.key === "Tab") menu.hidePopover();
  if (to === undefined) return;
  event.preventDefault();
  items.at(to % items.length).focus();
});

/** Return a button that opens a menu. `entries` returns what is in it. */
export function menuButton(label, entries) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "icon menu-button";
  button.setAttribute("aria-haspopup", "menu");
  button.setAttribute("aria-expanded", "false");
  button.setAttribute("aria-label", label);
  button.append(icon("more"));
  button.addEventListener("click", () => toggleMenu(button, entries()));
  return button;
}
