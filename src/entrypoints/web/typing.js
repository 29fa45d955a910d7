// What keys mean while one writes: which ones belong to an input method, and which ones send.

/** A touch screen: its keyboard has Enter for a new line only. */
export const isTouch = matchMedia("(pointer: coarse)");

/** Whether a key belongs to an input method, such as Enter, which takes a Chinese word. Safari tells of the
 * key that ends a composition only after it has ended. */
export const isComposed = ({ isComposing, keyCode }) => isComposing || keyCode === 229;

/** Whether a key sends what is written. */
export const sends = (event) =>
  event.key === "Enter" && !event.shiftKey && !isComposed(event) && (event.ctrlKey || event.metaKey || !isTouch.matches);
