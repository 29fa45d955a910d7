// Paint what arrives. What arrives between two frames is painted at once, but not more than a frame has
// time for. After a slow frame there is a pause.

import { uncut } from "./plain.js";
import { keepUp } from "./reading.js";

const AT_ONCE = 32_768; // characters

/** Text on its way to some views, in order. */
export class Queue {
  #views;
  #isShown;
  #unwritten = "";

  /** `views`: what gets the text (`reset`, `append`). `isShown`: whether they are seen: until then the
   * text waits, and costs nothing. */
  constructor(views, isShown = () => true) {
    this.#views = views;
    this.#isShown = isShown;
  }

  reset() {
    this.#unwritten = "";
    for (const view of this.#views) view.reset();
  }

  /** Add text, to be painted in the next frames. */
  add(text) {
    this.#unwritten += text;
  }

  get waits() {
    return this.#unwritten !== "" && this.#isShown();
  }

  /** Paint some text and return how many characters. */
  paint(most) {
    const end = uncut(this.#unwritten, most);
    const part = this.#unwritten.slice(0, end);
    this.#unwritten = this.#unwritten.slice(end);
    for (const view of this.#views) view.append(part);
    return part.length;
  }
}

export class Painter {
  queues = new Set();
  #painted;
  #scheduled = false;
  #pausedUntil = 0;

  /** `painted`: a function that is called in each frame to show everything else. */
  constructor(painted) {
    this.#painted = painted;
  }

  /** Paint in the next frame. */
  later() {
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
    let room = AT_ONCE;
    for (const queue of this.queues) if (room > 0 && queue.waits) room -= queue.paint(room);
    this.#painted();
    keepUp(); // forces the layout, so that its time is measured
    this.#pausedUntil = performance.now() + 3 * (performance.now() - began);
    if ([...this.queues].some((queue) => queue.waits)) this.later();
  }
}
