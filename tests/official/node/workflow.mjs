// A service of Upstash Workflow, as its quickstart has it: an HTTP server with one workflow, which it
// triggers itself. It finds the local QStash as a project does: by QSTASH_DEV and its port.

import { createServer } from "node:http";

import { once } from "node:events";

import { print, run, until, url } from "./common.mjs";

const said = [];
console.log = (...words) => said.push(words.join(" ")); // standard output is for what `run` prints
process.env.QSTASH_DEV = "true";
process.env.QSTASH_DEV_PORT = new URL(url).port;
const { Client, serve, WorkflowNonRetryableError } = await import("@upstash/workflow");

/** Serve a workflow, let `use` trigger it, and stop. Returns what it has noted meanwhile. */
async function served(workflow, options, use) {
  const noted = [];
  const { handler } = serve(
    (context) => workflow(context, (...words) => noted.push(words)),
    options,
  );
  const requests = [];
  const server = createServer(async (request, response) => {
    const body = await new Response(request).text();
    requests.push({ path: request.url, headers: request.headers });
    if (request.url !== "/workflow") {
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ path: request.url, method: request.method, body }));
      return;
    }
    const { method, headers } = request;
    // As behind Express's json(): the SDK writes the body again, and verifies what it has written.
    const again = /^[[{]/.test(body) ? JSON.stringify(JSON.parse(body)) : body;
    const given = new Request(`${own}/workflow`, { method, headers, body: again });
    const answer = await handler(given);
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    response.end(await answer.text());
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const own = `http://127.0.0.1:${server.address().port}`;
  const client = new Client();
  try {
    const more = await use({ client, own, noted });
    return { said, noted, paths: requests.map(({ path }) => path), ...more };
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

await run({
  /** Every kind of step of the quickstart, one after the other and at the same time. */
  async quickstart() {
    let own;
    const workflow = async (context, note) => {
      const input = context.requestPayload;
      const first = await context.run("first", () => `first of ${input.name}`);
      await context.sleep("a second", 1);
      const second = await context.run("second", async () => ({ after: first }));
      const called = await context.call("call", {
        url: `${own}/called`,
        method: "PUT",
        body: { n: 1 },
        headers: { "X-Own": "y" },
      });
      const [left, right] = await Promise.all([
        context.run("left", () => "l"),
        context.run("right", () => "r"),
        context.sleep("beside", 1),
      ]);
      await context.sleepUntil("until", Math.floor(Date.now() / 1000));
      await context.run("last", () => {
        const { status, body } = called;
        const header = context.headers.get("x-of-the-trigger");
        note("last", { second, status, body, left, right, header, label: context.label });
      });
      note("end");
      return { done: true };
    };
    return served(workflow, {}, async ({ client, own: address, noted }) => {
      own = address;
      const { workflowRunId } = await client.trigger({
        url: `${own}/workflow`,
        body: { name: "Ö" },
        headers: { "X-Of-The-Trigger": "t" },
        workflowRunId: "quick",
        label: "a-label",
      });
      await until(() => noted.some(([what]) => what === "end"));
      const again = await client.trigger({ url: `${own}/workflow`, workflowRunId: "quick" });
      return { workflowRunId, again };
    });
  },

  /** Started by a request to the workflow itself, and failing for good. */
  async failing() {
    const failed = [];
    const workflow = async (context, note) => {
      await context.run("first", () => note("first"));
      await context.run("second", () => {
        throw new WorkflowNonRetryableError("for good");
      });
    };
    const failureFunction = ({ context, failStatus, failResponse }) => {
      failed.push({ runId: context.workflowRunId, input: context.requestPayload, failStatus, failResponse });
    };
    return served(workflow, { failureFunction }, async ({ client, own }) => {
      const { workflowRunId } = await client.trigger({ url: `${own}/workflow`, body: { n: 1 } });
      await until(() => failed.length);
      return { workflowRunId, failed };
    });
  },

  /** Waits for events that come, that have come, and that never come. */
  async events() {
    const workflow = async (context, note) => {
      const came = await context.waitForEvent("wait", "an-event", { timeout: "1h" });
      const never = await context.waitForEvent("wait in vain", "no-event", { timeout: 1 });
      const sent = await context.notify("notify", "other-event", { from: "the workflow" });
      await context.run("last", () => note("last", { came, never, sent }));
      note("end");
    };
    return served(workflow, {}, async ({ client, own, noted }) => {
      const { workflowRunId } = await client.trigger({ url: `${own}/workflow`, body: "x" });
      const waiters = await until(async () => {
        const found = await client.getWaiters({ eventId: "an-event" });
        return found.length && found;
      });
      const notified = await client.notify({ eventId: "an-event", eventData: { n: 1 } });
      await until(() => noted.some(([what]) => what === "end"));
      const after = await client.notify({ eventId: "an-event", eventData: "late" });
      return { workflowRunId, waiters, notified, after };
    });
  },

  /** Goes on while its QStash is killed. Says when its second step runs, and where it is. */
  async killed() {
    let second = 0;
    const workflow = async (context, note) => {
      await context.run("first", () => note("first"));
      await context.run("second", async () => {
        note("second");
        second += 1;
        if (second === 1) await held;
      });
      await context.sleep("sleep", 3);
      const [left, right] = await Promise.all([
        context.run("left", () => note("left")),
        context.waitForEvent("wait", "an-event", { timeout: "1h" }),
      ]);
      await context.run("last", () => note("last", right));
      note("end");
    };
    let release;
    const held = new Promise((resolve) => (release = resolve));
    return served(workflow, {}, async ({ client, own, noted }) => {
      const { workflowRunId } = await client.trigger({ url: `${own}/workflow`, body: "x" });
      await until(() => second);
      print(workflowRunId);
      await once(process.stdin, "data");
      release();
      await until(() => noted.some(([what]) => what === "end"), 60);
      process.stdin.destroy();
      return { workflowRunId };
    });
  },

  /** Cancelled while it sleeps. */
  async cancelled() {
    const workflow = async (context, note) => {
      await context.run("first", () => note("first"));
      await context.sleep("long", 3600);
      note("woken");
    };
    return served(workflow, {}, async ({ client, own }) => {
      const { workflowRunId } = await client.trigger({ url: `${own}/workflow`, body: "x" });
      const other = await client.trigger({ url: `${own}/workflow`, body: "x" });
      const asleep = async (id) => {
        const steps = await client.client.http.request({
          path: ["v2", "workflows", "runs", id],
          method: "GET",
        });
        return steps.length === 2 || steps.length === 3;
      };
      await until(() => asleep(workflowRunId));
      await until(() => asleep(other.workflowRunId));
      const counts = [await client.cancel(workflowRunId)];
      counts.push(await client.cancel([workflowRunId, other.workflowRunId]));
      counts.push(await client.cancel({ filter: { workflowUrl: `${own}/workflow` } }));
      return { counts };
    });
  },
});
