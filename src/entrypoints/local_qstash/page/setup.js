// What a project puts into its .env to use this server as the chosen user.

import { call } from "./api.js";
import { button, node } from "./nodes.js";

/** Return the sections. Throws an Error that says why the keys cannot be read. */
export async function setup(user) {
  const keys = await call("GET", "/v2/keys");
  const env = [
    `QSTASH_URL=${location.origin}`,
    `QSTASH_TOKEN=${user.token}`,
    `QSTASH_CURRENT_SIGNING_KEY=${keys.current}`,
    `QSTASH_NEXT_SIGNING_KEY=${keys.next}`,
  ].join("\n");
  const try_ = [
    `curl -X POST ${location.origin}/v2/publish/http://localhost:3000/api/hello \\`,
    `  -H "Authorization: Bearer ${user.token}" \\`,
    '  -H "Content-Type: application/json" -d \'{"hello": "world"}\'',
  ].join("\n");
  return [
    section("Into .env", "Token and signing keys are those of Upstash's development server: public, and the same everywhere. They are for development only.", env),
    section("Try it", "Publishes a message to a server of yours at port 3000.", try_),
  ];
}

function section(title, hint, text) {
  const copied = node("pre", { tabIndex: 0 }, text);
  const copy = button("Copy", "copy");
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    } catch {
      // The browser has a clipboard for pages of this machine only, or asks the user.
      getSelection().selectAllChildren(copied);
      copy.textContent = "Selected: copy it by hand";
    }
    setTimeout(() => (copy.textContent = "Copy"), 3_000);
  });
  return node("section", {}, node("h2", {}, title), node("p", {}, hint), copied, node("div", { className: "tools" }, copy));
}
