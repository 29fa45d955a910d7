"""HTTP/1.1 on uvicorn, with bounds that uvicorn does not have: on the size of a request's head and
of the framing of its body, on the time that a client takes to send them and to read a response, on
pipelined requests, and on the number of connections and of streams that are being opened. The
duration of a response is not bounded, since an event stream is a response.

A head is parsed once it is complete. The requests of one connection are handled one after the
other: bytes that arrive behind a request that is being handled are kept unparsed, where uvicorn
would build any number of requests from them. Nothing is read behind a chunked body, since only the
parser knows where it ends.

What is done to uvicorn's own parts has its names in uvicorn_internals.
"""

import asyncio
from typing import Any

from entrypoints.http.paths import STREAM_REQUEST
from entrypoints.http.protocol.bounds import Bounds
from entrypoints.http.protocol.lingering import LINGER, LINGER_LIMIT, LastResponse, bare_response
from entrypoints.http.protocol.request_head import (
    HEAD_END,
    HEAD_LIMIT,
    HeadRefused,
    behind_blank,
    framing_of,
    is_ambiguous,
    part_of_head,
    whole_head,
)
from entrypoints.http.protocol.unsent import NOTHING
from entrypoints.http.protocol.uvicorn_internals import UvicornConnection

CHUNKED_PART = 16 * 1024
"""Bytes of a chunked body that are parsed at once."""


