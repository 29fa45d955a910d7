// The calls that this page makes, and their refusals as one kind of error.

import { apiKey } from "./remembered.js";

/** A refusal of the service: its status, its sentence, and which fields were at fault. */
export class Refusal extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** Raised when no answer came: the service, or the network, is away. */
export class Away extends Error {}

let refused = () => {};

/** Call `told(whether there was a key)` when the service wants a key, or another one. */
export const onKeyRefused = (told) => {
  refused = told;
};

async function call(path, options = {}) {
  const key = apiKey();
  const headers = { ...options.headers, ...(key && { Authorization: `Bearer ${key}` }) };
  let response;
  try {
    response = await fetch(path, { cache: "no-store", ...options, headers });
  } catch (error) {
    throw new Away(String(error));
  }
  let body = null;
  try {
    body = await response.json();
  } catch {
    // A proxy's page, say: the status says enough.
  }
  if (response.ok) return body;
  if (response.status === 401) refused(key !== "");
  if ([502, 503, 504].includes(response.status) && body?.error === undefined) throw new Away(response.statusText);
  throw new Refusal(response.status, body?.error ?? `${response.status} ${response.statusText}`);
}

/** `request` is the body of a start. The key makes a second try safe, whatever became of the first. */
export async function start(request, key) {
  const started = await call("/api/tasks/start", {
    method: "POST",
    headers: { "Content-Type": "application/json", "Idempotency-Key": key },
    body: JSON.stringify(request),
  });
  links.set(started.taskId, started.streamUrl);
  return started;
}

export const record = (taskId) => call(`/api/tasks/${encodeURIComponent(taskId)}`);

const links = new Map();

/** Where the task's stream is opened without a header: soon, since the link expires. */
export async function link(taskId) {
  const fresh = links.get(taskId);
  links.delete(taskId);
  return fresh ?? (await record(taskId)).streamUrl;
}

export const status = (taskId) => call(`/api/tasks/start?taskId=${encodeURIComponent(taskId)}`);

export const cancel = (taskId) => call(`/api/tasks/${encodeURIComponent(taskId)}/cancel`, { method: "POST" });
