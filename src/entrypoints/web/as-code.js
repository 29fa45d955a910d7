// A request as a program that sends it: curl, Python, JavaScript. What it says is quoted so that the
// program sends the very same. Does not touch the document.

import { asResponse } from "./as-response.js";

// What changes how a text is shown, or is not seen: it is written as an escape, which JSON and both
// languages read alike.
const UNSEEN = /[\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff]/g;
const escaped = (json) => json.replace(UNSEEN, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`);
const json = (value, indent = 2) => escaped(JSON.stringify(value, null, indent));

const INDENT = { python: "    ", javascript: "  " };
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Return a value as a literal of a language, `python` or `javascript`. `depth`: of what is around it. */
function literal(value, language, depth = 0) {
  if (value === null) return language === "python" ? "None" : "null";
  if (typeof value === "boolean" && language === "python") return value ? "True" : "False";
  if (typeof value !== "object") return json(value);
  const isList = Array.isArray(value);
  const [open, close] = isList ? "[]" : "{}";
  const entries = isList
    ? value.map((each) => literal(each, language, depth + 1))
    : Object.entries(value).map(([name, each]) => `${keyOf(name, language)}: ${literal(each, language, depth + 1)}`);
  if (entries.length === 0) return open + close;
  const [inner, outer] = [depth + 1, depth].map((each) => INDENT[language].repeat(each));
  return `${open}\n${entries.map((each) => `${inner}${each},\n`).join("")}${outer}${close}`;
}

function keyOf(name, language) {
  if (language === "python") return json(name);
  if (name === "__proto__") return '["__proto__"]'; // else it would set the prototype
  return NAME.test(name) ? name : json(name);
}

/** Return `text` in single quotes of a shell. */
const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** Return the program in `language`: `curl`, `python` or `javascript`. `home`: the address of the service
 * without a slash at its end. `hasKey`: whether it takes API keys. */
export function asCode(language, request, { home, hasKey }) {
  const response = asResponse(request);
  if (language === "curl") return curl(request, home, hasKey);
  if (language === "python") return response === null ? nativePython(request, home, hasKey) : python(response, home, hasKey);
  return response === null ? nativeJavascript(request, home, hasKey) : javascript(response, home, hasKey);
}

/** Whether OpenAI's SDK can send a request: else the programs call the native API. */
export const isForOpenai = (request) => asResponse(request) !== null;

// A quoted here-document needs no quoting, and takes megabytes, which an argument does not.
const curl = (request, home, hasKey) => `\
curl -sS ${shell(`${home}/api/tasks/start`)} \\
${hasKey ? `  -H "Authorization: Bearer $LONGTASK_API_KEY" \\\n` : ""}\
  -H 'Content-Type: application/json' \\
  --data-binary @- <<'JSON'
${json(request)}
JSON

# curl -sSN ${hasKey ? `-H "Authorization: Bearer $LONGTASK_API_KEY" ` : ""}${shell(`${home}/api/tasks/stream?taskId=TASK_ID`)}
`;

function python({ params, extra }, home, hasKey) {
  const line = (name, value) => `    ${name}=${literal(value, "python", 1)},\n`;
  const given = { ...params, background: true, stream: true };
  const lines = Object.entries(given).map(([name, value]) => line(name, value));
  if (Object.keys(extra).length > 0) lines.push(line("extra_body", extra));
  return `\
${hasKey ? "import os\n\n" : ""}from openai import OpenAI

client = OpenAI(base_url=${json(`${home}/v1`)}, api_key=${hasKey ? 'os.environ["LONGTASK_API_KEY"]' : '"none"'})
stream = client.responses.create(
${lines.join("")})
for event in stream:
    if event.type == "response.output_text.delta":
        print(event.delta, end="", flush=True)
    elif event.type == "response.failed":
        raise SystemExit(event.response.error.message)
`;
}

function javascript({ params, extra }, home, hasKey) {
  return `\
import OpenAI from "openai";

const client = new OpenAI({ baseURL: ${json(`${home}/v1`)}, apiKey: ${hasKey ? "process.env.LONGTASK_API_KEY" : '"none"'} });
const stream = await client.responses.create(${literal({ ...params, ...extra, background: true, stream: true }, "javascript")});
for await (const event of stream) {
  if (event.type === "response.output_text.delta") process.stdout.write(event.delta);
  if (event.type === "response.failed") throw new Error(event.response.error.message);
}
`;
}

const nativePython = (request, home, hasKey) => `\
import json${hasKey ? "\nimport os" : ""}
import urllib.request

TASKS = ${json(`${home}/api/tasks`)}
HEADERS = {"Content-Type": "application/json"${hasKey ? ', "Authorization": f"Bearer {os.environ[\'LONGTASK_API_KEY\']}"' : ""}}
REQUEST = ${literal(request, "python")}


def call(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(TASKS + path, data, HEADERS)) as response:
        return json.load(response)


task = call("/start", REQUEST)
while task["status"] in ("pending", "running"):
    task = call(f"/{task['taskId']}/result?wait=300")
print(task["text"] if task["status"] == "completed" else task["error"])
`;

const nativeJavascript = (request, home, hasKey) => `\
const TASKS = ${json(`${home}/api/tasks`)};
const headers = { "Content-Type": "application/json"${hasKey ? ", Authorization: `Bearer ${process.env.LONGTASK_API_KEY}`" : ""} };
const request = ${literal(request, "javascript")};

async function call(path, options) {
  const response = await fetch(TASKS + path, { headers, ...options });
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

let task = await call("/start", { method: "POST", body: JSON.stringify(request) });
while (["pending", "running"].includes(task.status)) task = await call(\`/\${task.taskId}/result?wait=300\`);
console.log(task.status === "completed" ? task.text : task.error);
`;