class BoundedProtocol(UvicornConnection):
    __slots__ = (
        "_awaits_turn",
        "_bounds",
        "_framing",
        "_in_body",
        "_last",
        "_left",
        "_lingering",
        "_timer",
        "_unread",
        "unsent",
    )

    def __init__(self, *args: Any, bounds: Bounds, **options: Any) -> None:
        super().__init__(*args, **options)
        self._bounds = bounds
        self._unread = b""  # part of a head, or bytes behind a request that is being answered
        self._awaits_turn = self._in_body = False
        self._left = 0  # bytes of a body whose length is known
        self._framing = 0  # bytes between two pieces of a body
        self._last = False  # nothing behind this request is read
        self._lingering: int | None = None  # bytes that are still read, and dropped
        self._timer: asyncio.TimerHandle | None = None
        self.unsent = NOTHING

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self._bounds.closed:  # it was accepted before: nothing else would ever end it
            transport.close()
        elif self._bounds.refuses(self.open_connections):
            transport.write(bare_response("503 Service Unavailable"))
            transport.close()
        else:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrived()
        self._unread = b""
        self._bounds.turns.end(self)
        self._bounds.unsent.holds(self, 0)
        super().connection_lost(exc)
        self.stop_keepalive_timer()
        self.writer.close()
        self.drop_what_refers_to_this()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._bounds.turns.end(self)  # no other waits for a slow client
        self._count()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._count()

    @property
    def written(self) -> int:
        return self.writer.written

    def _count(self) -> None:
        """Report how many bytes wait for this client, or because of it."""
        unsent = self.transport.get_write_buffer_size() if self.flow.write_paused else 0
        self._bounds.unsent.holds(self, unsent + len(self._unread))

    def data_received(self, data: bytes) -> None:
        if self._lingering is not None:
            self._lingering -= len(data)
            if self._lingering < 0:
                self.transport.close()
        elif self._answering and not self._last:
            self._leave_unread(self._unread + data)
        else:
            self._read(self._unread + data if self._unread else data)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Return whether the connection stays open: a client may close its direction after its
        request and then wait for the response. A reader of a stream that does so has gone."""
        waits = self._answering and not self.writer.watched
        if waits and not self._unread:
            self.close_after_response()
        self.writer.ended = True
        return waits

    @property
    def _answering(self) -> bool:
        """Whether a request that was read completely waits for its response, or for its turn."""
        return self._awaits_turn or (not self._in_body and self.responding)

    def _read(self, data: bytes) -> None:
        """Parse what belongs to one request, and keep what is behind it."""
        kept, self._unread = self._unread, b""
        at, end = 0, len(data)
        while at < end and self._lingering is None and not self.transport.is_closing():
            if self._in_body:
                size = self._left or CHUNKED_PART
                self._parse_body(data[at : at + size])
                at += size
            elif self._last:
                return
            elif self._answering:
                self._leave_unread(data[at:])
                return
            else:
                at = self._parse_head(data, behind_blank(data, at))
        if kept or self._unread:
            self._count()
        if self._timer is None and not self._answering and not self._in_body:
            self.stop_keepalive_timer()
            self._wait()  # for the rest of a head; line ends are no request

    def _parse_head(self, data: bytes, at: int) -> int:
        """Parse the head that begins at `at`, if it is complete, and return where it ends.
        Otherwise keep the part that there is."""
        end = data.find(HEAD_END, at, at + HEAD_LIMIT) + len(HEAD_END)
        try:
            if end < len(HEAD_END):
                self._unread = part_of_head(data[at:])
                return len(data)
            head = whole_head(data[at:end])
        except HeadRefused as refused:
            self._refuse(refused.status)
            return len(data)
        self._arrived()
        if STREAM_REQUEST.match(head) and not self._bounds.turns.begin(self):
            self._awaits_turn = True
            self.stop_keepalive_timer()
            self._leave_unread(data[at:])
            return len(data)
        super().data_received(head)
        if self._in_body:
            self._wait()
        return end

    def turn_came(self) -> None:
        self._awaits_turn = False
        self._go_on()

    def detach_response(self) -> None:
        super().detach_response()
        self._bounds.turns.end(self)

    def _parse_body(self, part: bytes) -> None:
        before = self.body_size
        self._left = max(0, self._left - len(part))
        super().data_received(part)
        if self._in_body and self.responding:
            self._framing = self._framing + len(part) if self.body_size == before else 0
            if self._framing >= HEAD_LIMIT:
                self._refuse("431 Request Header Fields Too Large")

    def _leave_unread(self, data: bytes) -> None:
        self._unread = data.lstrip(b"\r\n")
        if self._unread:
            self.flow.pause_reading()
            self._count()

    def on_message_begin(self) -> None:
        if self._last:
            raise _Refused
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        version, headers = self.read_headers()
        if is_ambiguous(headers, version) or self.wants_upgrade:
            self.send_400_response("A header is missing or repeated, or the method is not known.")
            raise _Refused
        self.offer_line()
        super().on_headers_complete()
        self.drop_trailer()
        self._in_body, self._framing = True, 0
        self._left, self._last = framing_of(headers)  # nothing is read behind a chunked body
        if self._left or self._last:
            self.close_gently_by(LastResponse(self.transport, self._close_behind_response))
        if self._last:
            self.close_after_response()
        self.writer.chunked = version != "1.0"
        if version == "1.0":
            self.end_response_by_closing()

    def on_message_complete(self) -> None:
        self._in_body = False
        self._arrived()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._bounds.turns.end(self)
        if self.transport.is_closing():
            return
        if not self._in_body:
            self.forget_request()
        if self._unread:
            self.flow.pause_reading()
            self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        """Read what came behind the request that has its response, or what awaited its turn."""
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        self._read(self._unread)
        if self._answering and self.writer.ended and not self._unread:
            self.close_after_response()
        elif not self._answering and self.writer.ended:
            self.transport.close()

    def _close_behind_response(self) -> None:
        """Close the connection behind its last response: gently, if more may be on its way."""
        if self._in_body or self._last:
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        if self.transport.is_closing() or self._lingering is not None:
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
        if self._last and not self._in_body:
            return  # the fault is behind the last request
        if self._may_be_told:
            super().send_400_response(msg)
        else:
            self.transport.close()

    @property
    def _may_be_told(self) -> bool:
        """Whether a status that is written now is what the client waits for next."""
        return not self.response_started if self._in_body else not self.responding

    def _refuse(self, status: str) -> None:
        self._arrived()
        if self.transport.is_closing() or self._lingering is not None:
            return
        if self._may_be_told:
            if self._in_body:
                self.give_up_body()
            self.transport.write(bare_response(status))
            self._linger()
        else:
            self.transport.close()

    def _wait(self) -> None:
        self._arrived()
        self._timer = self.loop.call_later(
            self._bounds.request_timeout, self._refuse, "408 Request Timeout"
        )

    def _arrived(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Refused(Exception):
    """Raised within the parser, to stop it."""
