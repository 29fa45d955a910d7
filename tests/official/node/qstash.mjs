// Every call of Upstash's own client of QStash, against a local one.

import { Client, Receiver } from "@upstash/qstash";

import { outcome, run, until, url } from "./common.mjs";

/** What many calls give, each by its name. */
function calls() {
  const told = {};
  const call = async (name, made) => {
    const { value, error } = await outcome(made);
    told[name] = error ?? value ?? null;
    return value;
  };
  return { told, call };
}

const client = (token) => new Client({ baseUrl: url, token, retry: false });

await run({
  async publishing({ token, to }) {
    const { told, call } = calls();
    const qstash = client(token);
    const every = {
      headers: { "X-Own": "y", "X-Secret": "s" },
      method: "PUT",
      delay: "1h",
      retries: 2,
      retryDelay: "1000 * (1 + retried)",
      timeout: 30,
      callback: `${to}/callback`,
      failureCallback: `${to}/callback/failure`,
      flowControl: { key: "publishing", parallelism: 2, rate: 3, period: "1m" },
      label: ["one", "two"],
      redact: { body: true, header: ["X-Secret"] },
    };
    const waiting = await call("publishJSON", () =>
      qstash.publishJSON({ url: `${to}/waiting?a=1`, body: { n: 1 }, ...every }),
    );
    await call("get", () => qstash.messages.get(waiting.messageId));
    await call("cancel", () => qstash.messages.cancel(waiting.messageId));
    await call("publish", () => qstash.publish({ url: `${to}/plain`, body: "plain" }));
    const once = { url: `${to}/once`, body: "x", deduplicationId: "once" };
    await call("first", () => qstash.publish(once));
    await call("second", () => qstash.publish(once));
    const same = { url: `${to}/same`, body: "x", contentBasedDeduplication: true };
    await call("third", () => qstash.publish(same));
    await call("fourth", () => qstash.publish(same));
    await call("batch", () =>
      qstash.batchJSON([
        { url: `${to}/batch`, body: { n: 1 }, headers: { "X-Own": "z" } },
        { url: `${to}/batch/queued`, body: { n: 2 }, queueName: "of-a-batch" },
      ]),
    );
    await call("global headers", () =>
      new Client({ baseUrl: url, token, headers: { "X-Global": "g" } }).publish({
        url: `${to}/global`,
      }),
    );
    await call("another token", () => client("another").publish({ url: `${to}/never` }));
    await call("nowhere", () => qstash.publish({ url: "ftp://nowhere" }));
    await call("keys", () => qstash.http.request({ path: ["v2", "keys"], method: "GET" }));
    return told;
  },

  async verifying({ keys, body, signature, to }) {
    const receiver = new Receiver({ currentSigningKey: keys[0], nextSigningKey: keys[1] });
    const given = { signature, url: to };
    return {
      right: await outcome(() => receiver.verify({ ...given, body })),
      wrong: await outcome(() => receiver.verify({ ...given, body: `${body}.` })),
    };
  },

  async bulk({ token, to }) {
    const { told, call } = calls();
    const qstash = client(token);
    const waiting = async (path, more) =>
      (await qstash.publish({ url: `${to}/${path}`, body: "x", delay: 3600, ...more })).messageId;
    const ids = [];
    for (let number = 0; number < 4; number++) ids.push(await waiting(`of/${number}`));
    const labelled = await waiting("labelled", { label: ["a", "b"] });
    const flow = { flowControl: { key: "bulk", parallelism: 1 } };
    await waiting("flow", flow);
    await waiting("host?x=1", {});
    const { messages } = qstash;
    await call("ids", () => messages.cancel(ids.slice(0, 2)));
    await call("none", () => messages.cancel([]));
    await call("by messageIds", () => messages.cancel({ messageIds: [ids[2], "msg_unknown"] }));
    await call("unknown label", () => messages.cancel({ filter: { label: "c" } }));
    await call("url and label", () => messages.cancel({ filter: { url: `${to}/flow`, label: "b" } }));
    await call("label", () => messages.cancel({ filter: { label: ["b", "c"] } }));
    await call("flow", () => messages.cancel({ filter: { flowControlKey: "bulk", fromDate: new Date(0) } }));
    await call("path", () => messages.cancel({ filter: { path: ["/host", "/host?x=1"], host: new URL(to).host } }));
    await call("to date", () => messages.cancel({ filter: { toDate: 1 } }));
    await call("deleted", () => messages.delete(ids[3]));
    await call("gone", () => messages.delete("msg_unknown"));
    await waiting("all");
    await waiting("all", { label: "x" });
    await call("all", () => messages.cancel({ all: true }));
    await call("deleteMany", () => messages.deleteMany([labelled]));
    await call("deleteAll", () => messages.deleteAll());
    return told;
  },

  async dead({ token, to, count }) {
    const { told, call } = calls();
    const { dlq } = client(token);
    const listed = await until(async () => {
      const found = await dlq.listMessages();
      return found.messages.length >= count && found;
    });
    told.listed = listed;
    const ids = listed.messages.map((each) => each.dlqId);
    await call("two", () => dlq.listMessages({ dlqIds: ids.slice(0, 2) }));
    const found = (filter) => dlq.listMessages({ filter });
    await call("by label", () => found({ label: ["one", "none"] }));
    await call("by flow", () => found({ flowControlKey: "dead" }));
    await call("by status", () => found({ responseStatus: [404, 489], fromDate: new Date(0) }));
    await call("by another status", () => found({ responseStatus: 500 }));
    const first = await call("page", () => dlq.listMessages({ count: 2 }));
    await call("next page", () => dlq.listMessages({ count: 2, cursor: first.cursor }));
    await call("one retried", () => dlq.retry(ids[0]));
    await call("some retried", () => dlq.retry([ids[1], ids[2]]));
    await call("none retried", () => dlq.retry([]));
    await call("by filter retried", () => dlq.retry({ filter: { label: "one" } }));
    await call("gone", () => dlq.delete(ids[0]));
    await call("one deleted", () => dlq.delete(ids[3]));
    await call("some deleted", () => dlq.delete([ids[4], ids[0]]));
    await call("by filter deleted", () => dlq.delete({ filter: { url: `${to}/6` } }));
    await call("deleteMany", () => dlq.deleteMany({ dlqIds: [ids[5]] }));
    await call("all retried", () => dlq.retry({ all: true, count: 1 }));
    await call("all deleted", () => dlq.delete({ all: true }));
    await call("left", () => dlq.listMessages());
    return told;
  },

  async queues({ token, to }) {
    const { told, call } = calls();
    const qstash = client(token);
    const queue = qstash.queue({ queueName: "of-js" });
    await call("upsert", () => queue.upsert({ parallelism: 2, paused: true }));
    await call("get", () => queue.get());
    const label = "queued";
    await call("enqueueJSON", () => queue.enqueueJSON({ url: `${to}/1`, body: { n: 1 }, label }));
    await call("enqueue", () => queue.enqueue({ url: `${to}/2`, body: "2", retries: 0 }));
    await call("with lag", () => queue.get());
    await call("list", () => queue.list());
    await call("resume", () => queue.resume());
    await until(async () => !(await queue.get()).lag);
    await call("pause", () => queue.pause());
    await call("paused", () => queue.get());
    await call("delete", () => queue.delete());
    await call("gone", () => queue.get());
    return told;
  },

  async flowControl({ token, to }) {
    const { told, call } = calls();
    const qstash = client(token);
    const { flowControl } = qstash;
    const key = "of-js";
    const flow = { flowControl: { key, ratePerSecond: 1, period: 3600 } };
    for (let number = 0; number < 3; number++)
      await qstash.publish({ url: `${to}/${number}`, body: "x", ...flow });
    await until(async () => {
      const { waitListSize, parallelismCount } = await flowControl.get(key);
      return waitListSize === 2 && parallelismCount === 0; // the first is delivered
    });
    await call("get", () => flowControl.get(key));
    await call("global", () => flowControl.getGlobalParallelism());
    await call("pause", () => flowControl.pause(key));
    await call("paused", () => flowControl.get(key));
    await call("pin", () => flowControl.pin(key, { parallelism: 4, rate: 5, period: 60 }));
    await call("pinned", () => flowControl.get(key));
    await call("unpin", () => flowControl.unpin(key, { parallelism: true, rate: true }));
    await call("unpinned", () => flowControl.get(key));
    await call("resetRate", () => flowControl.resetRate(key));
    await call("resume", () => flowControl.resume(key));
    await until(async () => !(await flowControl.get(key).catch(() => ({}))).waitListSize);
    await call("unknown", () => flowControl.get("unknown"));
    return told;
  },

  async groups({ token, to }) {
    const { told, call } = calls();
    const qstash = client(token);
    const { urlGroups } = qstash;
    const name = "of-js";
    const endpoints = [{ name: "first", url: `${to}/1` }, { url: `${to}/2` }];
    await call("add", () => urlGroups.addEndpoints({ name, endpoints }));
    await call("get", () => urlGroups.get(name));
    await call("list", () => urlGroups.list());
    await call("publish", () => qstash.publishJSON({ urlGroup: name, body: { n: 1 } }));
    await call("topic", () => qstash.publish({ topic: name, body: "x" }));
    await urlGroups.addEndpoints({ name: "late", endpoints });
    await call("batch", () => qstash.batch([{ urlGroup: "late", body: "x", delay: "1h" }]));
    await call("enqueue", () =>
      qstash.queue({ queueName: "of-a-group" }).enqueue({ urlGroup: name, body: "x" }),
    );
    await call("cancel", () => qstash.messages.cancel({ filter: { urlGroup: ["late", "other"] } }));
    await urlGroups.delete("late");
    await call("remove", () => urlGroups.removeEndpoints({ name, endpoints: [{ name: "first" }] }));
    await call("left", () => urlGroups.get(name));
    await call("delete", () => urlGroups.delete(name));
    await call("gone", () => urlGroups.get(name));
    await call("to no group", () => qstash.publish({ urlGroup: name, body: "x" }));
    return told;
  },

  async schedules({ token, to }) {
    const { told, call } = calls();
    const { schedules } = client(token);
    const every = {
      destination: `${to}/scheduled?a=1`,
      cron: "CRON_TZ=America/New_York 0 0 1 1 *",
      body: JSON.stringify({ n: 1 }),
      headers: { "X-Own": "y" },
      method: "PATCH",
      delay: 60,
      retries: 1,
      retryDelay: "1000",
      callback: `${to}/callback`,
      failureCallback: `${to}/callback/failure`,
      timeout: "20s",
      scheduleId: "of-js",
      queueName: "of-a-schedule",
      flowControl: { key: "of-js", rate: 1, parallelism: 2, period: "1m" },
      label: ["one", "two"],
      redact: { body: true },
    };
    await call("create", () => schedules.create(every));
    await call("get", () => schedules.get("of-js"));
    await call("list", () => schedules.list());
    await call("pause", () => schedules.pause({ schedule: "of-js" }));
    await call("paused", () => schedules.get("of-js"));
    await call("resume", () => schedules.resume({ schedule: "of-js" }));
    await call("resumed", () => schedules.get("of-js"));
    const edited = { destination: `${to}/edited`, cron: "@daily", scheduleId: "of-js" };
    await schedules.create(edited);
    await call("edited", () => schedules.get("of-js"));
    await call("delete", () => schedules.delete("of-js"));
    await call("gone", () => schedules.get("of-js"));
    await call("no cron", () => schedules.create({ ...every, cron: "each day" }));
    return told;
  },

  async logs({ token, to }) {
    const { told, call } = calls();
    const qstash = client(token);
    const label = "of-the-log";
    const ids = [];
    for (let number = 0; number < 3; number++) {
      const { messageId } = await qstash.publish({ url: `${to}/${number}`, body: "x", label });
      ids.push(messageId);
    }
    const found = async (filter) => (await qstash.logs({ filter })).logs;
    await until(async () => (await found({ label, state: "DELIVERED" })).length === 3);
    told.ids = ids;
    await call("all", () => qstash.logs({ filter: { label } }));
    await call("two", () => qstash.logs({ messageIds: ids.slice(1) }));
    await call("one", () => qstash.logs({ filter: { messageId: ids[0], state: "CREATED" } }));
    await call("events", () => qstash.events({ count: 2 }));
    const { cursor } = told.events;
    await call("next", () => qstash.events({ count: 2, cursor }));
    const at = { host: new URL(to).host, path: ["/1", "/2"], callerIp: "127.0.0.1" };
    await call("at", () => qstash.logs({ filter: { ...at, fromDate: new Date(0) } }));
    await call("before", () => qstash.logs({ filter: { toDate: 1 } }));
    return told;
  },
});
