// On a small screen the list of tasks is a drawer. On a large one it is always there.

const $ = (id) => document.getElementById(id);
const side = $("side");

const isOpen = () => side.classList.contains("is-open");

/** Close the drawer, if it is open, and give the focus back. */
export function closeDrawer() {
  if (!isOpen()) return;
  show(false);
  $("side-open").focus();
}

function show(open) {
  side.classList.toggle("is-open", open);
  $("shade").hidden = !open;
  $("page").inert = open;
  $("side-open").setAttribute("aria-expanded", String(open));
}

$("side-open").addEventListener("click", () => {
  show(true);
  $("side-close").focus();
});
$("side-close").addEventListener("click", closeDrawer);
$("shade").addEventListener("click", closeDrawer);
side.addEventListener("keydown", ({ key, defaultPrevented }) => {
  if (key === "Escape" && !defaultPrevented) closeDrawer();
});
matchMedia("(min-width: 56.25rem)").addEventListener("change", () => show(false));
