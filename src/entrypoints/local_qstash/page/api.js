// Call the API under /v2 as one of the users. A token is sent in a header, never in a URL.

const TIMEOUT = 30_000; // milliseconds
let token = "";

export function useToken(given) {
  token = given;
}

/** Return the users of this server: name and token of each. */
export async function users() {
  return (await response("GET", "/page/users")).json();
}

/** Call the API; return what it says, or null if it says nothing. Throws an Error that says why. */
export async function call(method, path) {
  const text = await (await response(method, path)).text();
  return text ? JSON.parse(text) : null;
}

/** Return a path with its parameters, but those that are empty. */
export function withQuery(path, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value);
  return given.length > 0 ? `${path}?${new URLSearchParams(given)}` : path;
}

async function response(method, path) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const signal = AbortSignal.timeout(TIMEOUT);
  const got = await fetch(path, { method, headers, cache: "no-store", signal }).catch((error) => {
    const late = error.name === "TimeoutError";
    throw new Error(late ? `The server has not responded in ${TIMEOUT / 1_000} s.` : `The server cannot be reached (${error.message}).`);
  });
  if (got.ok) return got;
  const said = await got.json().catch(() => ({}));
  throw new Error(said.error || `${method} ${path.split("?")[0]}: ${got.status}`);
}
