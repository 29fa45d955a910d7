"""The peers and ceilings that the service is compared with.

    python -m benchmarks.peers bare|sse-starlette --clients 1000 --rate 50 --seconds 10 --redis URL
    python -m benchmarks.peers replay --events 10000
    python -m benchmarks.peers relay --upstream URL --tokens 10000
    python -m benchmarks.peers litestar
    python -m benchmarks.peers fastapi-start --redis URL --queue URL
    python -m benchmarks.peers openai-sdk --upstream URL --tokens 10000

`bare` is a uvloop server that writes encoded frames to sockets and does nothing else: the most that
a Python process can do. `sse-starlette`, with FastAPI and one Redis pub/sub connection per client,
is the usual way to write such a service. Both serve GET / as an event stream of `--rate` stamped
tokens a second, which begins once `--clients` clients are connected. `replay` writes `--events`
encoded frames at once. `relay` copies a stream of the upstream to each client. `litestar` responds
with an empty JSON object. `fastapi-start` starts tasks as such services are usually written:
FastAPI checks the body, redis-py writes a record that expires, QStash's SDK publishes the task, and
the response has its id. All of these print their port.

`openai-sdk` reads a completion through OpenAI's SDK and prints how many tokens a second it parsed.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import secrets
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import uvloop

CHANNEL = "bench"
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def content(number: int) -> bytes:
    """Return a frame as the service writes it. Its text is the moment at which it was made."""
    data = {
        "type": "content",
        "taskId": "task_1795473045574_0123456789abcdef01234567",
        "timestamp": time.time_ns() // 1_000_000,
        "data": f"{time.perf_counter_ns()};",
    }
    return b"id: 0123456789abcdef-%d\ndata: %b\n\n" % (number, json.dumps(data).encode())


END = b'id: 0123456789abcdef-0\ndata: {"type":"end"}\n\n'


async def paced(rate: int, seconds: int, publish: Callable[[bytes], Any]) -> None:
    began = time.perf_counter()
    for number in range(rate * seconds):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        publish(content(number + 1))
    publish(END)


async def listening(client: Callable[[], asyncio.Protocol]) -> asyncio.Server:
    server = await asyncio.get_running_loop().create_server(client, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    return server


async def on_uvicorn(app: Any) -> tuple[Any, asyncio.Task[None]]:
    import uvicorn  # noqa: PLC0415

    config = uvicorn.Config(app, port=0, log_level="critical", access_log=False, backlog=4096)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.05)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    return server, serving


async def bare(count: int, rate: int, seconds: int) -> None:
    clients: set[Any] = set()
    complete = asyncio.Event()

    class Client(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(_HEAD)
            clients.add(self.transport)
            if len(clients) == count:
                complete.set()

        def connection_lost(self, exc: Exception | None) -> None:
            clients.discard(self.transport)

    def publish(frame: bytes) -> None:
        chunk = b"%x\r\n%b\r\n" % (len(frame), frame)
        for client in list(clients):
            client.write(chunk)

    await listening(Client)
    await complete.wait()
    await asyncio.sleep(1)
    await paced(rate, seconds, publish)
    while clients:
        await asyncio.sleep(0.1)


async def replay(events: int) -> None:
    frames = b"".join([content(number + 1) for number in range(events)]) + END
    chunk = b"%x\r\n%b\r\n" % (len(frames), frames)

    class Client(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(_HEAD + chunk)

    await (await listening(Client)).serve_forever()


async def relay(url: str, tokens: int) -> None:
    loop = asyncio.get_running_loop()
    host, port = url.removeprefix("http://").partition("/")[0].split(":")
    body = json.dumps({"messages": [{"content": f"{tokens} 30"}]}).encode()
    request = b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)

    class Source(asyncio.Protocol):
        def __init__(self, client: Any) -> None:
            self.client = client

        def connection_made(self, transport: Any) -> None:
            transport.write(request)

        def data_received(self, data: bytes) -> None:
            self.client.write(data)

        def connection_lost(self, exc: Exception | None) -> None:
            self.client.close()

    class Client(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            source = loop.create_connection(lambda: Source(self.transport), host, int(port))
            self.opening = asyncio.ensure_future(source)

    await (await listening(Client)).serve_forever()


async def openai_sdk(url: str, tokens: int) -> None:
    from openai import AsyncOpenAI  # noqa: PLC0415

    async with AsyncOpenAI(api_key="bench", base_url=url) as client:
        for number in (100, tokens):  # the first warms up
            began, seen = time.perf_counter(), 0
            stream = await client.chat.completions.create(
                model="bench",
                messages=[{"role": "user", "content": f"{number} 0"}],
                stream=True,
            )
            async for chunk in stream:
                seen += bool(chunk.choices and chunk.choices[0].delta.content)
            assert seen == number, seen
            took = time.perf_counter() - began
    print(tokens / took)


async def sse_starlette(count: int, rate: int, seconds: int, redis_url: str) -> None:
    from fastapi import FastAPI  # noqa: PLC0415
    from redis.asyncio import Redis  # noqa: PLC0415
    from sse_starlette import EventSourceResponse, ServerSentEvent  # noqa: PLC0415

    app, redis = FastAPI(), Redis.from_url(redis_url, max_connections=100_000)
    complete, clients = asyncio.Event(), itertools.count(1)

    async def events() -> AsyncIterator[ServerSentEvent]:
        async with redis.pubsub() as pubsub:
            await pubsub.subscribe(CHANNEL)
            if next(clients) == count:
                complete.set()
            async for message in pubsub.listen():
                if message["type"] == "message":
                    frame = message["data"].decode()
                    number, _, data = frame.partition("\ndata: ")
                    yield ServerSentEvent(id=number[4:], data=data.strip())
                    if frame.encode() == END:
                        return

    async def stream() -> EventSourceResponse:
        return EventSourceResponse(events())

    app.add_api_route("/", stream, response_model=None)
    server, serving = await on_uvicorn(app)
    await complete.wait()
    await asyncio.sleep(1)
    # The publisher is another process, as it is for the other servers.
    code = f"from benchmarks.peers import publish; publish({rate}, {seconds}, {redis_url!r})"
    publisher = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    await publisher.wait()
    await asyncio.sleep(3)
    server.should_exit = True
    with contextlib.suppress(asyncio.CancelledError):
        await serving


async def litestar() -> None:
    from litestar import Litestar, post  # noqa: PLC0415

    @post("/", status_code=200)
    async def empty() -> dict[str, str]:
        return {}

    _, serving = await on_uvicorn(Litestar([empty], openapi_config=None))
    await serving


async def fastapi_start(redis_url: str, queue_url: str) -> None:
    from fastapi import FastAPI  # noqa: PLC0415
    from pydantic import BaseModel, Field  # noqa: PLC0415
    from qstash import AsyncQStash  # noqa: PLC0415
    from qstash.message import PublishResponse  # noqa: PLC0415
    from redis.asyncio import Redis  # noqa: PLC0415

    app, redis = FastAPI(), Redis.from_url(redis_url)
    queue = AsyncQStash("bench", base_url=queue_url)

    class Start(BaseModel, extra="forbid"):
        prompt: str = Field(min_length=1, max_length=1_000_000)
        model: str = Field(default="bench", max_length=200)
        max_tokens: int | None = Field(default=None, ge=1)
        temperature: float | None = Field(default=None, ge=0, le=2)

    async def start(body: Start) -> dict[str, str]:
        task_id = f"task_{secrets.token_hex(12)}"
        record: dict[Any, Any] = {"status": "pending", "createdAt": time.time()}
        record["request"] = body.model_dump_json()
        async with redis.pipeline() as pipe:
            pipe.hset(f"task:{task_id}", mapping=record)
            pipe.expire(f"task:{task_id}", 86_400)
            await pipe.execute()
        message = {"taskId": task_id, "request": body.model_dump()}
        sent = await queue.message.publish_json(url="http://longtask.test/run", body=message)
        assert isinstance(sent, PublishResponse)
        await redis.hset(f"task:{task_id}", "messageId", sent.message_id)
        return {"taskId": task_id, "status": "pending"}

    app.add_api_route("/start", start, methods=["POST"], status_code=202)
    _, serving = await on_uvicorn(app)
    await serving


def publish(rate: int, seconds: int, redis_url: str) -> None:
    from redis import Redis  # noqa: PLC0415

    redis = Redis.from_url(redis_url)
    asyncio.run(paced(rate, seconds, lambda frame: redis.publish(CHANNEL, frame)))


PEERS: dict[str, Callable[[argparse.Namespace], Coroutine[Any, Any, None]]] = {
    "bare": lambda given: bare(given.clients, given.rate, given.seconds),
    "sse-starlette": lambda given: sse_starlette(
        given.clients, given.rate, given.seconds, given.redis
    ),
    "replay": lambda given: replay(given.events),
    "relay": lambda given: relay(given.upstream, given.tokens),
    "litestar": lambda _: litestar(),
    "fastapi-start": lambda given: fastapi_start(given.redis, given.queue),
    "openai-sdk": lambda given: openai_sdk(given.upstream, given.tokens),
}


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("peer", choices=PEERS)
    arguments.add_argument("--clients", type=int, default=1)
    arguments.add_argument("--rate", type=int, default=50)
    arguments.add_argument("--seconds", type=int, default=10)
    arguments.add_argument("--redis", default="")
    arguments.add_argument("--queue", default="")
    arguments.add_argument("--events", type=int, default=10_000)
    arguments.add_argument("--upstream", default="")
    arguments.add_argument("--tokens", type=int, default=10_000)
    given = arguments.parse_args()
    uvloop.run(PEERS[given.peer](given))


if __name__ == "__main__":
    main()
