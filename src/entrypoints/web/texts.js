// All texts of the page in both languages, and the choice of the language.

const TEXTS = {
  en: {
    skip: "Skip to the prompt",
    tagline: "Prompts that run longer than a request may.",
    tools: "Page",
    api: "API",
    dark: "Dark",
    light: "Light",
    promptLabel: "Prompt",
    promptPlaceholder: "Ask for something long. You can close the page in the meantime.",
    options: "Options",
    model: "Model",
    modelDefault: "default",
    temperature: "Temperature",
    length: "Length (tokens)",
    sendHint: "Ctrl or ⌘ + Enter starts.",
    start: "Start",
    starting: "Starting…",
    attempt: "attempt {attempt}",
    pieces: "{pieces} pieces",
    onePiece: "1 piece",
    rate: "{rate}/s",
    cancel: "Cancel",
    stopListening: "Stop listening",
    listen: "Listen again",
    retry: "Retry as new",
    copy: "Copy",
    copied: "Copied",
    download: "Download .md",
    share: "Copy link",
    raw: "Raw",
    inside: "How it works",
    inside1: "A start returns a task id at once; the task waits in QStash.",
    inside2: "QStash calls the service back. The model’s answer is added to the task’s event log piece by piece.",
    inside3: "This page follows the log. After a lost connection it sends the last id that it saw and gets the very next event.",
    inside4: "Reload, open the link elsewhere, stop the service: nothing is missing and nothing comes twice.",
    events: "Events of this task",
    eventId: "id",
    eventType: "type",
    eventData: "data",
    eventLatency: "after ms",
    tasks: "Your tasks",
    noTasks: "Tasks that you start here are remembered in this browser.",
    open: "Open",
    remove: "Remove from the list",
    pending: "queued",
    running: "running",
    completed: "done",
    failed: "failed",
    cancelled: "cancelled",
    unknown: "unknown",
    reconnecting: "Connection lost. Reconnecting…",
    notListening: "Not listening. The task continues.",
    waitQueued: "Waiting for a worker…",
    waitModel: "The model is thinking…",
    lost: "Attempt {attempt} was lost ({reason}). The text below no longer counts; the answer starts over.",
    endCancelled: "Cancelled. The text so far is kept.",
    endLength: "The answer reached the limit of its length. If you set one under Options, raise it to get more.",
    endNoRoom: "The answer is empty: the limit of tokens was used up before it began{spent}. Set a larger length under Options, or clear the one that you set.",
    endSpent: ", {tokens} of them on reasoning",
    endEmpty: "The model ended without an answer.",
    endFilter: "The model’s server cut the answer off because of its content.",
    endDone: "{model}: {tokens} tokens.",
    gone: "This service does not know the task. It may have expired.",
    locked: "This service requires an API key to show the task.",
    keyLabel: "API key",
    keyWanted: "This service requires an API key. The key is kept in this browser.",
    keyRefused: "The service does not know this API key.",
    useKey: "Use it",
    emptyPrompt: "Write a prompt first.",
    badNumber: "Temperature must be from 0 to 2, length from 1 to 128,000.",
    away: "The service cannot be reached. Your prompt is kept. Try again in a moment.",
    refused: "The service refused the request: {detail}",
    said: "{status}: {prompt}",
    doKey: "Check the service’s OPENAI_API_KEY.",
    doQuota: "Check the plan and billing of the API key.",
    doModel: "Choose another model under Options.",
    doContent: "Change the prompt.",
    doShorter: "Shorten the prompt or choose a model with a larger context.",
    doLonger: "Ask for less, or raise the service’s LONGTASK_MAX_OUTPUT_CHARS.",
    doFaster: "Ask for less, or raise the service’s LONGTASK_ATTEMPT_TIMEOUT.",
    doLater: "Try again in a moment.",
    doAddress: "Check that the service can reach the model’s server (OPENAI_BASE_URL).",
    doQueue: "Check that the service can reach QStash, and QStash the service (BASE_URL).",
  },
  zh: {
    skip: "跳到提示词",
    tagline: "运行时间可以超过一次请求的提示词。",
    tools: "页面",
    api: "API",
    dark: "深色",
    light: "浅色",
    promptLabel: "提示词",
    promptPlaceholder: "提一个需要长时间回答的问题。期间可以关闭页面。",
    options: "选项",
    model: "模型",
    modelDefault: "默认",
    temperature: "温度",
    length: "长度（token）",
    sendHint: "Ctrl 或 ⌘ + Enter 启动。",
    start: "启动",
    starting: "正在启动…",
    attempt: "第 {attempt} 次尝试",
    pieces: "{pieces} 个片段",
    onePiece: "1 个片段",
    rate: "每秒 {rate} 个",
    cancel: "取消任务",
    stopListening: "停止监听",
    listen: "继续监听",
    retry: "作为新任务重试",
    copy: "复制",
    copied: "已复制",
    download: "下载 .md",
    share: "复制链接",
    raw: "原文",
    inside: "工作原理",
    inside1: "启动请求立即返回任务 id；任务在 QStash 中等待。",
    inside2: "QStash 回调本服务。模型的回答逐段追加到任务的事件日志。",
    inside3: "本页面跟随日志。连接中断后，它给出最后看到的 id，得到紧接着的下一个事件。",
    inside4: "刷新页面、在别处打开链接、停止服务：不缺失，也不重复。",
    events: "此任务的事件",
    eventId: "id",
    eventType: "类型",
    eventData: "内容",
    eventLatency: "延迟（毫秒）",
    tasks: "我的任务",
    noTasks: "在这里启动的任务会保存在本浏览器中。",
    open: "打开",
    remove: "从列表移除",
    pending: "排队中",
    running: "运行中",
    completed: "已完成",
    failed: "失败",
    cancelled: "已取消",
    unknown: "未知",
    reconnecting: "连接中断，正在重新连接…",
    notListening: "未在监听。任务仍在继续。",
    waitQueued: "等待工作进程…",
    waitModel: "模型正在思考…",
    lost: "第 {attempt} 次尝试已丢失（{reason}）。下面的文本不再有效，将重新开始。",
    endCancelled: "已取消。已有文本保留。",
    endLength: "回答达到了长度上限。如果在“选项”中设置了长度，可以调大。",
    endNoRoom: "回答为空：在开始作答之前，token 上限就已用完{spent}。请在“选项”中设置更大的长度，或清空已设置的长度。",
    endSpent: "，其中 {tokens} 个用于推理",
    endEmpty: "模型没有给出回答就结束了。",
    endFilter: "模型服务器因内容截断了回答。",
    endDone: "{model}：{tokens} 个 token。",
    gone: "本服务没有这个任务，可能已过期。",
    locked: "查看此任务需要 API 密钥。",
    keyLabel: "API 密钥",
    keyWanted: "本服务需要 API 密钥。密钥只保存在本浏览器中。",
    keyRefused: "本服务不认识这个 API 密钥。",
    useKey: "使用",
    emptyPrompt: "请先填写提示词。",
    badNumber: "温度为 0 到 2，长度为 1 到 128,000。",
    away: "无法连接服务。提示词已保留，请稍后再试。",
    refused: "服务拒绝了请求：{detail}",
    said: "{status}：{prompt}",
    doKey: "请检查服务的 OPENAI_API_KEY。",
    doQuota: "请检查该 API 密钥的套餐和账单。",
    doModel: "请在“选项”中选择其他模型。",
    doContent: "请修改提示词。",
    doShorter: "请缩短提示词，或选择上下文更长的模型。",
    doLonger: "请减少要求的内容，或调大服务的 LONGTASK_MAX_OUTPUT_CHARS。",
    doFaster: "请减少要求的内容，或调大服务的 LONGTASK_ATTEMPT_TIMEOUT。",
    doLater: "请稍后再试。",
    doAddress: "请检查服务能否连接模型服务器（OPENAI_BASE_URL）。",
    doQueue: "请检查服务能否连接 QStash，以及 QStash 能否连接服务（BASE_URL）。",
  },
};

