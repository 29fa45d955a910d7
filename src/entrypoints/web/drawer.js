// On a small screen the list of tasks is a drawer. On a large one it is always there.

const $ = (id) => document.getElementById(id);
const side = $("side");

const isWide = matchMedia("(min-width: 56.25rem)");

/** Whether the drawer is open. */
export const isDrawerOpen = () => side.classList.contains("is-open");

/** Close the drawer, if it is open, and give the focus back. */
export function closeDrawer() {
  if (!isDrawerOpen()) return;
  show(false);
  $("side-open").focus();
}

function show(open) {
  side.classList.toggle("is-open", open);
  $("shade").hidden = !open;
  $("page").inert = open;
  $("side-open").setAttribute("aria-expanded", String(open));
}

/** Open the drawer, where the list is one. */
export function openDrawer() {
  if (isWide.matches) return;
  show(true);
  $("side-close").focus();
}

$("side-open").addEventListener("click", openDrawer);
$("side-close").addEventListener("click", closeDrawer);
$("shade").addEventListener("click", closeDrawer);
isWide.addEventListener("change", () => show(false));
