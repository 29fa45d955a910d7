// Makes elements.

/** Return an element with children, which are nodes or texts. */
export function node(name, className = "", ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}
