// Times, durations, numbers and costs in words, in the language of the page.

import { locale, text } from "./texts.js";

const made = new Map(); // formats, by language and kind: to make one takes longer than to use it

function format(kind, make) {
  const key = `${locale()} ${kind}`;
  if (!made.has(key)) made.set(key, make(locale()));
  return made.get(key);
}

const SMALL = 0.1; // of a currency: below it, cents say too little
const UNITS = [["day", 86_400_000], ["hour", 3_600_000], ["minute", 60_000]]; // milliseconds

/** Return how long ago a time was, such as "5 min. ago". */
export function ago(time) {
  const since = Math.max(0, Date.now() - time);
  const [unit, length] = UNITS.find(([, each]) => since >= each) ?? ["second", Infinity];
  const numeric = unit === "second" ? "auto" : "always"; // "now", but "1 day ago"
  return format(numeric, (language) => new Intl.RelativeTimeFormat(language, { style: "short", numeric })).format(-Math.floor(since / length), unit);
}

/** Return a date and a time, to the second. Times are milliseconds since 1970. */
export const dateOf = (time) =>
  format("date", (language) => new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" })).format(time);

/** Return a day of UTC, by the time at which it begins. */
export const dayName = (time) =>
  format("day", (language) => new Intl.DateTimeFormat(language, { month: "short", day: "numeric", timeZone: "UTC" })).format(time);

/** Return a time of a day, to the second. */
export const clockOf = (time) => format("clock", (language) => new Intl.DateTimeFormat(language, { timeStyle: "medium" })).format(time);

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
export const number = (value) => format("number", (language) => new Intl.NumberFormat(language)).format(value);

/** Return a number of tokens, such as "1.2K tokens". `rough`: whether it is an estimate. */
export function tokens(count, rough) {
  const shown = format("compact", (language) => new Intl.NumberFormat(language, { notation: "compact", maximumFractionDigits: 1 })).format(count);
  return text(count === 1 ? "oneToken" : "tokens", { count: rough ? `≈ ${shown}` : shown });
}

/** Return a cost as people write it, such as "$0.0042" or "≈ $1.25", or "" if none is known. `cost`:
 * {amount, currency, estimated}, as the service gives it, or null. */
export function money(cost) {
  if (!cost) return "";
  const { amount, currency } = cost;
  const digits = amount < SMALL ? { maximumSignificantDigits: 3 } : {};
  let value;
  try {
    value = new Intl.NumberFormat(locale(), { style: "currency", currency, ...digits }).format(amount);
  } catch { // a currency of the operator's own
    value = `${new Intl.NumberFormat(locale(), digits).format(amount)} ${currency}`;
  }
  return cost.estimated ? text("about", { value }) : value;
}
