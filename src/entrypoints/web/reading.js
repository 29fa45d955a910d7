// Keep the end of the answer in view for as long as the reader is there. The reader leaves with the first
// wheel, touch, key or scroll upwards, is never pulled back, and returns by scrolling to the end or with
// the button "Latest".

const NEAR = 8; // pixels from the end that count as there
const FAR = 80; // pixels from the end at which the button shows
const LASTS = 1_000; // milliseconds: no browser scrolls for longer because of one key
const UPWARDS = new Set(["ArrowUp", "PageUp", "Home"]);

const latest = document.getElementById("latest");
const root = document.documentElement;

let grows = false; // whether more text is awaited, or was when the task was opened
let follows = false;
let place = 0; // where the reader was when last seen, and where the end then was
let end = 0;
let returns = 0; // how often the reader has come back with the button, within the last LASTS

const toEnd = () => scrollTo({ top: root.scrollHeight, behavior: "instant" });

/** Scroll to the end, and end a scrolling that a key or a wheel has begun: in Chromium it goes on through a
 * jump, and often ends only where another one begins. */
function stayAtEnd() {
  toEnd();
  scrollTo({ top: root.scrollHeight, behavior: "smooth" });
}

/** Begin with another text, at its top. `more`: whether it is still growing, and is followed. */
export function begin(more) {
  grows = more;
  follows = more;
  scrollTo({ top: 0, behavior: "instant" });
  keepUp();
}

/** Scroll to the end of what was painted, if the reader follows. Forces the layout. */
export function keepUp() {
  notice();
  if (follows) toEnd();
  look();
}

/** Note where the reader has gone, measured by the end that was in sight. */
function notice() {
  const isAtEnd = root.scrollHeight - innerHeight - scrollY <= NEAR; // also where the text has shrunk
  if (scrollY < place - 1 && !isAtEnd && returns === 0) follows = false;
  else if (grows && scrollY > place && scrollY >= end - NEAR) follows = true;
}

function look() {
  place = scrollY;
  end = root.scrollHeight - innerHeight;
  root.classList.toggle("follows", follows);
  latest.hidden = follows || !grows || end - place < FAR;
}

function leave() {
  if (!follows || scrollY === 0) return;
  follows = false;
  look();
}

addEventListener("scroll", () => {
  notice();
  if (follows && returns > 0) stayAtEnd();
  look();
}, { passive: true });
addEventListener("wheel", ({ deltaY, target }) => {
  if (deltaY < 0 && target.closest("main")) leave();
}, { passive: true });
addEventListener("touchmove", ({ target }) => {
  if (target.closest("main")) leave();
}, { passive: true });
addEventListener("keydown", ({ key, shiftKey, target }) => {
  const isUpwards = UPWARDS.has(key) || (key === " " && shiftKey);
  if (isUpwards && !target.closest("input, textarea, aside, dialog, [role=menu]")) leave();
});
// What was painted may still grow: pictures that load, formulas that are set.
new ResizeObserver(keepUp).observe(document.getElementById("task"));
latest.addEventListener("click", () => {
  follows = true;
  stayAtEnd();
  look();
  // What a key has begun before is over then, and the next frame has told of it.
  returns += 1;
  setTimeout(() => requestAnimationFrame(() => (returns -= 1)), LASTS);
});
