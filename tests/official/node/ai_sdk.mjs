// The AI SDK: over responses (@ai-sdk/openai) and over chat completions (@ai-sdk/openai-compatible).

import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, isStepCount, Output, streamText, tool } from "ai";
import { z } from "zod";

import { run, url } from "./common.mjs";

const settings = { baseURL: `${url}/v1`, apiKey: "any" };
const openai = createOpenAI(settings);
const faces = {
  responses: openai("test-model"),
  chat: createOpenAICompatible({ ...settings, name: "longtask", includeUsage: true })("test-model"),
};
const Weather = z.object({ city: z.string(), degrees: z.number() });
const told = (error) => ({ name: error.name, message: error.message, code: error.data?.error?.code });

/** `options`: those of the provider. `tools`: whether the model may call one. */
function request({ face = "responses", options, tools, json, ran = [] }) {
  const weather = tool({
    inputSchema: z.object({ city: z.string() }),
    execute: ({ city }) => (ran.push(city), `20 degrees in ${city}`),
  });
  return {
    model: faces[face],
    prompt: "How warm is it in Oslo?",
    ...(options && { providerOptions: { openai: options } }),
    ...(tools && { tools: { weather }, stopWhen: isStepCount(3) }),
    ...(json && { output: Output.object({ schema: Weather }) }),
  };
}

function result(made, given, ran) {
  return {
    text: made.text,
    reasoning: made.reasoningText,
    finishReason: made.finishReason,
    usage: made.usage,
    steps: made.steps.length,
    warnings: made.warnings,
    ran,
    output: given.json ? made.output : undefined,
  };
}

const maps = { serverLabel: "maps", serverUrl: "https://maps.example.org", requireApproval: "never" };
const hosted = {
  web_search: openai.tools.webSearch({}),
  file_search: openai.tools.fileSearch({ vectorStoreIds: ["vs_1"] }),
  code_interpreter: openai.tools.codeInterpreter({}),
  image_generation: openai.tools.imageGeneration({}),
  mcp: openai.tools.mcp(maps),
};

await run({
  /** An answer for which OpenAI's tools run, and the next turn. */
  async hosted({ options }) {
    const errors = [];
    const asked = { model: faces.responses, tools: hosted, providerOptions: { openai: options } };
    const first = [{ role: "user", content: "Where?" }];
    const streamed = streamText({ ...asked, messages: first, onError: ({ error }) => errors.push(told(error)) });
    const parts = [];
    for await (const part of streamed.fullStream) if (/^tool-(call|result)$/.test(part.type)) parts.push(part);
    if (errors.length) return { errors, parts };
    const { messages } = await streamed.response;
    const next = [...first, ...messages, { role: "user", content: "Why?" }];
    const again = await generateText({ ...asked, messages: next });
    return { parts, text: await streamed.text, again: again.text };
  },
  async generate(given) {
    const ran = [];
    try {
      return result(await generateText(request({ ...given, ran })), given, ran);
    } catch (error) {
      return { error: told(error), ran };
    }
  },
  async stream(given) {
    const ran = [];
    const errors = [];
    const onError = ({ error }) => errors.push(error);
    const streamed = streamText({ ...request({ ...given, ran }), onError });
    let text = "";
    const parts = [];
    for await (const part of streamed.fullStream) {
      parts.push(part.type);
      if (part.type === "text-delta") text += part.text;
    }
    if (errors.length)
      return { error: told(errors[0]), parts, text, ran, finishReason: await streamed.finishReason.catch(String) };
    const names = ["text", "reasoningText", "finishReason", "usage", "steps", "warnings"];
    const made = Object.fromEntries(
      await Promise.all(names.map(async (name) => [name, await streamed[name]])),
    );
    if (given.json) made.output = await streamed.output;
    return { ...result(made, given, ran), streamed: text, parts };
  },
});