// What the user can do about a failure, by its code.
const ADVICE = {
  invalid_api_key: "doKey",
  permission_denied: "doKey",
  insufficient_quota: "doQuota",
  model_not_found: "doModel",
  content_refused: "doContent",
  context_length_exceeded: "doShorter",
  answer_too_long: "doLonger",
  attempt_timeout: "doFaster",
  model_unreachable: "doAddress",
  wrong_address: "doAddress",
  redirected: "doAddress",
  queue_unavailable: "doQueue",
  deliveries_exhausted: "doQueue",
  forgotten: "doQueue",
};

const KEY = "longtask.language";
let language = localStorage.getItem(KEY) ?? (/^zh\b/i.test(navigator.language) ? "zh" : "en");

export function text(name, values = {}) {
  const sentence = TEXTS[language][name] ?? name;
  return sentence.replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);
}

export function advice(code, retryable) {
  const name = ADVICE[code] ?? (retryable ? "doLater" : "");
  return name && text(name);
}

/** Return a sentence about how a task ended: its `end` event. */
export function ending(end) {
  if (end.finishReason === "cancelled") return text("endCancelled");
  if (end.finishReason === "content_filter") return text("endFilter");
  if (end.finishReason === "length") {
    if (end.data) return text("endLength");
    const tokens = end.usage?.reasoningTokens;
    return text("endNoRoom", { spent: tokens ? text("endSpent", { tokens }) : "" });
  }
  if (!end.data) return text("endEmpty");
  return end.usage ? text("endDone", { model: end.model, tokens: end.usage.totalTokens }) : "";
}

export function otherLanguage() {
  language = language === "zh" ? "en" : "zh";
  localStorage.setItem(KEY, language);
}

/** Set the texts of all marked elements in the current language. */
export function translate() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = text(node.dataset.text);
  for (const node of document.querySelectorAll("[data-placeholder]")) node.placeholder = text(node.dataset.placeholder);
  for (const node of document.querySelectorAll("[data-label]")) node.setAttribute("aria-label", text(node.dataset.label));
  const button = document.getElementById("language");
  button.textContent = language === "zh" ? "English" : "中文";
  button.lang = language === "zh" ? "en" : "zh";
}
