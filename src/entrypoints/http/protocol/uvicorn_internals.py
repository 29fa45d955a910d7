"""What this service relies on of uvicorn that uvicorn does not document.

When an upgrade moves any of it, tests/unit/test_private_parts.py fails and names the attribute. All
that is done to a connection's parts is done here, under a name that says what it is for.
"""

import asyncio
from functools import cached_property, lru_cache
from typing import Any, cast

import httptools
from uvicorn import Server
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from entrypoints.http.protocol.direct_write import DirectWriter
from entrypoints.http.protocol.lingering import LastResponse
from entrypoints.http.protocol.request_head import Headers

PRIVATE_PARTS = {
    HttpToolsProtocol: (
        "connections",
        "cycle",
        "flow",
        "headers",
        "loop",
        "parser",
        "pipeline",
        "scope",
        "server",
        "transport",
        "_unset_keepalive_if_required",
        "on_message_begin",
        "on_headers_complete",
        "on_message_complete",
        "on_response_complete",
        "on_url",
        "send_400_response",
    ),
    RequestResponseCycle: (
        "body",
        "chunked_encoding",
        "disconnected",
        "expected_content_length",
        "keep_alive",
        "message_event",
        "more_body",
        "response_complete",
        "response_started",
        "scope",
        "send",
        "transport",
    ),
    FlowControl: ("_is_writable_event", "_transport", "drain", "read_paused", "write_paused"),
    Server: (  # which uvicorn_server extends
        "capture_signals",
        "force_exit",
        "handle_exit",
        "main_loop",
        "on_tick",
        "server_state",
        "should_exit",
        "shutdown",
        "startup",
    ),
}
"""By class: attributes that its instances have from the start, or methods."""

_ANSWERED: Any = {}
"""In the place of a scope whose request has its response."""


_NO_PIPELINE: Any = ()
"""In the place of the queue of requests behind the first one: a connection has none, and the queue
would take 760 bytes of each."""
_NO_CYCLE: Any = None
"""In the place of a request and its response, where the connection is lost."""
_NO_PARSER: Any = None
"""In the place of a parser, which takes a KiB, while a response goes on without its request."""


@lru_cache(maxsize=16)
def _shared(address: tuple[str, int | None] | None) -> tuple[str, int | None] | None:
    """Return the same object for the same address: that of this server."""
    return address


def _parser_for(protocol: HttpToolsProtocol) -> httptools.HttpRequestParser:
    """Return a parser as uvicorn makes it."""
    parser = httptools.HttpRequestParser(protocol)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


class _Trailer:
    """Takes the fields of a trailer, which arrive when the response has already begun."""

    def append(self, header: tuple[bytes, bytes]) -> None: ...

    def __iter__(self) -> Any:
        return iter(())


_TRAILER: Any = _Trailer()


class UvicornConnection(HttpToolsProtocol):
    """uvicorn's protocol, with names for what is done to its parts. It holds one request at a time:
    the one that is being read or responded to."""

    # With these in it, its dict would have more entries than Python shares the keys of: a KiB more
    # for every connection.
    __slots__ = ("writer",)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.pipeline = _NO_PIPELINE

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.server = _shared(self.server)
        self.flow = _LazyFlowControl(transport)
        self.writer = DirectWriter(self, transport, self.flow)

    @property
    def open_connections(self) -> int:
        """How many the server has open, this one included."""
        return len(self.connections)

    @property
    def responding(self) -> bool:
        """Whether a request, read as a whole or not, waits for its response or for the rest."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def response_started(self) -> bool:
        """Whether the status of the current request's response is out."""
        return self.cycle.response_started

    @property
    def body_size(self) -> int:
        """Bytes of the body that were read and that the handler has not taken yet."""
        return len(self.cycle.body)

    def data_received(self, data: bytes) -> None:
        if self.parser is None:
            self.parser = _parser_for(self)
        super().data_received(data)

    def stop_keepalive_timer(self) -> None:
        self._unset_keepalive_if_required()

    def close_after_response(self) -> None:
        self.cycle.keep_alive = False

    def give_up_body(self) -> None:
        """Tell the handler, which waits for the body, that its client is gone."""
        self.cycle.disconnected = True
        self.cycle.message_event.set()

    def forget_request(self) -> None:
        """Free what would else be kept for as long as the connection is idle."""
        self.cycle.body, self.cycle.scope, self.scope = bytearray(), _ANSWERED, _ANSWERED

    def drop_what_refers_to_this(self) -> None:
        """Drop it of a connection that is lost: only the garbage collector would free the two. The
        request may still be handled, and by what refers to it."""
        del self.writer
        self.cycle, self.scope = _NO_CYCLE, _ANSWERED

    def read_headers(self) -> tuple[str, Headers]:
        """The version and the headers of the request whose head has been parsed."""
        return self.parser.get_http_version(), self.headers

    @property
    def wants_upgrade(self) -> bool:
        return bool(self.parser.should_upgrade())

    def offer_line(self) -> None:
        """Put the direct writer into the scope of the request whose head has been parsed."""
        self.scope["extensions"] = self.writer.extension()

    def drop_trailer(self) -> None:
        self.headers = _TRAILER

    def close_gently_by(self, response: LastResponse) -> None:
        """Have the response written and the connection closed by this stand-in."""
        self.cycle.transport = cast("asyncio.Transport", response)

    def detach_response(self) -> None:
        if (request := self.cycle) is None:  # the connection is lost
            return
        self.cycle = cast(RequestResponseCycle, _DetachedResponse(request))
        request.response_complete = True  # so that its task may end
        self.scope = _ANSWERED
        self.url = b""
        if not request.more_body:
            self.parser = _NO_PARSER

    def finish_response(self) -> None:
        self.cycle.response_complete = True
        if not self.cycle.keep_alive:
            self.cycle.transport.close()
        self.on_response_complete()

    def end_response_by_closing(self) -> None:
        """For HTTP/1.0. To be called before the response's task begins."""
        self.cycle.__class__ = _UnframedCycle


class _NoEvent:
    """In the place of an event that nothing waits for."""

    def set(self) -> None: ...


class _DetachedResponse:
    """Stands for a response that goes on without its request: as much of uvicorn's cycle as the
    connection asks for. A reader of a stream may wait for hours."""

    __slots__ = (
        "body",
        "disconnected",
        "keep_alive",
        "more_body",
        "response_complete",
        "scope",
        "transport",
    )

    response_started = True
    message_event = _NoEvent()

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self.body = b""  # of a request whose body still comes, none is kept
        self.more_body = cycle.more_body
        self.disconnected = cycle.disconnected
        self.keep_alive = cycle.keep_alive
        self.response_complete = False
        self.scope = _ANSWERED
        self.transport = cycle.transport


class _UnframedCycle(RequestResponseCycle):
    """A response to HTTP/1.0, which has no chunks (nginx speaks it to what is behind it by
    default): without a length it ends with the connection."""

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            names = {name.lower() for name, _ in message.get("headers", ())}
            if b"content-length" not in names:
                self.chunked_encoding = False
        elif self.chunked_encoding is False and self.expected_content_length == 0:
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)


class _LazyFlowControl(FlowControl):
    """Makes the event that a write waits for when a write waits. It takes a KiB, and few
    connections ever need it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.read_paused = self.write_paused = False

    @cached_property
    def _is_writable_event(self) -> asyncio.Event:  # type: ignore[override]
        event = asyncio.Event()
        event.set()
        return event
