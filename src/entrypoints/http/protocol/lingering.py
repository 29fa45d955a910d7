"""Closing a connection behind its last response, with bytes of the client's still on their way.

Closed at once, it would be reset by the next byte that arrives, and the client would lose the
response (RFC 9112, section 9.6). So our direction is closed first, and the other is read on for a
while; what comes is dropped.
"""

import asyncio
from collections.abc import Callable

LINGER = 2.0
"""Seconds for which a connection is read on."""
LINGER_LIMIT = 1024 * 1024
"""Bytes that are read on."""


def bare_response(status: str) -> bytes:
    """The last response of a connection, with nothing in it but its status."""
    return f"HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode()


class LastResponse:
    """The transport as uvicorn sees it while it responds to a request with a body: `close` closes
    the connection gently."""

    __slots__ = ("_transport", "close")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self._transport = transport
        self.close = close

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def is_closing(self) -> bool:
        return self._transport.is_closing()
