"""EventStream: a response of Server-Sent Events, and a reader's way to its client.

A reader that is live writes each frame straight to the connection (direct write), without a task of
its own being woken; only a client that is behind is waited for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from litestar import Litestar, Request, Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from application.ports import Batch
from application.quotas import StreamSlot
from application.reader import Reader, Sink
from entrypoints.http.open_streams import OpenStreams
from entrypoints.http.protocol.direct_write import DirectWriter, direct_writer_of
from entrypoints.http.sse.encoder import PING, SseEncoder

EVENT_STREAM = "text/event-stream"
HEADERS = {
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}


@dataclass(frozen=True, slots=True)
class Events:
    """What a stream is made of."""

    reader: Reader
    connect: Callable[[DirectWriter, Callable[[], None]], Sink]
    """Makes the sink of the reader, which calls the function once it has ended."""
    slot: StreamSlot
    streams: OpenStreams
    resumed: bool
    """Whether the client had seen events of the task before."""
    first: bytes = b""
    """What is written before the reader begins."""
    hung_up: Callable[[], None] | None = None
    """Is called if the client goes away before the end."""


class EventStream(Response[None]):
    """Ends after the task's last event (or is held from then on, see `held_streams`), when this
    process stops, and when live delivery does not come about: the client connects again and goes on
    from its last event."""

    def __init__(self, events: Events, headers: Mapping[str, str] | None = None) -> None:
        """`headers`: further ones."""
        super().__init__(None, media_type=EVENT_STREAM, headers={**HEADERS, **(headers or {})})
        self._events = events

    def to_asgi_response(
        self,
        app: Litestar | None,
        request: Request[Any, Any, Any],
        **options: Any,
    ) -> ASGIResponse:
        return _Opening(
            self._events,
            direct_writer_of(request.scope),
            headers={**(options.get("headers") or {}), **self.headers},
            media_type=self.media_type,
        )


class _Opening(ASGIResponse):
    """Writes the head and the first frame, and leaves the rest to the reader: from then on a stream
    is a connection, a reader and a sink, without a request or a task."""

    __slots__ = ("_events", "_writer")
    _should_set_content_length = False

    def __init__(self, events: Events, writer: DirectWriter, **response: Any) -> None:
        super().__init__(**response)
        self._events = events
        self._writer = writer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        events = self._events
        events.streams.open(events.slot, events.reader, resumed=events.resumed)
        try:
            await super().__call__(scope, receive, send)
        except BaseException:
            events.reader.close()
            events.streams.close(events.slot)
            raise
        self._writer.detach()
        close = partial(events.streams.close, events.slot)
        events.reader.start(events.connect(self._writer, close))
        self._writer.on_close(partial(hang_up, events.reader, events.hung_up))

    async def send_body(self, send: Send, receive: Receive) -> None:
        if self._events.first:
            await self._writer.write(send, self._events.first)


def hang_up(reader: Reader, hung_up: Callable[[], None] | None) -> None:
    """Stop a reader whose client has gone, and call what is to be called then."""
    reader.close()
    if hung_up is not None:
        hung_up()


class NativeConnection(Sink):
    """The connection of a client that reads native events."""

    __slots__ = ("_encoder", "_hold", "_on_end", "_task_id", "_writer")

    def __init__(
        self,
        task_id: str,
        encoder: SseEncoder,
        hold: Callable[[DirectWriter], None] | None,
        writer: DirectWriter,
        on_end: Callable[[], None],
    ) -> None:
        """`hold`: what takes the connection over behind the last event. None: the stream ends
        there."""
        self._task_id = task_id
        self._encoder = encoder
        self._hold = hold
        self._writer = writer
        self._on_end = on_end

    def write(self, batch: Batch) -> bool:
        encoder = self._encoder
        if batch is encoder.latest:
            return self._writer.push(encoder.latest_frame)
        return self._writer.push(encoder.frame(self._task_id, batch))

    def write_all(self, batches: Sequence[Batch]) -> bool:
        return self._writer.push(self._encoder.frames(self._task_id, batches))

    async def writable(self) -> None:
        await self._writer.drain()

    def ping(self) -> None:
        self._writer.push(PING)

    def end(self, *, complete: bool) -> None:
        if complete and self._hold is not None:
            self._hold(self._writer)
        else:
            self._writer.finish()
        self._on_end()
