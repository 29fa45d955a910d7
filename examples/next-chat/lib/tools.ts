import { get, set } from "idb-keyval";

/** The tools that run on this page: what the model gives to each, and what it gets back. */
export type Tools = {
  getWeather: { input: { city: string }; output: string };
  getTime: { input: { timeZone?: string }; output: string };
};

/** What the model is told about them, as OpenAI's chat completions have it. */
export const definitions = [
  {
    type: "function",
    function: {
      name: "getWeather",
      description: "The weather in a city now.",
      parameters: {
        type: "object",
        properties: { city: { type: "string" } },
        required: ["city"],
      },
    },
  },
  {
    type: "function",
    function: {
      name: "getTime",
      description: "The date and time now.",
      parameters: {
        type: "object",
        properties: { timeZone: { type: "string", description: "For example Europe/Oslo" } },
      },
    },
  },
];

const tools: { [Name in keyof Tools]: (input: Tools[Name]["input"]) => string } = {
  // Made up. Yours would ask a weather service here.
  getWeather: ({ city }) => `${city.length + 10} degrees and sunny in ${city}`,
  getTime: ({ timeZone }) => new Date().toLocaleString("en-GB", { timeZone, timeZoneName: "short" }),
};

/** Run what the model calls, and return the output. Throws an error for the model to read.
 *
 * A reload gives the page the same call again, and so does a second tab. So the output is kept by
 * the id of the call, and a tool runs once. It is kept in IndexedDB: what one tab writes to
 * localStorage, another may read only some time later. */
export async function runTool(call: {
  toolCallId: string;
  toolName: string;
  input: unknown;
}): Promise<string> {
  const key = `tool:${call.toolCallId}`;
  return oneTabAtATime(key, async () => {
    const kept = await get<string>(key);
    if (kept !== undefined) return kept;
    if (!Object.hasOwn(tools, call.toolName)) throw new Error(`There is no tool ${call.toolName}.`);
    const output = tools[call.toolName as keyof Tools](call.input as never);
    await set(key, output).catch((error) => console.warn("The browser keeps no more:", error));
    return output;
  });
}

async function oneTabAtATime(name: string, run: () => Promise<string>): Promise<string> {
  // Browsers have locks only on https and localhost.
  return "locks" in navigator ? navigator.locks.request(name, run) : run();
}
