// The views: from which call each gets its items, and how a row shows one.

import { call, withQuery } from "./api.js";
import { decoded, detail } from "./detail.js";
import { badge, button, moment, mono, node } from "./nodes.js";

const PAGE = 100;
const TONES = { CREATED: "", ACTIVE: "busy", IN_PROGRESS: "busy", RETRY: "warm", ERROR: "bad", DELIVERED: "good", FAILED: "bad", CANCEL_REQUESTED: "warm", CANCELED: "", CANCELLED: "" };
const LONGEST = 200; // characters of a text in a cell

const path = (text) => encodeURIComponent(text);
const cut = (text) => (text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text);
const some = (number) => (number === undefined || number === null ? "–" : String(number));
const acts = (...buttons) => node("div", { className: "acts" }, ...buttons);
const pausing = (isPaused) => (isPaused ? button("Resume", "resume") : button("Pause", "pause"));
const running = (isPaused) => (isPaused ? badge("Paused", "warm") : badge("Running", "good"));

function message(id) {
  const link = node("a", { className: "of-message", href: `./#log/${path(id)}`, title: `The log of ${id}` });
  link.append(id.length > 18 ? `${id.slice(0, 16)}…` : id);
  return link;
}

function address(before, url = "") {
  return node("span", { className: "mono", title: url }, before ? node("span", { className: "method" }, before) : null, cut(url));
}

function destination(item) {
  const via = [item.topicName && `group ${item.topicName}`, item.endpointName, item.queueName && `queue ${item.queueName}`, item.flowControlKey && `flow ${item.flowControlKey}`, item.scheduleId && `schedule ${item.scheduleId}`];
  const labels = item.labels?.length ? item.labels : [item.label].filter(Boolean);
  const told = [...via, ...labels.map((each) => `label ${each}`)].filter(Boolean).join(" · ");
  return [
    address(item.method, item.url),
    told && node("span", { className: "more" }, cut(told)),
  ];
}

const listed = (name, url) => async () => {
  const got = await call("GET", url);
  return { items: Array.isArray(got) ? got : (got[name] ?? []) };
};

const paused = (url) => ({
  pause: { path: (item) => ["POST", `${url(item)}/pause`], said: "Paused." },
  resume: { path: (item) => ["POST", `${url(item)}/resume`], said: "Resumed." },
});

