// Make elements. What clients have published becomes text, never HTML.

const DAY = 86_400_000;

/** Return an element with properties (`data-…` and `aria-…` are attributes) and children. */
export function node(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.includes("-")) made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

export function badge(text, tone) {
  return node("span", { className: "badge", "data-tone": tone }, text);
}

export function mono(text) {
  return node("span", { className: "mono" }, text);
}

/** Return a button that asks page.js to do what `act` names. */
export function button(text, act, properties = {}) {
  return node("button", { type: "button", "data-act": act, ...properties }, text);
}

/** Return a time (milliseconds since the Unix epoch) that `tick` keeps relative to now. */
export function moment(at) {
  const date = new Date(Number(at));
  if (!at || Number.isNaN(date.getTime())) return "";
  return node("time", { dateTime: date.toISOString(), title: exact(at), "data-at": at }, relative(at));
}

/** Return a time in full, to the millisecond. */
export function exact(at) {
  const date = new Date(Number(at));
  if (Number.isNaN(date.getTime())) return String(at);
  const day = date.toLocaleDateString(undefined, { year: "numeric", month: "short", day: "numeric" });
  return `${day}, ${clock(date)}`;
}

/** Write all times anew that are relative to now, and hide what was to be shown only until now. */
export function tick() {
  for (const each of document.querySelectorAll("[data-until]")) each.hidden = Number(each.dataset.until) <= Date.now();
  for (const each of document.querySelectorAll("time[data-at]")) {
    const text = relative(each.dataset.at);
    if (each.textContent !== text) each.textContent = text;
  }
}

function clock(date) {
  return date.toLocaleTimeString(undefined, { hour12: false, fractionalSecondDigits: 3, hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

function relative(at) {
  const left = Number(at) - Date.now();
  const size = Math.abs(left);
  if (size >= DAY) return exact(at).replace(/:\d\d\.\d+$/, "");
  if (size < 1_000) return "now";
  const [number, unit] = size < 60_000 ? [size / 1_000, "s"] : size < 3_600_000 ? [size / 60_000, "min"] : [size / 3_600_000, "h"];
  return left > 0 ? `in ${Math.ceil(number)} ${unit}` : `${Math.floor(number)} ${unit} ago`;
}
