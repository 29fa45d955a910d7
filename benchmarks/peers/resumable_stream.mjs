// A server with the package resumable-stream, as its README writes one: the process in which the
// stream is made keeps its text, and sends it to readers through Redis, whichever process has them.
// Its argument is JSON: the Redis, and the shape of the stream (see resumable.py).
import { once } from "node:events";
import { createServer } from "node:http";
import { createClient } from "redis";
import { createResumableStreamContext } from "resumable-stream";

const { redis, clients, rate, seconds, size, events, name } = JSON.parse(process.argv[2]);
const [publisher, subscriber] = [createClient({ url: redis }), createClient({ url: redis })];
for (const client of [publisher, subscriber]) {
  client.on("error", () => {});
  await client.connect();
}
// Redis ends a subscriber for whom more than 32 MB wait: a hundred readers who join at once.
await publisher.configSet("client-output-buffer-limit", "pubsub 0 0 0");
const streams = createResumableStreamContext({ waitUntil: null, publisher, subscriber });

let complete;
const all = new Promise((resolve) => (complete = resolve));
const frame = (number, data) => `id: 0123456789abcdef-${number}\ndata: ${JSON.stringify(data)}\n\n`;
const content = (number) =>
  frame(number, {
    type: "content",
    taskId: `task_1795473045574_${number.toString(16).padStart(24, "0")}`,
    timestamp: Date.now(),
    data: `${process.hrtime.bigint()};${"x".repeat(size)}`,
  });

const makeStream = () =>
  new ReadableStream({
    async start(controller) {
      controller.enqueue(": hi\n\n");
      for (let number = 1; number <= events; number++) controller.enqueue(content(number));
      if (events) {
        // It stays open: of a stream that is closed the package has nothing any more.
        controller.enqueue(frame(0, { type: "end" }));
        return;
      }
      await all;
      const began = performance.now() + 1000;
      for (let number = 1; number <= rate * seconds; number++) {
        const wait = began + (number * 1000) / rate - performance.now();
        if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
        controller.enqueue(content(number));
      }
      controller.enqueue(frame(0, { type: "end" }));
      controller.close();
    },
  });

// As the request does that starts a stream, and whose client has gone.
async function drain(stream) {
  for await (const _ of stream);
}

async function answer(request, response) {
  const skip = Number(new URL(request.url, "http://localhost").searchParams.get("resumeAt"));
  const stream = await streams.resumeExistingStream(name, skip || undefined);
  if (!stream) {
    response.writeHead(422).end("Stream is already done");
    return;
  }
  response.writeHead(200, { "content-type": "text/event-stream" });
  const reader = stream.getReader();
  const closed = once(response, "close").then(() => reader.cancel().catch(() => {}));
  if (++joined === clients) complete();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (!response.write(value)) await Promise.race([once(response, "drain"), closed]);
  }
  response.end();
}

let joined = 0;
const server = createServer((request, response) => {
  answer(request, response).catch((error) => {
    if (!response.headersSent) response.writeHead(503);
    response.end(String(error));
  });
});
// Not as the first of several processes if another one makes the stream.
if (clients >= 0) drain(await streams.createNewResumableStream(name, makeStream));
server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => {
  console.log(`${server.address().port} ${process.pid}`);
});
