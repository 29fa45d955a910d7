"""What the fan-out is measured beside: a bare uvloop server, which is the most that a Python
process can do (it writes finished frames to sockets and nothing else), and FastAPI with
sse-starlette and one Redis pub/sub connection per client, which is what people write today.

    python -m benchmarks.peers bare|sse-starlette --rate 50 --seconds 10 [--redis URL]

Both print their port, then serve GET / as an event stream of so many stamped tokens a second, from
the moment that the first client is there.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import uvloop

CHANNEL = "bench"
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def content(number: int) -> bytes:
    """One frame as the service writes it, its token the moment that it was made."""
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


async def bare(rate: int, seconds: int) -> None:
    clients: set[Any] = set()
    first = asyncio.Event()

    class Client(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(_HEAD)
            clients.add(self.transport)
            first.set()

        def connection_lost(self, exc: Exception | None) -> None:
            clients.discard(self.transport)

    def publish(frame: bytes) -> None:
        chunk = b"%x\r\n%b\r\n" % (len(frame), frame)
        for client in list(clients):
            client.write(chunk)

    server = await asyncio.get_running_loop().create_server(Client, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await first.wait()
    await paced(rate, seconds, publish)
    while clients:
        await asyncio.sleep(0.1)


async def sse_starlette(rate: int, seconds: int, redis_url: str) -> None:
    import uvicorn  # noqa: PLC0415
    from fastapi import FastAPI  # noqa: PLC0415
    from redis.asyncio import Redis  # noqa: PLC0415
    from sse_starlette import EventSourceResponse, ServerSentEvent  # noqa: PLC0415

    app, redis = FastAPI(), Redis.from_url(redis_url, max_connections=100_000)
    first = asyncio.Event()

    async def events() -> AsyncIterator[ServerSentEvent]:
        async with redis.pubsub() as pubsub:
            await pubsub.subscribe(CHANNEL)
            first.set()
            async for message in pubsub.listen():
                if message["type"] == "message":
                    frame = message["data"].decode()
                    number, _, data = frame.partition("\ndata: ")
                    yield ServerSentEvent(id=number[4:], data=data.strip())
                    if frame.encode() == END:
                        return

    @app.get("/")
    async def stream() -> EventSourceResponse:
        return EventSourceResponse(events())

    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_level="error", access_log=False, backlog=4096)
    )
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.05)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    await first.wait()
    # The publisher is somebody else's process with others, too.
    code = f"from benchmarks.peers import publish; publish({rate}, {seconds}, {redis_url!r})"
    publisher = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    await publisher.wait()
    await asyncio.sleep(3)
    server.should_exit = True
    with contextlib.suppress(asyncio.CancelledError):
        await serving


def publish(rate: int, seconds: int, redis_url: str) -> None:
    from redis import Redis  # noqa: PLC0415

    redis = Redis.from_url(redis_url)
    asyncio.run(paced(rate, seconds, lambda frame: redis.publish(CHANNEL, frame)))


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("peer", choices=["bare", "sse-starlette"])
    arguments.add_argument("--rate", type=int, required=True)
    arguments.add_argument("--seconds", type=int, required=True)
    arguments.add_argument("--redis", default="")
    given = arguments.parse_args()
    if given.peer == "bare":
        uvloop.run(bare(given.rate, given.seconds))
    else:
        uvloop.run(sse_starlette(given.rate, given.seconds, given.redis))


if __name__ == "__main__":
    main()
