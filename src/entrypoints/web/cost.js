// What a task has cost, in words.

import { locale, text } from "./texts.js";

const SMALL = 0.1; // below it, cents say too little

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
