// Paint what arrives. What arrives between two frames is painted at once, but not more than a frame has
// time for: how much that is, the frames before have shown. After each there is a pause for the rest of
// the page, so that a user who scrolls, types or cancels need not wait.

import { uncut } from "./plain.js";
import { keepUp } from "./reading.js";

const FRAME = 12; // milliseconds that a frame may take, with its layout; painting takes as long again
const LEAST = 512; // characters in a frame
const FIRST = 4_096;
const MOST = 32_768;

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
  #room = FIRST; // characters that a frame has time for

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
    const most = document.hidden ? MOST : this.#room; // what is hidden is not laid out
    let room = most;
    for (const queue of this.queues) if (room > 0 && queue.waits) room -= queue.paint(room);
    this.#painted();
    keepUp(); // forces the layout, so that its time is measured
    const took = performance.now() - began;
    // A frame that was not full shows only that there was time for what it had.
    if (took > FRAME || room <= 0) this.#room = Math.min(MOST, Math.max(LEAST, most * Math.min(2, Math.max(0.25, FRAME / took))));
    this.#pausedUntil = began + 3 * took;
    if ([...this.queues].some((queue) => queue.waits)) this.later();
  }
}
