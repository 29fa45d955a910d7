// Paint an answer as it arrives. What arrives between two frames is painted at once, but not more than
// a frame has time for. After a slow frame there is a pause.

import { uncut } from "./plain.js";

const AT_ONCE = 32_768; // characters

export class Painter {
  #section;
  #views;
  #painted;
  #unwritten = "";
  #scheduled = false;
  #pausedUntil = 0;
  #following = false;

  /**
   * `section`: the element that the page scrolls with, `views`: what gets the text (`reset`, `append`),
   * `painted`: a function that is called in each frame to show everything else.
   */
  constructor(section, views, painted) {
    this.#section = section;
    this.#views = views;
    this.#painted = painted;
  }

  reset() {
    this.#unwritten = "";
    for (const view of this.#views) view.reset();
  }

  /** Add text, to be painted in the next frames. */
  add(text) {
    this.#unwritten += text;
  }

  /** Paint in the next frame. `atBottom`: whether the page then scrolls to the end of the text. */
  later(atBottom) {
    this.#following ||= atBottom;
    if (this.#scheduled) return;
    this.#scheduled = true;
    const wait = this.#pausedUntil - performance.now();
    const paint = () => this.#paint();
    if (wait > 0 || document.hidden) setTimeout(paint, Math.max(0, wait));
    else requestAnimationFrame(paint);
  }

  #paint() {
    this.#scheduled = false;
    const began = performance.now();
    if (this.#unwritten) {
      const end = uncut(this.#unwritten, AT_ONCE);
      const part = this.#unwritten.slice(0, end);
      this.#unwritten = this.#unwritten.slice(end);
      for (const view of this.#views) view.append(part);
    }
    this.#painted();
    const end = document.documentElement.scrollHeight; // forces the layout, so that its time is measured
    if (this.#following) scrollTo({ top: end, behavior: "instant" });
    this.#following &&= this.#unwritten !== "";
    this.#pausedUntil = performance.now() + 3 * (performance.now() - began);
    if (this.#unwritten) this.later(false);
  }

  /** Whether the end of the text is in view and the page is scrolled. */
  get atBottom() {
    const end = this.#section.getBoundingClientRect().bottom;
    return scrollY > 0 && end <= innerHeight + 80 && end > 0;
  }
}
