// Times and numbers for people, in the language of the page.

import { locale, text } from "./texts.js";

const UNITS = [["day", 86_400_000], ["hour", 3_600_000], ["minute", 60_000]]; // milliseconds

/** Return how long ago a time was, in milliseconds since 1970, such as "5 min. ago". */
export function ago(time) {
  const since = Math.max(0, Date.now() - time);
  const [unit, length] = UNITS.find(([, each]) => since >= each) ?? ["second", Infinity];
  const format = new Intl.RelativeTimeFormat(locale(), { style: "short", numeric: unit === "second" ? "auto" : "always" });
  return format.format(-Math.floor(since / length), unit);
}

export const exactly = (time) => new Date(time).toLocaleString(locale());

/** Return a number of tokens, such as "1.2K tokens". `rough`: whether it is an estimate. */
export function tokens(count, rough) {
  const shown = new Intl.NumberFormat(locale(), { notation: "compact", maximumFractionDigits: 1 }).format(count);
  return text(count === 1 ? "oneToken" : "tokens", { count: rough ? `≈ ${shown}` : shown });
}
