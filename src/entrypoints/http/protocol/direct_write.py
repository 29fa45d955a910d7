"""Direct write: pieces of a response straight to the connection, as an ASGI extension.

ASGI's own `send` costs several times the write itself, since each call of it goes through every
middleware and has to be awaited by a task of the response; its `receive` takes another task to
learn that the client went away.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol, cast

from litestar.types import Receive, Scope, Send
from uvicorn.protocols.http.flow_control import FlowControl

_EXTENSION = "longtask.direct_write"


class Detachable(Protocol):
    """A connection whose current response may outlive the task of its request."""

    def detach_response(self) -> None:
        """Forget the request. Its task may end without completing the response."""
        ...

    def finish_response(self) -> None:
        """Complete the response that was detached: the next request may be handled."""
        ...


class DirectWriter:
    """A connection, for the one response that goes out on it at a time."""

    __slots__ = ("_closed", "_connection", "_flow", "_transport", "chunked", "ended", "written")

    def __init__(
        self, connection: Detachable, transport: asyncio.Transport, flow: FlowControl
    ) -> None:
        self._connection = connection
        self._transport = transport
        self._flow = flow
        self._closed: Callable[[], None] | None = None
        self.written = 0
        """Bytes of bodies that were written by `push` and `write`."""
        self.chunked = True
        """Whether the response is in the chunked encoding, which HTTP/1.0 does not know."""
        self.ended = False
        """Whether the client has closed its direction."""

    def push(self, piece: bytes) -> bool:
        """Write a piece of a body without a Content-Length, between `send`s of the same. False if
        it was not written, since the client is gone or slow: `send` would wait."""
        if self._flow.write_paused or self._transport.is_closing():
            return False
        self._transport.write(_chunk(piece) if self.chunked else piece)
        self.written += len(piece)
        return True

    async def write(self, send: Send, body: bytes, *, more: bool = True) -> None:
        """Write a piece of a body by ASGI's `send`, and return once the client has taken most of
        it, or is gone. What it does not take is held once, in the transport, where it is counted
        (`unsent`): so nothing else should be kept of it meanwhile."""
        await send({"type": "http.response.body", "body": body, "more_body": more})
        self.written += len(body)
        del body
        await self.drain()

    async def drain(self) -> None:
        """Return once the client has taken most of what was written, or is gone: then `on_close`'s
        function has been called."""
        if self._flow.write_paused:
            await self._flow.drain()
        if self._transport.is_closing():
            self.close()

    def detach(self) -> None:
        """Let the task of the request end, and all that it holds, while the response goes on:
        `push` writes it from now on, and `finish` ends it."""
        self._connection.detach_response()

    def finish(self) -> None:
        """End a response that was detached. Safe to call when the client is gone."""
        self._closed = None
        if not self._transport.is_closing():
            if self.chunked:
                self._transport.write(b"0\r\n\r\n")
            self._connection.finish_response()

    def cut(self) -> None:
        """Break the connection off, so that the client takes no part of a body for the whole."""
        self._closed = None
        cut_off(self._transport)

    async def break_off(self, receive: Receive) -> None:
        """Cut the connection, and return once the server knows that the response ends here."""
        self.cut()
        while (await receive())["type"] != "http.disconnect":
            pass  # the body of the request, if nothing has asked for it

    def on_close(self, closed: Callable[[], None] | None) -> None:
        """Have `closed` called when the client is gone; at once if it is."""
        self._closed = closed
        if closed is not None and (self.ended or self._transport.is_closing()):
            closed()

    @property
    def watched(self) -> bool:
        """Whether a response waits to be told when the client is gone, as an endless one does."""
        return self._closed is not None

    def close(self) -> None:
        if self._closed is not None:
            self._closed()

    def extension(self) -> dict[str, Any]:
        """The scope's extensions, by which `direct_writer_of` finds this."""
        return {_EXTENSION: {"writer": self}}


def cut_off(transport: asyncio.Transport) -> None:
    """Reset a connection: what the kernel holds for it is freed, too. Closed, it would be kept for
    as long as the client is there and does not read."""
    own = transport.get_extra_info("socket")
    if own is not None:
        with contextlib.suppress(OSError, ValueError):  # it is closed: uvloop raises a ValueError
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def direct_writer_of(scope: Scope) -> DirectWriter:
    """That of the response to this request."""
    return cast("DirectWriter", (scope.get("extensions") or {})[_EXTENSION]["writer"])


@lru_cache(maxsize=1)
def _chunk(piece: bytes) -> bytes:
    """Of the chunked encoding. All readers of a task get the same piece, one after the other."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)
