// Everything that the API says of one item: its fields, and its bodies apart from them.

import { exact, node } from "./nodes.js";

const TIMES = new Set(["time", "createdAt", "updatedAt", "notBefore", "nextDeliveryTime", "lastScheduleTime", "nextScheduleTime"]);
const ALIASES = { label: "labels", callerIp: "callerIP", responseHeaders: "responseHeader", retryDelayExpr: "retryDelayExpression" };
// What the API says twice, for clients of different ages, is shown once.
const LONGEST = 50_000; // characters of a body that are shown

/** Return the nodes for an item. `bodies` maps the names of fields that are bodies to titles; those
 * that `encoded` names, and all whose names end with Base64, are base64. */
export function detail(item, bodies, encoded = []) {
  const fields = node("dl", { className: "fields" });
  const parts = [];
  for (const [name, value] of Object.entries(item)) {
    if (value === null || value === "" || (Array.isArray(value) && value.length === 0) || ALIASES[name] in item) continue;
    const title = bodies[name.replace(/Base64$/, "")];
    if (title) {
      const bytes = name.endsWith("Base64") || encoded.includes(name);
      parts.push(node("h2", {}, title), node("pre", { tabIndex: 0 }, readable(bytes ? decoded(String(value)) : String(value))));
    } else {
      fields.append(node("dt", {}, name), node("dd", {}, told(name, value)));
    }
  }
  return [fields, ...parts];
}

function told(name, value) {
  if (TIMES.has(name)) return `${exact(value)}  (${value})`;
  if (typeof value !== "object") return String(value);
  if (Array.isArray(value) && value.every((each) => typeof each !== "object")) return value.join(", ");
  if (Array.isArray(value)) return value.map((each) => JSON.stringify(each)).join("\n");
  // Headers have a list of values each.
  return Object.entries(value)
    .flatMap(([key, each]) => (Array.isArray(each) ? each : [each]).map((one) => `${key}: ${one}`))
    .join("\n");
}

/** Return the text that base64 stands for. Bytes that are no UTF-8 are shown as a hex dump. */
export function decoded(base64) {
  try {
    const bytes = Uint8Array.from(atob(base64), (each) => each.charCodeAt(0));
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch {
      return Array.from(bytes.subarray(0, LONGEST / 3), (each) => each.toString(16).padStart(2, "0")).join(" ");
    }
  } catch {
    return base64; // a redacted body is no base64
  }
}

function readable(text) {
  let shown = text;
  if (text.length <= LONGEST) {
    try {
      shown = JSON.stringify(JSON.parse(text), null, 2);
    } catch {
      // it is no JSON
    }
  }
  const rest = shown.length - LONGEST;
  return rest > 0 ? `${shown.slice(0, LONGEST)}\n… ${rest.toLocaleString()} more characters` : shown;
}
