"""Start a task at a service, and follow it to its end through every loss of the connection."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx
import httpx_sse

from entrypoints.ask.printing import CANCELLED, FAILED, Show, exit_status, say
from entrypoints.host_names import host_of, is_loopback
from entrypoints.server import Service
from entrypoints.settings import Settings
from entrypoints.settings.group import is_http_url
from entrypoints.sockets import AddressTaken

RECONNECT_PAUSE = 1.0
RECONNECT_LIMIT = 60
"""Failed connections in a row after which it gives up."""
CANCEL_TIMEOUT = 10.0
"""Seconds within which the end of a cancelled task must arrive."""


@dataclass(frozen=True, slots=True)
class Asked:
    body: dict[str, Any]
    """The body of the start."""
    printer: Callable[[], Show]
    """Is called when the task has started."""


def ask_server(url: str, asked: Asked, key: str | None = None) -> int:
    """Ask a running service; return the exit status. `key` is an API key, if it requires one."""
    url = with_scheme(url).rstrip("/")
    if not is_http_url(url):
        say(f"{url} is not the URL of a service, such as http://localhost:8000")
        return FAILED
    return asyncio.run(_ask(url, asked, key))


def with_scheme(address: str) -> str:
    """Return the URL of a server that may be given without `http://` or `https://`: it is https,
    except on this machine."""
    address = address.strip()
    if "://" in address:
        return address
    host = host_of(address.partition("/")[0])
    return f"{'http' if is_loopback(host) else 'https'}://{address}"


def ask_embedded(settings: Settings, asked: Asked) -> int:
    """Ask a service that runs for this prompt only; return the exit status."""

    async def run() -> int:
        try:
            service = Service(settings, signals=False)
        except AddressTaken as error:
            say(str(error))
            return FAILED
        async with _running(service):
            return await _ask(service.url, asked)

    return asyncio.run(run())


@asynccontextmanager
async def _running(service: Service) -> AsyncIterator[None]:
    ready = asyncio.Event()
    serving = asyncio.create_task(service.run(ready.set))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        yield
    finally:
        service.stop()
        await serving


async def _ask(url: str, asked: Asked, key: str | None = None) -> int:
    interrupts: asyncio.Queue[None] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupts.put_nowait, None)
    # The service sends a comment at every ping interval (15 s by default), so a connection without
    # a byte for three of them is dead.
    timeout = httpx.Timeout(10.0, read=45.0)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(base_url=url, timeout=timeout, headers=headers) as client:
        try:
            response = await client.post("/api/tasks/start", json=asked.body)
        except httpx.HTTPError as error:
            say(f"cannot reach {url} ({type(error).__name__}): is the service running?")
            return FAILED
        if response.status_code != 202:
            say(_problem(response))
            return FAILED
        task_id = response.json()["taskId"]
        say(f"task {task_id}")
        following = asyncio.create_task(_follow(client, task_id, asked.printer()))
        if not await _first(following, interrupts, timeout=None):
            say("cancelling")
            with suppress(httpx.HTTPError):
                response = await client.post(f"/api/tasks/{task_id}/cancel")
                if response.is_success:  # the stream has the end, and what is kept of the text
                    await _first(following, interrupts, timeout=CANCEL_TIMEOUT)
        if following.done():
            return following.result()
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
        return CANCELLED


async def _first(
    following: asyncio.Task[int], interrupts: asyncio.Queue[None], timeout: float | None
) -> bool:
    """Wait for the end of the task, an interrupt or the timeout. Return whether it was the end."""
    interrupted = asyncio.create_task(interrupts.get())
    await asyncio.wait(
        {following, interrupted}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
    )
    interrupted.cancel()
    return following.done()


async def _follow(client: httpx.AsyncClient, task_id: str, show: Show) -> int:
    """Print the events of a task to its end; return the exit status."""
    last_event = ""
    failures = 0
    while True:
        query = {"taskId": task_id}
        headers = {"Last-Event-ID": last_event} if last_event else {}
        try:
            async with httpx_sse.aconnect_sse(
                client, "GET", "/api/tasks/stream", params=query, headers=headers
            ) as source:
                status = source.response.status_code
                if status < 500 and status != 200:
                    await source.response.aread()
                    say(_problem(source.response))
                    return FAILED
                source.response.raise_for_status()  # such as a proxy whose server is down
                failures = 0
                async for each in source.aiter_sse():
                    if not each.data:
                        continue
                    last_event = each.id or last_event
                    event = json.loads(each.data)
                    show(each.id, event)
                    if (ended := exit_status(event)) is not None:
                        return ended
        except httpx.HTTPError as error:
            failures += 1
            if failures > RECONNECT_LIMIT:
                say("the server did not come back")
                return FAILED
            say(f"connection lost ({type(error).__name__}), resuming after the last event")
        await asyncio.sleep(RECONNECT_PAUSE)


def _problem(response: httpx.Response) -> str:
    advice = " (set --key or LONGTASK_KEY)" if response.status_code == 401 else ""
    try:
        return f"{response.status_code}: {response.json()['error']}{advice}"
    except (ValueError, KeyError, TypeError):
        known = response.status_code >= 500  # a proxy whose service is down
        doubt = "" if known else ", but not as Longtask does: is --server right?"
        return f"the server responded with {response.status_code}{doubt}"
