"""The model of the benchmarks: a server that speaks chat completions, as fast as it is told to."""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator
from typing import Any

SLOTS = 20
"""Streams of one rate send their tokens at this many different moments."""

_DELTA = 'data: {"model":"bench","choices":[{"index":0,"delta":{%s}}]}\n\n'
_PIECE = _DELTA % '"content":"%s"'
_REASONING = _DELTA % '"reasoning_content":" token"'
_CALL = _DELTA % '"tool_calls":[{"index":0,"function":{"arguments":" token"}}]'
_MIXED = "".join(each * 5 for each in (_REASONING, _PIECE % " token", _CALL, _PIECE % " token"))
"""Twenty deltas, of which half are reasoning or a call of a tool."""
_FINISH = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


def message(data: bytes) -> tuple[bytes, bytes] | None:
    """Return head and body of an HTTP message, or None while it is incomplete."""
    head, found, body = data.partition(b"\r\n\r\n")
    return (head, body) if found and len(body) >= length_of(head) else None


def length_of(head: bytes) -> int:
    """Return the length of the body."""
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    return int(length[1]) if length else 0


class Upstream(asyncio.Protocol):
    """Speaks chat completions. The prompt is "<tokens> <tokens per second> [mixed]"; a rate of 0
    means as fast as the client reads, and may be mixed: half of the deltas are then reasoning or a
    call of a tool. The text of a token with a rate is the moment at which it was made."""

    def __init__(self, paces: dict[int, "Pace"], go: asyncio.Event) -> None:
        self._paces = paces
        self._go = go
        self._request = b""
        self._block, self._blocks = b"", 0
        self.left = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._request += data
        if (whole := message(self._request)) is None:
            return
        self._request = b""
        _, body = whole
        wanted = json.loads(body)["messages"][-1]["content"].split()
        tokens, rate, mixed = int(wanted[0]), int(wanted[1]), "mixed" in wanted
        self.transport.write(_HEAD)
        if rate:
            self.left = tokens
            if rate not in self._paces:
                self._paces[rate] = Pace(rate, self._go)
            self._paces[rate].add(self)
        else:
            block = _MIXED * 5 if mixed else _PIECE % " token" * 100
            self._block, self._blocks = block.encode(), tokens // 100
            self.resume_writing()

    def resume_writing(self) -> None:
        while self._blocks and self.transport.get_write_buffer_size() < 64 * 1024:
            self._blocks -= 1
            self.transport.write(self._block)
            if self._blocks == 0:
                self.finish()

    def finish(self) -> None:
        self.transport.write(_FINISH)
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.left = self._blocks = 0


class Pace:
    """All streams of one rate."""

    def __init__(self, rate: int, go: asyncio.Event) -> None:
        self._rate = rate
        self._go = go
        self._slots: list[list[Upstream]] = [[] for _ in range(SLOTS)]
        self._next = 0
        self._ticking = asyncio.create_task(self._tick())

    def add(self, stream: Upstream) -> None:
        self._slots[self._next % SLOTS].append(stream)
        self._next += 1

    async def _tick(self) -> None:
        await self._go.wait()
        began, ticks = time.perf_counter(), 0
        while True:
            ticks += 1
            due = began + ticks / (self._rate * SLOTS)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            slot = self._slots[ticks % SLOTS]
            for stream in slot:
                if stream.left:
                    stream.transport.write((_PIECE % f"{time.perf_counter_ns()};").encode())
                    stream.left -= 1
                    if not stream.left:
                        stream.finish()
            if not all(stream.left for stream in slot):
                slot[:] = [stream for stream in slot if stream.left]


@contextlib.asynccontextmanager
async def upstream(go: asyncio.Event | None = None) -> AsyncIterator[str]:
    """Run an upstream and yield its address. Streams with a rate begin at `go`, or at once."""
    if go is None:
        go = asyncio.Event()
        go.set()
    paces: dict[int, Pace] = {}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Upstream(paces, go), "127.0.0.1", 0, backlog=4096)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
