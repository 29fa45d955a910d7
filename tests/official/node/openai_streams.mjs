// openai-node: the stream of a response, cut and resumed after every event.

import assert from "node:assert/strict";

import OpenAI from "openai";

import { all, print, run, url } from "./common.mjs";

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "any" });
const LAST = ["response.completed", "response.failed", "response.incomplete"];

/** The response as a client without the helper reads it: what the helper adds is left out. */
function plain(value) {
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value;
  const added = ["parsed", "output_parsed", "output_text", "parsed_arguments"];
  const kept = Object.entries(value).filter(([name]) => !added.includes(name));
  return Object.fromEntries(kept.map(([name, each]) => [name, plain(each)]));
}

/** What the helper makes of these events. */
async function joined(events) {
  const lines = events.map((each) => JSON.stringify(each) + "\n").join("");
  const { ResponseStream } = await import("openai/lib/responses/ResponseStream");
  return ResponseStream.fromReadableStream(new Blob([lines]).stream()).finalResponse();
}

async function check(id) {
  const events = await all(await client.responses.retrieve(id, { stream: true }));
  const numbers = events.map((each) => each.sequence_number);
  assert.deepEqual(numbers, [...new Set(numbers)].sort((a, b) => a - b));
  assert.equal(events[0].type, "response.created");
  assert.deepEqual(events.filter((each) => LAST.includes(each.type)), [events.at(-1)]);
  const final = await client.responses.retrieve(id);
  assert.deepEqual(plain(events.at(-1).response), plain(final));
  assert.deepEqual(plain(await joined(events)), plain(final));
  for (const [index, starting_after] of numbers.entries()) {
    const rest = await all(await client.responses.retrieve(id, { stream: true, starting_after }));
    assert.deepEqual(rest, events.slice(index + 1), `behind ${events[index].type}`);
  }
  const middle = numbers[numbers.length >> 1];
  const helper = client.responses.stream({ response_id: id, starting_after: middle });
  const heard = (await all(helper)).map((each) => each.sequence_number);
  assert.deepEqual(heard, numbers.filter((each) => each > middle));
  assert.deepEqual(plain(await helper.finalResponse()), plain(final));
  return { events, final };
}

await run({
  async whole({ ids }) {
    for (const id of ids) print({ id, ...(await check(id)) });
  },
  /** A foreground stream that ends where an attempt is lost, and what is told behind it. */
  async foreground({ body }) {
    const told = await all(await client.responses.create({ ...body, stream: true }));
    const { response, sequence_number: starting_after } = told.pop();
    const stream = { stream: true, starting_after };
    const rest = await all(await client.responses.retrieve(response.id, stream));
    const { events, final } = await check(response.id);
    assert.deepEqual([...told, ...rest], events);
    print({ told: response, final });
  },
  /** A task that runs: each connection reads one event, and is cut. */
  async oneByOne({ body }) {
    const events = [];
    let stream = await client.responses.create({ ...body, background: true, stream: true });
    while (!LAST.includes(events.at(-1)?.type)) {
      for await (const event of stream) {
        events.push(event);
        break; // closes the connection
      }
      const { response } = events[0];
      const starting_after = events.at(-1).sequence_number;
      stream = await client.responses.retrieve(response.id, { stream: true, starting_after });
    }
    assert.deepEqual(await all(stream), []);
    const { events: whole, final } = await check(events[0].response.id);
    // What is told of the response in between may be told at another time.
    assert.deepEqual(events, whole);
    print({ connections: events.length, final });
  },
});
