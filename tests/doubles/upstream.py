"""A real local HTTP server that speaks OpenAI's chat completions, with scripted faults.

Each request takes the next script from the queue; without one it gets `DEFAULT`. Runs in a thread
of its own, so that tests drive it from anywhere.
"""

import asyncio
import json
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.stream_server import serving_in_thread


@dataclass
class Script:
    """One answer. `steps` are bytes to send, seconds to pause, or a gate to wait at."""

    steps: Iterable["bytes | float | Gate"] = ()
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    """Close the connection without ending the body."""


class Gate:
    """A place where the answer waits until the test opens it. `reached` tells that it waits."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._opened = threading.Event()
        self._waiter: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    def open(self) -> None:
        self._opened.set()
        if self._waiter is not None:
            loop, event = self._waiter
            loop.call_soon_threadsafe(event.set)

    async def wait(self) -> None:
        event = asyncio.Event()
        self._waiter = (asyncio.get_running_loop(), event)
        self.reached.set()
        if not self._opened.is_set():
            await event.wait()


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    gone: threading.Event = field(default_factory=threading.Event)
    """Set when the client closed the connection before the answer was whole."""
    method: str = "POST"


def event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def piece(text: str) -> bytes:
    return event({"model": "test-model", "choices": [{"index": 0, "delta": {"content": text}}]})


def delta(**fields: Any) -> bytes:
    """A chunk whose delta has these fields."""
    choices = [{"index": 0, "delta": fields, "finish_reason": None}]
    return event({"object": "chat.completion.chunk", "model": "test-model", "choices": choices})


def reasoning(text: str, name: str = "reasoning_content") -> bytes:
    return delta(**{name: text})


def call(
    index: int, arguments: str = "", call_id: str | None = None, name: str | None = None
) -> bytes:
    """A delta of a call of a tool, as OpenAI sends it: id and name in the first one only."""
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    said: dict[str, Any] = {"index": index, "function": function}
    if call_id is not None:
        said = {"id": call_id, "type": "function", **said}
    return delta(tool_calls=[said])


def finish(reason: str = "stop") -> bytes:
    return event({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})


USAGE = event(
    {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}}
)
DONE = b"data: [DONE]\n\n"


def answer(*pieces: str, reason: str = "stop") -> list[bytes]:
    """The steps of a whole answer."""
    return [*map(piece, pieces), finish(reason), USAGE, DONE]


def refusal(status: int, code: str | None = None, message: str = "no", **headers: str) -> Script:
    error = {"message": message, "type": "test_error", "code": code, "param": None}
    return Script([json.dumps({"error": error}).encode()], status, headers)


DEFAULT = Script(answer("Hello", ", ", "world", "."))


class Upstream:
    def __init__(self) -> None:
        self.scripts: deque[Script] = deque()
        self.always = DEFAULT
        """What a request gets for which there is no script."""
        self.models: Script | None = None
        """What each reading of its list of models gets, which then uses up no script and is not
        among what was received. None: it is a request like any other."""
        self.received: list[Received] = []
        self.url = ""

    def reset(self) -> None:
        """As at the beginning, for the next test that shares it."""
        self.scripts.clear()
        self.always = DEFAULT
        self.models = None
        self.received.clear()

    def then(self, *scripts: Script) -> None:
        """What the next requests get."""
        self.scripts.extend(scripts)

    def script_for(self, received: Received) -> Script:
        return self.scripts.popleft() if self.scripts else self.always

    @contextmanager
    def running(self) -> Iterator["Upstream"]:
        with serving_in_thread(self._serve) as (port, _):
            self.url = f"http://127.0.0.1:{port}/v1"
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        method, path, _ = head[0].split(" ")
        received = Received(path, headers, json.loads(body or b"{}"), method=method)
        if self.models is not None and path.endswith("/models"):
            script = self.models
        else:
            script = self.script_for(received)
            self.received.append(received)
        answering = asyncio.create_task(self._answer(script, writer))
        hanging_up = asyncio.create_task(reader.read(1))
        try:
            await asyncio.wait({answering, hanging_up}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done() or answering.exception() is not None:
                received.gone.set()
        finally:
            answering.cancel()
            hanging_up.cancel()
            await asyncio.gather(answering, hanging_up, return_exceptions=True)

    async def _answer(self, script: Script, writer: asyncio.StreamWriter) -> None:
        kind = "text/event-stream" if script.status == 200 else "application/json"
        headers = {"content-type": kind, "transfer-encoding": "chunked", **script.headers}
        lines = [f"HTTP/1.1 {script.status} Scripted", *(f"{n}: {v}" for n, v in headers.items())]
        writer.write("\r\n".join([*lines, "connection: close", "", ""]).encode())
        for step in script.steps:
            if isinstance(step, Gate):
                await writer.drain()
                await step.wait()
            elif isinstance(step, float):
                await asyncio.sleep(step)
            elif step:
                writer.write(b"%x\r\n%b\r\n" % (len(step), step))
                await writer.drain()
        if script.cut:
            writer.transport.abort()
            return
        writer.write(b"0\r\n\r\n")
        await writer.drain()
