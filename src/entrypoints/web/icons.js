// The icons, which are symbols of the page.

const SVG = "http://www.w3.org/2000/svg";

/** Return the icon of a name: the part of a symbol's id behind "i-". */
export function icon(name) {
  const node = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  node.append(use);
  return node;
}
