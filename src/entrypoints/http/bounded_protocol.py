"""HTTP/1.1 on uvicorn, with bounds that it does not have: on the size of a request's head, and on
the time that a client takes to send the head and then the body. How long an answer takes is not
bounded here: an event stream is one.

And with a short way for those streams, an ASGI extension. ASGI's own `send` costs several times the
write itself, since each call of it goes through every middleware and has to be awaited by a task of
the response; its `receive` takes another task to learn that the client went away.
"""

import asyncio
from collections.abc import Callable
from functools import cached_property, lru_cache, partial
from typing import Any, cast

from litestar.types import Scope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_LIMIT = 32 * 1024
"""Bytes of request line and headers."""
_EXTENSION = "longtask.line"


class Line:
    """A connection, for the one response that goes out on it at a time."""

    __slots__ = ("_closed", "_flow", "_transport")

    def __init__(self, transport: asyncio.Transport, flow: FlowControl) -> None:
        self._transport = transport
        self._flow = flow
        self._closed: Callable[[], None] | None = None

    def push(self, piece: bytes) -> bool:
        """Write a piece of a body without a Content-Length, between `send`s of the same. False if
        it was not written, since the client is gone or slow: `send` would wait."""
        if self._flow.write_paused or self._transport.is_closing():
            return False
        self._transport.write(_chunk(piece))
        return True

    def on_close(self, closed: Callable[[], None] | None) -> None:
        """Have `closed` called when the connection is lost; at once if it has been."""
        self._closed = closed
        if closed is not None and self._transport.is_closing():
            closed()

    def close(self) -> None:
        if self._closed is not None:
            self._closed()


def line_of(scope: Scope) -> Line:
    """That of the response to this request."""
    return cast("Line", (scope.get("extensions") or {})[_EXTENSION]["line"])


@lru_cache(maxsize=1)
def _chunk(piece: bytes) -> bytes:
    """Of the chunked encoding. A crowd gets the same piece, one after the other."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


class _Flow(FlowControl):
    """uvicorn's, but for an event that takes a KiB and that hardly anybody ever waits for: here it
    is made when it is."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.read_paused = self.write_paused = False

    @cached_property
    def _is_writable_event(self) -> asyncio.Event:  # type: ignore[override]
        event = asyncio.Event()
        event.set()
        return event


class HeadTooLarge(Exception):
    """Raised within the parser, to stop it."""


class BoundedProtocol(HttpToolsProtocol):
    # With these in it, its dict would have more entries than Python shares the keys of: a KiB more
    # for every connection.
    __slots__ = ("_head", "_line", "_patience", "_waiting")

    def __init__(self, *args: Any, patience: float, **options: Any) -> None:
        super().__init__(*args, **options)
        self._patience = patience
        self._head = 0
        self._waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport)
        self._line = Line(transport, self.flow)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrived()
        super().connection_lost(exc)
        self._line.close()

    def on_message_begin(self) -> None:
        self._head = 0
        self._wait()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._take(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._take(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._wait()
        self.scope["extensions"] = {_EXTENSION: {"line": self._line}}
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._arrived()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._arrived()
        if not self.transport.is_closing():  # else it was refused with another status already
            super().send_400_response(msg)

    def _take(self, size: int) -> None:
        self._head += size
        if self._head > HEAD_LIMIT:
            self._refuse("431 Request Header Fields Too Large")
            raise HeadTooLarge

    def _wait(self) -> None:
        self._arrived()
        self._waiting = self.loop.call_later(self._patience, self._refuse, "408 Request Timeout")

    def _arrived(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _refuse(self, status: str) -> None:
        self._arrived()
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            head = f"HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            self.transport.write(head.encode())
        self.transport.close()


def bounded_protocol(patience: float) -> Any:
    """What uvicorn is to make connections with: `patience` in seconds, for the head and for the
    body."""
    return partial(BoundedProtocol, patience=patience)
