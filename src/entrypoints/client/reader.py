"""Reads streams through every loss of the connection: that of a task to its end, and that of all
tasks."""

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import httpx
import httpx_sse

from entrypoints.client.api import Api, ServiceError
from entrypoints.client.printing import Event, Show, say

RECONNECT_PAUSE = 1.0
RECONNECT_LIMIT = 60
"""Failed connections in a row after which it gives up."""
_EVENT_STREAM = "text/event-stream"


async def read_events(
    api: Api, task_id: str, show: Show, after: str = "", *, reached: bool
) -> Event | None:
    """Show the events of a task behind the one with the id `after`; return the last one, None if
    there is nothing behind it. `reached`: whether the service is known to be there, so that the
    first connection is tried again too. Raises `ServiceError`."""
    last: Event | None = None

    async def take(event_id: str, event: Event) -> bool:
        nonlocal last
        show(event_id, event)
        if event["type"] in ("end", "error"):
            last = event
        return last is not None

    await receive(api, partial(api.stream, task_id), take, after, reached=reached)
    return last


async def receive(
    api: Api,
    connect: Callable[[str], AbstractAsyncContextManager[httpx_sse.EventSource]],
    take: Callable[[str, Event], Awaitable[bool]],
    after: str = "",
    *,
    reached: bool,
    tell: Callable[[str], None] = say,
) -> None:
    """Hand the events of a stream to `take`, each with its id, until that returns True or the
    service has nothing to send. `connect` opens the stream behind an id. What `take` raises of a
    call that may succeed later counts as a lost connection; `tell` is told of the first of
    several in a row. `reached`: as above. Raises `ServiceError`."""
    failures = 0
    while True:
        try:
            async with connect(after) as source:
                status = source.response.status_code
                if status == 204:
                    return
                streams = source.response.headers.get("content-type", "").startswith(_EVENT_STREAM)
                there = reached or (status == 200 and streams)
                if not there or (status != 200 and status < 500):
                    await source.response.aread()
                    raise api.refusal(source.response)
                source.response.raise_for_status()  # such as a proxy whose server is down
                failures, reached = 0, True
                async for each in source.aiter_sse():
                    after = each.id or after
                    if each.data and await take(each.id, _event(each.data)):
                        return
        except (httpx.HTTPError, ServiceError) as error:
            if isinstance(error, ServiceError) and not (reached and error.passing):
                raise
            if not reached:
                raise api.unreachable(error) from error
            failures += 1
            if failures > RECONNECT_LIMIT:
                raise ServiceError("the server did not come back") from error
            if failures == 1:
                tell(f"connection lost ({type(error).__name__}), resuming after the last event")
        await asyncio.sleep(RECONNECT_PAUSE)


def interrupts() -> asyncio.Queue[None]:
    """From here on, let Ctrl-C and SIGTERM put something into the queue that is returned."""
    queue: asyncio.Queue[None] = asyncio.Queue()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, queue.put_nowait, None)
    return queue


async def ends_first(
    reading: asyncio.Task[Any], interrupted: asyncio.Queue[None], timeout: float | None
) -> bool:
    """Wait for the end of the reading, an interrupt or the timeout. Return whether it was the
    end."""
    interrupt = asyncio.create_task(interrupted.get())
    await asyncio.wait({reading, interrupt}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    interrupt.cancel()
    return reading.done()


async def stop(reading: asyncio.Task[Any]) -> None:
    """End a reading that has not ended."""
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


def _event(data: str) -> Event:
    try:
        event = json.loads(data)
        _ = event["type"]
    except (ValueError, KeyError, TypeError) as error:
        raise ServiceError("the server sent what is no event of a task") from error
    return dict(event)
