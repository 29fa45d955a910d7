"""HTTP/1.1 on uvicorn, with bounds that it does not have: on the size of a request's head and of
what frames its body, on the time that a client takes to send either and to take a response, on the
requests that wait for each other, and on the connections. How long a response takes is not bounded
here: an event stream is one.

Requests of one connection are answered one after the other: what comes behind one that is being
answered is left unread, as bytes. uvicorn would make a request of each, however many.

What of uvicorn's own is relied on here is private to it; tests/end_to_end/test_http_bounds.py fails
when an upgrade moves it.
"""

import asyncio
from enum import Enum, auto
from functools import partial
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from entrypoints.http.bounds import Bounds
from entrypoints.http.line import LazyFlowControl, Line
from entrypoints.http.lingering import LINGER, LINGER_LIMIT, LastResponse
from entrypoints.http.request_head import TRAILER, is_ambiguous, told_length
from entrypoints.http.unframed import UnframedCycle
from entrypoints.http.unsent import NOTHING

HEAD_LIMIT = 32 * 1024
"""Bytes of request line and headers; also of chunk extensions and trailers between two pieces of a
body."""
CHUNKED_PART = 2 * 1024
"""Bytes of a chunked body that are parsed at once. Where it ends is known only then: so the
requests that may hide behind its end are as many as fit into one."""
HEAD_END = b"\r\n\r\n"


class _Phase(Enum):
    """What the parser waits for."""

    IDLE = auto()
    """A request."""
    HEAD = auto()
    """The rest of a head."""
    BODY = auto()
    """The rest of a body."""


