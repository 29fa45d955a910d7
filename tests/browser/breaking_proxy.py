"""An HTTP proxy that breaks what it passes, as told, one request after the other."""

import asyncio
import re
from collections import deque
from dataclasses import dataclass, field

from tests.tcp_proxy import TcpProxy

STREAM = "/api/tasks/stream?"


@dataclass(frozen=True)
class Status:
    """Answer with a status, as a proxy does by itself: with a page of HTML."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cut:
    """Pass this many bytes of the answer's body, and then reset the connection."""

    after: int
    politely: bool = False
    """End the body as if it were whole."""


class BreakingProxy(TcpProxy):
    """`streams` and `others` are the faults of the next requests, of streams and of other paths
    under /api. Without one a request passes."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.streams: deque[Status | Cut] = deque()
        self.others: deque[Status | Cut] = deque()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            await self._exchange(reader, writer)
            writer.close()
            await writer.wait_closed()
        finally:
            self._open.discard(writer)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        path = head.split(" ")[1]
        faults = self.streams if path.startswith(STREAM) else self.others
        fault = faults.popleft() if faults and path.startswith("/api/") else None
        if isinstance(fault, Status):
            _refuse(writer, fault)
            return
        # HTTP/1.0 to the service: one request per connection, and a body that ends with it.
        head = re.sub(r"(?im)^connection:.*\r\n", "", head)
        head = head.replace(" HTTP/1.1\r\n", " HTTP/1.0\r\n", 1)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.ports[0])
        self._open.add(far_writer)
        far_writer.write(head.encode("latin-1"))
        requesting = asyncio.create_task(self._pass(reader, far_writer))
        try:
            await self._answer(far_reader, writer, fault)
        finally:
            self._open.discard(far_writer)
            far_writer.transport.abort()
            requesting.cancel()
            await asyncio.wait({requesting})

    async def _answer(
        self, far: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Cut | None
    ) -> None:
        writer.write(await far.readuntil(b"\r\n\r\n"))
        if fault is None:
            await self._pass(far, writer)
            return
        writer.write(await far.readexactly(fault.after))
        await writer.drain()
        if not fault.politely:
            writer.transport.abort()


def _refuse(writer: asyncio.StreamWriter, fault: Status) -> None:
    page = "<html>Not now.</html>"
    lines = [f"HTTP/1.1 {fault.status} Broken", "Content-Type: text/html", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in fault.headers.items()]
    writer.write("\r\n".join([*lines, f"Content-Length: {len(page)}", "", page]).encode())
