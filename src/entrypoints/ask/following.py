"""Start a task at a service, and follow it to its end through every loss of the connection."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from entrypoints.client.api import Api, ServiceError
from entrypoints.client.printing import CANCELLED, FAILED, Show, exit_status, say, say_when
from entrypoints.client.reader import ends_first, interrupts, read_events, stop
from entrypoints.client.server import Server

CANCEL_TIMEOUT = 10.0
"""Seconds within which the end of a cancelled task must arrive."""


@dataclass(frozen=True, slots=True)
class Asked:
    body: dict[str, Any]
    """The body of the start."""
    printer: Callable[[], Show]
    """Is called when the task has started."""


def ask_server(server: Server, asked: Asked) -> int:
    """Ask a running service; return the exit status. Raises `ServiceError`."""
    return asyncio.run(ask(server, asked))


def start_at(server: Server, body: dict[str, Any]) -> dict[str, Any]:
    """Start a task and leave it to run; return what the service says of it. Raises
    `ServiceError`."""

    async def run() -> dict[str, Any]:
        async with Api(server) as api:
            return await api.start(body)

    return asyncio.run(run())


async def ask(server: Server, asked: Asked) -> int:
    """Start a task and follow it to its end, or cancel it after Ctrl-C; return the exit status.
    Raises `ServiceError`."""
    interrupted = interrupts()
    async with Api(server) as api:
        started = await api.start(asked.body)
        task_id = started["taskId"]
        say(f"task {task_id}")
        say_when(started)
        reading = asyncio.create_task(read_events(api, task_id, asked.printer(), reached=True))
        if not await ends_first(reading, interrupted, timeout=None):
            say("cancelling")
            with suppress(ServiceError):
                await api.cancel(task_id)
                # The stream has the end, and what is kept of the text.
                await ends_first(reading, interrupted, timeout=CANCEL_TIMEOUT)
        if reading.done():
            last = reading.result()
            return FAILED if last is None else exit_status(last)
        await stop(reading)
        return CANCELLED
