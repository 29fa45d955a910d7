// openai-node: one scenario for each call.

import OpenAI from "openai";
import { zodResponseFormat, zodResponsesFunction, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

import { all, outcome, run, url } from "./common.mjs";

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "any" });
const model = "test-model";
const Weather = z.object({ city: z.string(), degrees: z.number() });
const input = "How warm is it in Oslo?";

async function ended(id) {
  let response;
  do response = await client.responses.retrieve(id);
  while (["queued", "in_progress"].includes(response.status));
  return response;
}

await run({
  async create({ body }) {
    const made = await client.responses.create({ model, input, ...body });
    if (!body.stream) return { first: made, final: await ended(made.id) };
    const events = await all(made);
    return { events, final: await ended(events[0].response.id) };
  },
  outcome: ({ body }) => outcome(() => client.responses.create({ model, input, ...body })),
  retrieve: ({ id }) => client.responses.retrieve(id),
  async resume({ id, starting_after }) {
    return all(await client.responses.retrieve(id, { stream: true, starting_after }));
  },
  async cancel({ id }) {
    const first = await client.responses.cancel(id);
    return [first, await client.responses.cancel(id), await client.responses.retrieve(id)];
  },
  async remove({ id }) {
    const removed = await client.responses.delete(id);
    const calls = [
      () => client.responses.retrieve(id),
      () => client.responses.retrieve(id, { stream: true }),
      () => client.responses.cancel(id),
      () => client.responses.inputItems.list(id),
      () => client.responses.create({ model, input, previous_response_id: id }),
    ];
    const errors = [];
    for (const call of calls) errors.push((await outcome(call)).error);
    return { removed, errors };
  },
  async inputItems({ input: items, limit }) {
    const { id } = await client.responses.create({ model, input: items, background: true });
    const listed = [];
    for (const order of ["asc", "desc"])
      listed.push(await all(client.responses.inputItems.list(id, { limit, order })));
    return listed;
  },
  async models() {
    const listed = await all(client.models.list());
    return [listed, await client.models.retrieve(listed[0].id)];
  },
  async helper({ body }) {
    const stream = client.responses.stream({ model, input, ...body });
    const events = await all(stream);
    return { events: events.length, final: await stream.finalResponse() };
  },
  async helperById({ id, starting_after }) {
    const stream = client.responses.stream({ response_id: id, starting_after });
    return { events: await all(stream), final: await stream.finalResponse() };
  },
  async parse() {
    const text = { format: zodTextFormat(Weather, "weather") };
    const made = await client.responses.parse({ model, input, text });
    return { parsed: made.output_parsed, text: made.output_text };
  },
  async parseStream() {
    const text = { format: zodTextFormat(Weather, "weather") };
    const stream = client.responses.stream({ model, input, text, background: true });
    return (await stream.finalResponse()).output_parsed;
  },
  async parseCall() {
    const tools = [zodResponsesFunction({ name: "weather", parameters: Weather })];
    const stream = client.responses.stream({ model, input, tools, background: true });
    const { output } = await stream.finalResponse();
    return output.map((each) => each.parsed_arguments ?? null);
  },
  async toolLoop({ byId }) {
    const tools = [{ type: "function", name: "weather", parameters: {}, strict: false }];
    const first = await client.responses.create({ model, input, tools });
    const results = first.output
      .filter((each) => each.type === "function_call")
      .map(({ call_id }) => ({ type: "function_call_output", call_id, output: "20 degrees" }));
    const next = byId
      ? { previous_response_id: first.id, input: results }
      : { input: [{ role: "user", content: input }, ...first.output, ...results] };
    return (await client.responses.create({ model, tools, ...next })).output_text;
  },
  async chat({ body, key }) {
    const options = key && { headers: { "Idempotency-Key": key } };
    const messages = [{ role: "user", content: input }];
    return outcome(async () => {
      const made = await client.chat.completions.create({ model, messages, ...body }, options);
      return body?.stream ? all(made) : made;
    });
  },
  async chatHelper({ body }) {
    const messages = [{ role: "user", content: input }];
    const stream = client.chat.completions.stream({ model, messages, ...body });
    return outcome(() => stream.finalChatCompletion());
  },
  async chatParse() {
    const messages = [{ role: "user", content: input }];
    const response_format = zodResponseFormat(Weather, "weather");
    const made = await client.chat.completions.parse({ model, messages, response_format });
    return made.choices[0].message.parsed;
  },
  async chatRunTools({ stream }) {
    const ran = [];
    const weather = {
      type: "function",
      function: {
        name: "weather",
        parse: JSON.parse,
        parameters: { type: "object", properties: { city: { type: "string" } } },
        function: ({ city }) => (ran.push(city), `20 degrees in ${city}`),
      },
    };
    const messages = [{ role: "user", content: input }];
    const runner = client.chat.completions.runTools({ model, messages, tools: [weather], stream });
    return { text: await runner.finalContent(), ran };
  },
});
