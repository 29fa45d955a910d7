// The calls that this page makes, and their refusals as one kind of error.

/** A refusal of the service: its status, its sentence, and which fields were at fault. */
export class Refusal extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** Raised when no answer came: the service, or the network, is away. */
export class Away extends Error {}

async function call(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", ...options });
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
  if ([502, 503, 504].includes(response.status) && body?.error === undefined) throw new Away(response.statusText);
  throw new Refusal(response.status, body?.error ?? `${response.status} ${response.statusText}`);
}

/** `request` is the body of a start. The key makes a second try safe, whatever became of the first. */
export const start = (request, key) =>
  call("/api/tasks/start", {
    method: "POST",
    headers: { "Content-Type": "application/json", "Idempotency-Key": key },
    body: JSON.stringify(request),
  });

export const record = (taskId) => call(`/api/tasks/${encodeURIComponent(taskId)}`);

export const status = (taskId) => call(`/api/tasks/start?taskId=${encodeURIComponent(taskId)}`);

export const cancel = (taskId) => call(`/api/tasks/${encodeURIComponent(taskId)}/cancel`, { method: "POST" });
