// From the request of a task to the parameters of OpenAI's `responses.create`, which mean the same to this
// service's /v1. Does not touch the document.

const NATIVE = ["delay", "notBefore", "deadline", "webhook", "prefill", "flowControl", "echo"]; // /v1 has none of these
const KNOWN = new Set(["prompt", "messages", "system", "model", "maxTokens", "temperature", "options", "previousTaskId", "metadata", "ttl"]);
// Options of chat completions that `responses.create` has under the same name.
const SAME = new Set(["top_p", "user", "parallel_tool_calls", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"]);
// Those that mean something else there, or nothing.
const OTHERS = new Set([
  "background", "background_options", "context_management", "conversation", "image", "include", "input", "instructions", "logprobs",
  "max_output_tokens", "max_tool_calls", "moderation", "previous_response_id", "reasoning", "store", "stream", "stream_options", "text",
  "top_logprobs", "truncation", "ttl",
]);

/** Thrown where a response cannot say it. */
class Native extends Error {}

/** Return the parameters as {params, extra}, where `extra` are those that OpenAI's SDK has no name for; or
 * null if only the native API takes such a request. */
export function asResponse(request) {
  try {
    return responseOf(request);
  } catch (error) {
    if (error instanceof Native) return null;
    throw error;
  }
}

const unless = (isKnown) => {
  if (!isKnown) throw new Native();
};
const onlyHas = (value, ...names) => unless(Object.keys(value).every((name) => names.includes(name)));
const isGiven = (value) => value !== null && value !== undefined;

function responseOf(request) {
  const { prompt, messages, system, model, maxTokens, temperature, options = {}, previousTaskId, metadata, ttl } = request;
  for (const [name, value] of Object.entries(request)) unless(KNOWN.has(name) || (NATIVE.includes(name) && !isGiven(value)));
  const [params, extra] = [{}, {}];
  const set = (name, value) => isGiven(value) && (params[name] = value);
  set("model", model);
  set("instructions", system);
  params.input = isGiven(prompt) ? prompt : messages.flatMap(itemsOf);
  set("max_output_tokens", maxTokens);
  set("temperature", temperature);
  set("previous_response_id", isGiven(previousTaskId) ? `resp_${previousTaskId}` : null);
  set("metadata", metadata);
  if (isGiven(ttl)) extra.ttl = ttl;
  for (const [name, value] of Object.entries(options)) {
    if (name === "reasoning_effort") params.reasoning = { effort: value };
    else if (name === "response_format") params.text = { ...params.text, format: formatOf(value) };
    else if (name === "verbosity") params.text = { ...params.text, verbosity: value };
    else if (name === "tools") params.tools = value.map(toolOf);
    else if (name === "tool_choice") params.tool_choice = choiceOf(value);
    else if (SAME.has(name)) params[name] = value;
    else {
      unless(!OTHERS.has(name));
      extra[name] = value;
    }
  }
  unless(params.tools?.length > 0 || !("tool_choice" in params || "parallel_tool_calls" in params));
  return { params, extra };
}

/** Return a message as items of the input. */
function itemsOf(message) {
  const { role, content, tool_calls: calls = [], tool_call_id: id } = message;
  if (role === "tool") {
    onlyHas(message, "role", "content", "tool_call_id");
    unless(typeof content === "string");
    return [{ type: "function_call_output", call_id: id, output: content }];
  }
  onlyHas(message, "role", "content", ...(role === "assistant" ? ["tool_calls"] : []));
  const said = isGiven(content) && content.length > 0 ? [{ role, content: contentOf(content, role) }] : [];
  return [...said, ...calls.map(callOf)];
}

function callOf(call) {
  onlyHas(call, "id", "type", "function");
  unless(call.type === "function");
  return { type: "function_call", call_id: call.id, name: call.function.name, arguments: call.function.arguments };
}

function contentOf(content, role) {
  if (typeof content === "string") return content;
  return content.map((part) => (role === "assistant" ? saidPart(part) : askedPart(part)));
}

function saidPart(part) {
  onlyHas(part, "type", part.type === "refusal" ? "refusal" : "text");
  return part.type === "text" ? { type: "output_text", text: part.text, annotations: [] } : part;
}

function askedPart(part) {
  const { type, [type]: inner } = part;
  onlyHas(part, "type", type);
  switch (type) {
    case "text":
      return { type: "input_text", text: inner };
    case "image_url":
      onlyHas(inner, "url", "detail");
      return { type: "input_image", image_url: inner.url, ...(inner.detail && { detail: inner.detail }) };
    case "file":
      onlyHas(inner, "filename", "file_data", "file_id");
      return { type: "input_file", ...inner };
    case "input_audio":
      return part;
    default:
      throw new Native();
  }
}

function formatOf(format) {
  if (format.type !== "json_schema") return format;
  onlyHas(format, "type", "json_schema");
  return { type: "json_schema", ...format.json_schema };
}

function toolOf(tool) {
  if (tool.type !== "function") return tool; // one that the model's server runs, with the same form
  onlyHas(tool, "type", "function");
  return { type: "function", ...tool.function };
}

function choiceOf(choice) {
  if (typeof choice === "string") return choice;
  unless(choice.type === "function");
  return { type: "function", name: choice.function.name };
}
