"""Services as they are usually written in Python.

`sse-starlette`: FastAPI, an EventSourceResponse for each reader, and one Redis pub/sub connection
for each, on uvicorn with uvloop, httptools and hiredis. It serves GET / as a stream of `--rate`
stamped tokens a second, which begins once `--clients` clients are connected. Pub/sub keeps nothing,
so it has no replay. `sse-starlette-log` keeps the events in a Redis stream instead, and gives each
reader what it has, in pages of a thousand (XRANGE), and then what comes (XREAD BLOCK, with a
connection for each reader); the id of an event is that of its entry, so that Last-Event-ID
resumes. GET / has `--events` of them and the end.

`fastapi-start` starts tasks: FastAPI checks the body, redis-py writes a record that expires,
QStash's SDK publishes the task, and the response has its id.
"""

import asyncio
import itertools
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from benchmarks.peers.frames import END_DATA, Shape, data, on_uvicorn, paced

PAGE = 1_000


class Publishing:
    """Makes the events in a process of its own, as the other servers' are made, on the cores that
    this process had when it began."""

    def __init__(self, shape: Shape, redis_url: str) -> None:
        self._given = (shape, redis_url, os.sched_getaffinity(0))

    async def run(self, command: str) -> None:
        code = f"from benchmarks.peers.usual import *; publish({command!r}, *{self._given!r})"
        await (await asyncio.create_subprocess_exec(sys.executable, "-c", code)).wait()


def publish(command: str, shape: Shape, redis_url: str, cores: set[int]) -> None:
    """Publish the events with PUBLISH or XADD."""
    from redis import Redis  # noqa: PLC0415

    os.sched_setaffinity(0, cores)
    redis = Redis.from_url(redis_url)
    if command == "publish":
        asyncio.run(paced(shape, lambda data: redis.publish(shape.name, data)))
    else:
        asyncio.run(paced(shape, lambda data: redis.xadd(shape.name, {"data": data})))


async def sse_starlette(shape: Shape, redis_url: str) -> None:
    from fastapi import FastAPI  # noqa: PLC0415
    from redis.asyncio import Redis  # noqa: PLC0415
    from sse_starlette import EventSourceResponse, ServerSentEvent  # noqa: PLC0415

    app, redis = FastAPI(), Redis.from_url(redis_url, max_connections=100_000)
    complete, clients = asyncio.Event(), itertools.count(1)
    publishing = Publishing(shape, redis_url)

    async def events() -> AsyncIterator[ServerSentEvent]:
        async with redis.pubsub() as pubsub:
            await pubsub.subscribe(shape.name)
            yield ServerSentEvent(comment="hi")
            if next(clients) == shape.clients:
                complete.set()
            numbers = itertools.count(1)
            async for message in pubsub.listen():
                if message["type"] == "message":
                    yield ServerSentEvent(id=str(next(numbers)), data=message["data"].decode())
                    if message["data"] == END_DATA:
                        return

    async def stream() -> EventSourceResponse:
        return EventSourceResponse(events())

    app.add_api_route("/", stream, response_model=None)
    _, serving = await on_uvicorn(app)
    await complete.wait()
    await asyncio.sleep(1)
    await publishing.run("publish")
    await serving


async def sse_starlette_log(shape: Shape, redis_url: str) -> None:
    from fastapi import FastAPI, Header  # noqa: PLC0415
    from redis.asyncio import Redis  # noqa: PLC0415
    from sse_starlette import EventSourceResponse, ServerSentEvent  # noqa: PLC0415

    app, redis = FastAPI(), Redis.from_url(redis_url, max_connections=100_000)
    complete, clients = asyncio.Event(), itertools.count(1)
    publishing = Publishing(shape, redis_url)
    if shape.events:
        async with redis.pipeline(transaction=False) as pipe:
            for number in range(shape.events):
                pipe.xadd(shape.name, {"data": data(number + 1)})
            pipe.xadd(shape.name, {"data": END_DATA})
            await pipe.execute()

    async def read(last: str) -> AsyncIterator[ServerSentEvent]:
        yield ServerSentEvent(comment="hi")
        if next(clients) == shape.clients:
            complete.set()
        while True:
            found: Any = await redis.xrange(shape.name, f"({last}", count=PAGE)
            if not found:
                await redis.xread({shape.name: last}, count=1, block=15_000)
                continue
            for entry, fields in found:
                last = entry.decode()
                yield ServerSentEvent(id=last, data=fields[b"data"].decode())
                if fields[b"data"] == END_DATA:
                    return

    async def stream(last_event_id: Annotated[str, Header()] = "0") -> EventSourceResponse:
        return EventSourceResponse(read(last_event_id))

    app.add_api_route("/", stream, response_model=None)
    _, serving = await on_uvicorn(app)
    await complete.wait()
    if not shape.events:
        await asyncio.sleep(1)
        await publishing.run("xadd")
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
