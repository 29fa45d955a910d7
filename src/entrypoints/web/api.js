// The calls of this page to the service, and their errors: Refusal or Away.

import { apiKey } from "./remembered.js";

/** The address of the service, without a slash at its end. Behind a proxy it may have a path. */
const HOME = new URL("..", import.meta.url).href.replace(/\/$/, "");

/** Thrown when the service refused a call: `message` is its sentence, `kind` the problem as docs/codes.md
 * has it ("" where a proxy responded), and `errors` says which fields are at fault. */
export class Refusal extends Error {
  constructor(status, { error, type, errors }) {
    super(typeof error === "string" ? error : `HTTP ${status}`);
    this.status = status;
    this.kind = String(type ?? "").replace("urn:longtask:problem:", "");
    this.errors = Array.isArray(errors) ? errors : [];
  }
}

/** Thrown when the service could not be reached, or something else responded in its place. */
export class Away extends Error {}

let refused = () => {};

/** Set the function to call when the service requires a key or refuses the one that was sent. Its
 * argument says whether one was sent. */
export const onKeyRefused = (callback) => {
  refused = callback;
};

async function call(path, options = {}) {
  const key = options.key ?? apiKey();
  const headers = { ...options.headers, ...(key && { Authorization: `Bearer ${key}` }) };
  let response;
  try {
    response = await fetch(HOME + path, { cache: "no-store", ...options, headers });
  } catch (error) {
    throw new Away(String(error));
  }
  let body = null;
  try {
    body = await response.json();
  } catch {
    // Not JSON, such as the page of a proxy, or cut.
  }
  if (response.ok && body === null && response.status !== 204) throw new Away("no JSON");
  if (response.ok) return body;
  if (response.status === 401 && options.key === undefined) refused(key !== "");
  if ([502, 503, 504].includes(response.status) && body?.error === undefined) throw new Away(response.statusText);
  throw new Refusal(response.status, body ?? {});
}

/** Return who the service takes the caller with this API key for, {owner, limits}. */
export const me = (key) => call("/api/me", { key });

/** Start a task. With the same idempotency key, `key`, it is safe to repeat the call. */
export const start = (request, key) => call("/api/tasks/start", {
  method: "POST",
  headers: { "Content-Type": "application/json", "Idempotency-Key": key },
  body: JSON.stringify(request),
});

export const record = (taskId) => call(`/api/tasks/${encodeURIComponent(taskId)}`);

export const status = (taskId) => call(`/api/tasks/start?taskId=${encodeURIComponent(taskId)}`);

export const cancel = (taskId) => call(`/api/tasks/${encodeURIComponent(taskId)}/cancel`, { method: "POST" });

export const remove = (taskId) => call(`/api/tasks/${encodeURIComponent(taskId)}`, { method: "DELETE" });

/** Return the record of a task once it has ended, or after five minutes as it then stands. */
export const result = (taskId, signal) => call(`/api/tasks/${encodeURIComponent(taskId)}/result?wait=300`, { signal });

/** Return what was used. `query`: {from, to, by}. */
export const usage = (query) => call(`/api/usage?${new URLSearchParams(query)}`);

/** Make a call that is safe to repeat, and repeat it once if the service could not be reached. */
export async function twice(call) {
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof Away)) throw error;
    await new Promise((resolve) => setTimeout(resolve, 700));
    return call();
  }
}