class BoundedProtocol(HttpToolsProtocol):
    # With these in it, its dict would have more entries than Python shares the keys of: a KiB more
    # for every connection.
    __slots__ = (
        "_bounds",
        "_head",
        "_left",
        "_line",
        "_lingering",
        "_phase",
        "_timer",
        "_unread",
        "unsent",
    )

    def __init__(self, *args: Any, bounds: Bounds, **options: Any) -> None:
        super().__init__(*args, **options)
        self._bounds = bounds
        self._phase = _Phase.IDLE
        self._head = 0
        self._left = 0  # of a body whose length was told
        self._unread = b""
        self._lingering: int | None = None  # bytes that are still read, and dropped
        self._timer: asyncio.TimerHandle | None = None
        self.unsent = NOTHING

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = LazyFlowControl(transport)
        self._line = Line(transport, self.flow)
        if self._bounds.refuses(len(self.connections)):
            self._refuse("503 Service Unavailable")
        else:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrived()
        self._unread = b""
        self._bounds.unsent.holds(self, 0)
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._line.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._count()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._count()

    @property
    def written(self) -> int:
        return self._line.written

    def _count(self) -> None:
        """Tell how much waits for this client, or because of it."""
        unsent = self.transport.get_write_buffer_size() if self.flow.write_paused else 0
        self._bounds.unsent.holds(self, unsent + len(self._unread))

    # What arrives

    def data_received(self, data: bytes) -> None:
        if self._lingering is not None:
            self._lingering -= len(data)
            if self._lingering < 0:
                self.transport.close()
        elif self._unread:
            self._leave_unread(self._unread + data)
        elif self._phase is _Phase.IDLE and len(data) <= HEAD_LIMIT and not self._answering:
            end = data.find(HEAD_END)
            if end < 0 or end + len(HEAD_END) == len(data):  # nothing behind the first head
                self._parse(data)
            else:
                self._read(data)
        else:
            self._read(data)

    def _read(self, data: bytes) -> None:
        """Parse what belongs to one request; leave what is behind it."""
        while data and not self.transport.is_closing() and self._lingering is None:
            if self._answering:
                self._leave_unread(data.lstrip(b"\r\n"))
                return
            if self._phase is _Phase.BODY:
                size = self._left or CHUNKED_PART
            else:
                room = HEAD_LIMIT - self._head
                end = data.find(HEAD_END, 0, room)
                size = end + len(HEAD_END) if end >= 0 else room
            part, data = data[:size], data[size:]
            self._parse(part)

    @property
    def _answering(self) -> bool:
        """Whether a whole request waits for its response."""
        cycle = self.cycle
        return self._phase is _Phase.IDLE and cycle is not None and not cycle.response_complete

    def _leave_unread(self, data: bytes) -> None:
        self._unread = data
        if data:
            self.flow.pause_reading()
            self._count()

    def _parse(self, part: bytes) -> None:
        before, taken = self._phase, self._body_taken()
        self._left = max(0, self._left - len(part))
        super().data_received(part)
        if self._phase is _Phase.IDLE:
            if self._timer is None and not self._answering:
                self._wait()  # line ends between requests are no request, but still a client's
        elif self._phase is _Phase.HEAD:
            self._head += len(part) if before is not _Phase.BODY else 0
        elif before is _Phase.BODY and not self.cycle.response_complete:
            self._head = self._head + len(part) if self._body_taken() == taken else 0
        if self._head >= HEAD_LIMIT:
            self._refuse("431 Request Header Fields Too Large")

    def _body_taken(self) -> int:
        return len(self.cycle.body) if self._phase is _Phase.BODY else 0

    def on_message_begin(self) -> None:
        self._phase, self._head = _Phase.HEAD, 0
        self._wait()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._wait()
        version = self.parser.get_http_version()
        if is_ambiguous(self.headers, version):
            self.send_400_response("A header is missing or repeated.")
            raise _Refused
        self.scope["extensions"] = self._line.extension()
        super().on_headers_complete()
        self._phase, self._head = _Phase.BODY, 0
        self._left = told_length(self.headers)
        self.headers = TRAILER
        if self.cycle.scope["method"] not in ("GET", "HEAD"):
            gently = LastResponse(self.transport, self._close_behind_response)
            self.cycle.transport = cast("asyncio.Transport", gently)
        self._line.chunked = version != "1.0"
        if version == "1.0":
            self.cycle.__class__ = UnframedCycle  # its task has not begun

    def on_message_complete(self) -> None:
        self._phase, self._head = _Phase.IDLE, 0
        self._arrived()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._unread and not self.transport.is_closing():
            self.flow.pause_reading()
            self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """Read what came behind the request that has been answered."""
        if self.transport.is_closing():
            return
        data, self._unread = self._unread, b""
        self._count()
        self._read(data)
        if not self._unread:
            self.flow.resume_reading()

    # The end

    def _close_behind_response(self) -> None:
        """Close the connection, whose last response has been written: gently, if more of the
        request is on its way."""
        if self.transport.is_closing() or self._lingering is not None:
            return
        if self._phase is _Phase.IDLE or not self.transport.can_write_eof():
            self.transport.close()
            return
        self._lingering = LINGER_LIMIT
        self._arrived()
        self._timer = self.loop.call_later(LINGER, self.transport.close)
        self.flow.resume_reading()
        self.transport.write_eof()

    def send_400_response(self, msg: str) -> None:
        self._arrived()
        if self.transport.is_closing() or self._lingering is not None:
            return  # refused with another status already
        if self._may_be_told:
            super().send_400_response(msg)
        else:
            self.transport.close()

    @property
    def _may_be_told(self) -> bool:
        """Whether a status that is written now is the next thing that the client waits for."""
        if self._phase is _Phase.BODY:
            return not self.cycle.response_started
        return self.cycle is None or (self.cycle.response_complete and not self.pipeline)

    def _refuse(self, status: str) -> None:
        self._arrived()
        if self.transport.is_closing() or self._lingering is not None:
            return
        if self._may_be_told:
            if self._phase is _Phase.BODY:
                self.cycle.disconnected = True  # for the handler, which waits for the body
                self.cycle.message_event.set()
            head = f"HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            self.transport.write(head.encode())
            self._close_behind_response()
        else:
            self.transport.close()

    def _wait(self) -> None:
        self._arrived()
        self._timer = self.loop.call_later(self._bounds.request_timeout, self._too_late)

    def _too_late(self) -> None:
        cycle = self.cycle
        if self._phase is _Phase.BODY or cycle is None or cycle.response_complete:
            self._refuse("408 Request Timeout")
        else:
            self._wait()  # the response to the request before is still going out

    def _arrived(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Refused(Exception):
    """Raised within the parser, to stop it."""


def bounded_protocol(bounds: Bounds) -> Any:
    """What uvicorn is to make connections with."""
    return partial(BoundedProtocol, bounds=bounds)
