// @openai/agents, whose default is responses in the foreground.

import { Agent, OpenAIProvider, Runner, tool } from "@openai/agents";
import { z } from "zod";

import { outcome, run, url } from "./common.mjs";

function prepared({ useResponses = true, json }) {
  const ran = [];
  const modelProvider = new OpenAIProvider({ baseURL: `${url}/v1`, apiKey: "any", useResponses });
  const runner = new Runner({ modelProvider, tracingDisabled: true });
  const weather = tool({
    name: "weather",
    description: "Tells how warm it is.",
    parameters: z.object({ city: z.string() }),
    execute: ({ city }) => (ran.push(city), `20 degrees in ${city}`),
  });
  const agent = new Agent({
    name: "Assistant",
    instructions: "Be brief.",
    model: "test-model",
    tools: json ? [] : [weather],
    ...(json && { outputType: z.object({ city: z.string(), degrees: z.number() }) }),
  });
  return { runner, agent, ran };
}

await run({
  async answer(given) {
    const { runner, agent, ran } = prepared(given);
    return outcome(async () => {
      const made = await runner.run(agent, "How warm is it in Oslo?", { maxTurns: 4 });
      return { output: made.finalOutput, ran, usage: made.state.usage.totalTokens };
    });
  },
  async continued(given) {
    const { runner, agent } = prepared(given);
    const { lastResponseId } = await runner.run(agent, "My name is Ada.");
    const options = { previousResponseId: lastResponseId };
    return (await runner.run(agent, "What is my name?", options)).finalOutput;
  },
  async streamed(given) {
    const { runner, agent, ran } = prepared(given);
    return outcome(async () => {
      const options = { stream: true, maxTurns: 4 };
      const made = await runner.run(agent, "How warm is it in Oslo?", options);
      const items = [];
      for await (const event of made)
        if (event.type === "run_item_stream_event") items.push(event.name);
      await made.completed;
      if (made.error) throw made.error;
      return { output: made.finalOutput, ran, items };
    });
  },
});
