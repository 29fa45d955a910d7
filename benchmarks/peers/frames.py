"""What all peers send, at which pace, and how they are reached."""

import asyncio
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
OPENED = b": hi\n\n"
"""The comment with which each stream begins, so that its client sees that it is open."""


def content(number: int) -> bytes:
    """Return a frame as the service writes it. Its text is the moment at which it was made."""
    return b"id: 0123456789abcdef-%d\ndata: %b\n\n" % (number, data(number))


def data(number: int, size: int = 0) -> bytes:
    """Return the data of an event, which has its number, and `size` characters after its moment."""
    event = {
        "type": "content",
        "taskId": f"task_1795473045574_{number:024x}",
        "timestamp": time.time_ns() // 1_000_000,
        "data": f"{time.perf_counter_ns()};{'x' * size}",
    }
    return json.dumps(event).encode()


END_DATA = b'{"type":"end"}'
END = b"id: 0123456789abcdef-0\ndata: %b\n\n" % END_DATA


@dataclass(frozen=True)
class Shape:
    """Of the stream that a peer has."""

    clients: int
    """It begins once so many are connected,"""
    rate: int
    """has so many events a second,"""
    seconds: int
    """for so long,"""
    size: int
    """and so many characters in each beside its moment."""
    events: int
    """If not 0, it has so many events already, and its end."""
    name: str
    """It is that of any other process that has the same name and Redis."""


async def paced(shape: Shape, publish: Callable[[bytes], Any]) -> None:
    """Publish the data of the events at their moments, and that of the end."""
    began = time.perf_counter()
    for number in range(shape.rate * shape.seconds):
        await asyncio.sleep(max(0.0, began + number / shape.rate - time.perf_counter()))
        publish(data(number + 1, shape.size))
    publish(END_DATA)


def chunk(frames: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(frames), frames)


def announce(port: int, pid: int | None = None) -> None:
    """Tell the benchmark where the peer listens, and which process does the work."""
    print(port, pid or os.getpid(), flush=True)


async def listening(client: Callable[[], asyncio.Protocol]) -> asyncio.Server:
    server = await asyncio.get_running_loop().create_server(client, "127.0.0.1", 0, backlog=4096)
    announce(server.sockets[0].getsockname()[1])
    return server


async def on_uvicorn(app: Any) -> tuple[Any, asyncio.Task[None]]:
    """Serve an application. Return its server, and the task that runs it."""
    import uvicorn  # noqa: PLC0415

    config = uvicorn.Config(app, port=0, log_level="critical", access_log=False, backlog=4096)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.05)
    announce(server.servers[0].sockets[0].getsockname()[1])
    return server, serving
