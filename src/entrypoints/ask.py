"""`longtask ask`: start a task and print its text as it arrives.

The text goes to standard output, everything else to standard error. At a terminal it is printed as
it arrives. A file or a pipe gets it once the task has ended: only the text that counts, and nothing
of a lost attempt. After a lost connection it reconnects and continues after the last event that it
received.
"""

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx
import httpx_sse

from entrypoints.host_names import host_of, is_loopback
from entrypoints.server import AddressTaken, Service
from entrypoints.settings import Settings
from entrypoints.settings.group import is_http_url
from entrypoints.terminal import printable

COMPLETED, FAILED, CANCELLED = 0, 1, 130
RECONNECT_PAUSE = 1.0
RECONNECT_LIMIT = 60
"""Failed connections in a row after which it gives up."""
_EMPTY_BY_LIMIT = (
    "the answer is empty: the limit of tokens was used up before it began, as models do that "
    "reason first. "
)


@dataclass(frozen=True, slots=True)
class Asked:
    body: dict[str, Any]


def ask_server(url: str, asked: Asked, key: str | None = None) -> int:
    """Ask a running service; return the exit status. `key` is an API key, if it requires one."""
    url = with_scheme(url).rstrip("/")
    if not is_http_url(url):
        _say(f"{url} is not the URL of a service, such as http://localhost:8000")
        return FAILED
    return asyncio.run(_ask(url, asked, key))


def with_scheme(address: str) -> str:
    """Return the URL of a server that may be given without `http://` or `https://`. Only to this
    machine is anything sent unencrypted without being told so."""
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
            _say(str(error))
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
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted.set)
    # The service sends a comment at every ping interval (15 s by default), so a connection without
    # a byte for three of them is dead.
    timeout = httpx.Timeout(10.0, read=45.0)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(base_url=url, timeout=timeout, headers=headers) as client:
        try:
            response = await client.post("/api/tasks/start", json=asked.body)
        except httpx.HTTPError as error:
            _say(f"cannot reach {url} ({type(error).__name__}): is the service running?")
            return FAILED
        if response.status_code != 202:
            _say(_problem(response))
            return FAILED
        task_id = response.json()["taskId"]
        _say(f"task {task_id}")
        following = asyncio.create_task(_follow(client, task_id, asked))
        stopping = asyncio.create_task(interrupted.wait())
        await asyncio.wait({following, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if following.done():
            return following.result()
        _say("cancelling")
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
        with suppress(httpx.HTTPError, ValueError):
            response = await client.post(f"/api/tasks/{task_id}/cancel")
            if response.is_success and not sys.stdout.isatty():
                _print_whole(response.json().get("text", ""))
        return CANCELLED


async def _follow(client: httpx.AsyncClient, task_id: str, asked: Asked) -> int:
    printer = _Printer(limited="maxTokens" in asked.body)
    failures = 0
    while printer.status is None:
        query = {"taskId": task_id}
        headers = {"Last-Event-ID": printer.last_event} if printer.last_event else {}
        try:
            async with httpx_sse.aconnect_sse(
                client, "GET", "/api/tasks/stream", params=query, headers=headers
            ) as source:
                status = source.response.status_code
                if status < 500 and status != 200:
                    await source.response.aread()
                    _say(_problem(source.response))
                    return FAILED
                source.response.raise_for_status()  # such as a proxy whose server is down
                failures = 0
                async for event in source.aiter_sse():
                    if event.data:
                        printer.show(event.id, json.loads(event.data))
        except httpx.HTTPError as error:
            failures += 1
            if failures > RECONNECT_LIMIT:
                _say("the server did not come back")
                return FAILED
            _say(f"connection lost ({type(error).__name__}), resuming after the last event")
        if printer.status is None:
            await asyncio.sleep(RECONNECT_PAUSE)
    return printer.status


class _Printer:
    """Prints the events of one task, and keeps what a reconnection and the exit need."""

    def __init__(self, *, limited: bool = False) -> None:
        """`limited`: whether the user set the limit of tokens."""
        self._limited = limited
        self.status: int | None = None
        self.last_event = ""
        self._began = time.monotonic()
        self._live = sys.stdout.isatty()
        self._shown = False

    def show(self, event_id: str, event: dict[str, Any]) -> None:
        self.last_event = event_id or self.last_event
        match event["type"]:
            case "content" if self._live:
                sys.stdout.write(printable(event["data"]))
                sys.stdout.flush()
                self._shown = True
            case "status":
                self._show_status(event)
            case "end":
                self._close_line()
                if not self._live:
                    _print_whole(event["data"])
                self._show_end(event)
            case "error":
                self._close_line()
                self.status = FAILED
                _say(f"failed: {event['data']} ({event['code']})")

    def _show_status(self, event: dict[str, Any]) -> None:
        if event["data"] == "running" and event["attempt"] > 1:
            self._close_line()
            _say(f"starting over: attempt {event['attempt']}")
        elif event["data"] in ("pending", "running"):
            self._close_line()
            reason = f" ({event['reason']})" if "reason" in event else ""
            _say(f"{event['data']}{reason}")

    def _show_end(self, event: dict[str, Any]) -> None:
        reason, usage = event["finishReason"], event.get("usage") or {}
        tokens, reasoning = usage.get("completionTokens"), usage.get("reasoningTokens")
        counted = f", {tokens} tokens" if tokens is not None else ""
        if reasoning:
            counted += f", {reasoning} of them for reasoning"
        _say(f"{reason}: {event['model']}, {self._seconds()} s{counted}")
        self.status = COMPLETED
        if reason == "cancelled":
            self.status = CANCELLED
        elif not event["data"]:
            self.status = FAILED
            _say(self._why_empty(reason))

    def _why_empty(self, reason: str) -> str:
        if reason != "length":
            return "the answer is empty"
        if self._limited:
            return f"{_EMPTY_BY_LIMIT}Raise --max-tokens, or leave it out"
        return f"{_EMPTY_BY_LIMIT}Set a larger limit with --max-tokens"

    def _close_line(self) -> None:
        if self._shown:
            sys.stdout.write("\n")
            sys.stdout.flush()
            self._shown = False

    def _seconds(self) -> str:
        return f"{time.monotonic() - self._began:.1f}"


def _print_whole(text: str) -> None:
    """Write the text of a task that has ended to a file or a pipe."""
    if text:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


def _problem(response: httpx.Response) -> str:
    advice = " (set --key or LONGTASK_KEY)" if response.status_code == 401 else ""
    try:
        return f"{response.status_code}: {response.json()['error']}{advice}"
    except (ValueError, KeyError, TypeError):
        known = response.status_code >= 500  # a proxy whose service is down
        doubt = "" if known else ", but not as Longtask does: is --server right?"
        return f"the server responded with {response.status_code}{doubt}"


def _say(line: str) -> None:
    print(printable(line), file=sys.stderr, flush=True)