export const VIEWS = {
  messages: {
    title: "Messages",
    empty: "No message waits. What is delivered at once is in the log.",
    load: async () => {
      const { messages, total } = await call("GET", "/page/messages");
      return { items: messages.map((each) => ({ ...each, isDue: each.notBefore <= Date.now() })), count: total };
    },
    key: (item) => item.messageId,
    columns: [
      { name: "State", kind: "narrow", cell: (item) => (item.delivering ? badge("Delivering", "busy") : item.retried ? badge("Retrying", "warm") : badge("Waiting", "")) },
      { name: "Message", kind: "narrow", cell: (item) => message(item.messageId) },
      { name: "Destination", kind: "wide", cell: destination },
      { name: "Due", kind: "narrow", cell: (item) => (item.delivering ? "" : item.isDue ? "at its turn" : moment(item.notBefore)) },
      { name: "Retries", kind: "number narrow", cell: (item) => `${item.retried} of ${some(item.maxRetries)}` },
      { name: "", kind: "narrow", cell: () => acts(button("Cancel", "cancel", { className: "danger" })) },
    ],
    actions: { cancel: { path: (item) => ["DELETE", `/v2/messages/${path(item.messageId)}`], said: "Cancelled." } },
    all: { cancel: { text: "Cancel all", path: ["DELETE", "/v2/messages"], sure: "Cancel all messages of this user?" } },
    detail: async (item) => detail(await call("GET", `/v2/messages/${path(item.messageId)}`), { body: "Body" }),
  },
  log: {
    title: "Log",
    empty: "Nothing has happened yet, or nothing that fits the filter.",
    filtered: true,
    load: async ({ messageId, state, cursor }) => {
      const got = await call("GET", withQuery("/v2/logs", { count: PAGE, messageId, state, cursor }));
      return { items: got.logs ?? [], cursor: got.cursor };
    },
    key: (item) => `${item.messageId} ${item.state} ${item.time} ${item.error ?? ""}`,
    columns: [
      { name: "Time", kind: "narrow", cell: (item) => moment(item.time) },
      { name: "State", kind: "narrow", cell: (item) => badge(item.state, TONES[item.state] ?? "") },
      { name: "Message", kind: "narrow", cell: (item) => message(item.messageId) },
      { name: "Destination", kind: "wide", cell: destination },
      { name: "Outcome", kind: "wide less", cell: outcome },
    ],
    detail: (item) => detail(item, { body: "Body", responseBody: "Response" }, ["body", "responseBody"]),
  },
  dlq: {
    title: "Dead letters",
    empty: "No message was given up.",
    load: async ({ cursor }) => {
      const got = await call("GET", withQuery("/v2/dlq", { count: PAGE, cursor }));
      return { items: got.messages ?? [], cursor: got.cursor };
    },
    key: (item) => item.dlqId,
    columns: [
      { name: "Given up", kind: "narrow", cell: (item) => moment(Number.parseInt(item.dlqId, 10)) },
      { name: "Status", kind: "narrow", cell: (item) => badge(item.responseStatus ? String(item.responseStatus) : "no response", "bad") },
      { name: "Message", kind: "narrow", cell: (item) => message(item.messageId) },
      { name: "Destination", kind: "wide", cell: destination },
      { name: "Response", kind: "wide less", cell: (item) => node("span", { className: "mono" }, cut(item.responseBody ?? "")) },
      { name: "", kind: "narrow", cell: () => acts(button("Retry", "retry"), button("Delete", "delete", { className: "danger" })) },
    ],
    actions: {
      retry: { path: (item) => ["POST", `/v2/dlq/retry/${path(item.dlqId)}`], said: "Published anew." },
      delete: { path: (item) => ["DELETE", `/v2/dlq/${path(item.dlqId)}`], said: "Deleted." },
    },
    all: {
      retry: { text: "Retry all", path: ["POST", "/v2/dlq/retry"], sure: "Publish all dead letters of this user anew?" },
      delete: { text: "Delete all", path: ["DELETE", "/v2/dlq"], sure: "Delete all dead letters of this user?" },
    },
    detail: (item) => detail(item, { body: "Body", responseBody: "Response" }),
  },
  queues: {
    title: "Queues",
    empty: "No queue yet. Enqueuing a message makes one.",
    load: listed("queues", "/v2/queues"),
    key: (item) => item.name,
    columns: [
      { name: "Queue", kind: "wide", cell: (item) => mono(item.name) },
      { name: "State", kind: "narrow", cell: (item) => running(item.paused) },
      { name: "Waiting", kind: "number narrow", cell: (item) => some(item.lag) },
      { name: "Parallelism", kind: "number narrow", cell: (item) => some(item.parallelism) },
      { name: "Changed", kind: "narrow", cell: (item) => moment(item.updatedAt) },
      { name: "", kind: "narrow", cell: (item) => acts(pausing(item.paused), button("Delete", "delete", { className: "danger" })) },
    ],
    actions: {
      ...paused((item) => `/v2/queues/${path(item.name)}`),
      delete: { path: (item) => ["DELETE", `/v2/queues/${path(item.name)}`], said: "Deleted.", sure: (item) => `Delete the queue ${cut(item.name)}, and cancel its messages?` },
    },
  },
  schedules: {
    title: "Schedules",
    empty: "No schedule.",
    load: listed("schedules", "/v2/schedules"),
    key: (item) => item.scheduleId,
    columns: [
      { name: "Schedule", kind: "narrow", cell: (item) => node("span", { className: "mono", title: item.scheduleId }, item.scheduleId.length > 24 ? `${item.scheduleId.slice(0, 22)}…` : item.scheduleId) },
      { name: "State", kind: "narrow", cell: (item) => running(item.isPaused) },
      { name: "Cron", kind: "narrow", cell: (item) => node("span", { className: "mono clip", title: item.cron }, cut(item.cron)) },
      { name: "Destination", kind: "wide", cell: (item) => destination({ ...item, url: item.destination, scheduleId: "" }) },
      { name: "Next", kind: "narrow", cell: (item) => (item.isPaused ? "" : moment(item.nextScheduleTime)) },
      { name: "Last", kind: "narrow", cell: (item) => [moment(item.lastScheduleTime), ...ends(item.lastScheduleStates ?? {})] },
      { name: "", kind: "narrow", cell: (item) => acts(pausing(item.isPaused), button("Delete", "delete", { className: "danger" })) },
    ],
    actions: {
      ...paused((item) => `/v2/schedules/${path(item.scheduleId)}`),
      delete: { path: (item) => ["DELETE", `/v2/schedules/${path(item.scheduleId)}`], said: "Deleted.", sure: (item) => `Delete the schedule ${cut(item.scheduleId)}?` },
    },
    detail: (item) => detail(item, { body: "Body" }),
  },
  flow: {
    title: "Flow control",
    empty: "No flow-control key is in use.",
    load: listed("flowControlKeys", "/v2/flowControl"),
    key: (item) => item.flowControlKey,
    columns: [
      { name: "Key", kind: "wide", cell: (item) => mono(item.flowControlKey) },
      { name: "State", kind: "narrow", cell: (item) => running(item.isPaused) },
      { name: "Waiting", kind: "number narrow", cell: (item) => some(item.waitListSize) },
      { name: "Parallel", kind: "number narrow", cell: (item) => [`${some(item.parallelismCount)} of ${item.parallelismMax || "any"}`, pinned(item.isPinnedParallelism)] },
      { name: "Rate", kind: "number narrow", cell: (item) => [item.rateMax ? `${some(item.rateCount)} of ${item.rateMax} in ${some(item.ratePeriod)} s` : "any", pinned(item.isPinnedRate)] },
      { name: "", kind: "narrow", cell: (item) => acts(pausing(item.isPaused), item.rateMax ? button("Reset rate", "reset") : null) },
    ],
    actions: {
      ...paused((item) => `/v2/flowControl/${path(item.flowControlKey)}`),
      reset: { path: (item) => ["POST", `/v2/flowControl/${path(item.flowControlKey)}/resetRate`], said: "A new period has begun." },
    },
  },
  groups: {
    title: "URL groups",
    empty: "No URL group.",
    load: listed("topics", "/v2/topics"),
    key: (item) => item.name,
    columns: [
      { name: "Group", kind: "narrow", cell: (item) => mono(cut(item.name)) },
      { name: "Endpoints", kind: "wide", cell: (item) => (item.endpoints ?? []).map((each) => address(each.name, each.url)) },
      { name: "Changed", kind: "narrow", cell: (item) => moment(item.updatedAt) },
    ],
  },
};

function ends(states) {
  const told = [...new Set(Object.values(states))].join(", ");
  return told ? [node("span", { className: "more clip" }, told)] : [];
}

function outcome(item) {
  const responded = item.responseStatus ? `${item.responseStatus} ${decoded(item.responseBody ?? "")}` : (item.error ?? "");
  const at = item.nextDeliveryTime;
  const next = at && (item.state === "ERROR" || item.state === "RETRY") ? node("span", { "data-until": at }, "next ", moment(at)) : null;
  return [responded && node("span", { title: cut(responded) }, cut(responded)), next];
}

function pinned(isPinned) {
  return isPinned ? node("span", { className: "more" }, " pinned") : null;
}
