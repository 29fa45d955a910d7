"""A real local server that receives webhooks. It records what comes, and responds as a test says,
also in ways that no HTTP server does."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from tests.stream_server import serving

Respond: TypeAlias = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Received:
    head: str
    """The request line."""
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    port: int = 0
    connections: int = 0
    received: list[Received] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?of=longtask"


def responding(text: str) -> Respond:
    """Respond with these bytes, and nothing else."""

    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(text.encode())
        await writer.drain()

    return respond


OK = responding("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


@asynccontextmanager
async def receiving(
    respond: Respond = OK, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[Receiver, None]:
    receiver = Receiver()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        receiver.connections += 1
        text = (await reader.readuntil(b"\r\n\r\n")).decode()
        head, *lines = text.rstrip().split("\r\n")
        pairs = (line.split(": ", 1) for line in lines)
        headers = {name.lower(): value for name, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        receiver.received.append(Received(head, headers, body))
        await respond(writer)

    async with serving(serve, tls=tls) as receiver.port:
        yield receiver
