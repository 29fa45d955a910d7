// Times and durations in words, in the language of the page.

import { locale, text } from "./texts.js";

const UNITS = [["day", 86_400_000], ["hour", 3_600_000], ["minute", 60_000]];
const LONG_AGO = 7 * 86_400_000;

/** Return how long ago a time is, such as "3 min. ago"; the date, if it is more than a week. Times are
 * milliseconds since 1970. It is right until `now + untilNext(time, now)`. */
export function ago(time, now = Date.now()) {
  const past = Math.max(0, now - time); // a clock that is behind makes no future
  if (past >= LONG_AGO) return new Date(time).toLocaleDateString(locale(), { dateStyle: "medium" });
  const words = new Intl.RelativeTimeFormat(locale(), { numeric: "auto", style: "short" });
  const [unit, size] = UNITS.find(([, size]) => past >= size) ?? ["minute", Infinity];
  return size === Infinity ? text("now") : words.format(-Math.floor(past / size), unit);
}

/** Return the milliseconds after which `ago` says something else. */
export function untilNext(time, now = Date.now()) {
  const past = Math.max(0, now - time);
  const [, size] = UNITS.find(([, size]) => past >= size) ?? UNITS.at(-1);
  return size - (past % size);
}

/** Return a date and a time, to the second. */
export const dateOf = (time) => new Date(time).toLocaleString(locale(), { dateStyle: "medium", timeStyle: "medium" });

/** Return a time of a day, to the second. */
export const clockOf = (time) => new Date(time).toLocaleTimeString(locale(), { timeStyle: "medium" });

/** Return a duration, such as "340 ms", "8.2 s", "3 min 05 s" or "2 h 10 min". */
export function duration(milliseconds) {
  if (milliseconds < 999.5) return text("milliseconds", { value: Math.round(milliseconds) });
  const seconds = milliseconds / 1_000;
  if (seconds < 59.95) return text("seconds", { value: seconds.toFixed(1) });
  const whole = Math.round(seconds);
  const [minutes, hours] = [Math.floor(whole / 60), Math.floor(whole / 3_600)];
  const two = (value) => String(value).padStart(2, "0");
  if (hours === 0) return text("minutes", { minutes, seconds: two(whole % 60) });
  return text("hours", { hours, minutes: two(minutes % 60) });
}

/** Return a duration that is counted up or down, in whole seconds. */
export const counted = (milliseconds) => {
  const whole = Math.max(0, Math.floor(milliseconds / 1_000));
  return whole < 60 ? text("seconds", { value: whole }) : duration(whole * 1_000);
};

/** Return a number as people write it. */
export const number = (value) => Number(value).toLocaleString(locale());
