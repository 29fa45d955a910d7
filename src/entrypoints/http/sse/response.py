"""EventStream: a response of Server-Sent Events, and a reader's way to its client.

A reader that is live writes each frame straight to the connection (direct write), without a task of
its own being woken; only a client that is behind is waited for.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from litestar import Litestar, Request, Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from application.ports import Batch, Clock
from application.reader import Reader, Sink
from entrypoints.http.litestar_internals import UnsizedResponse
from entrypoints.http.protocol.direct_write import DirectWriter, direct_writer_of
from entrypoints.http.sse.encoder import PING, SseEncoder, connected_frame

HEADERS = {
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}


@dataclass(frozen=True, slots=True)
class Events:
    """What a stream is made of. `opened` is entered for as long as the stream lasts."""

    reader: Reader
    encoder: SseEncoder
    clock: Clock
    opened: AbstractAsyncContextManager[None]


class EventStream(Response[None]):
    """Ends after the task's last event, when this process stops, and when live delivery does not
    come about: the client connects again and goes on from its last event."""

    def __init__(self, events: Events) -> None:
        super().__init__(None, media_type="text/event-stream", headers=HEADERS)
        self._events = events

    def to_asgi_response(
        self,
        app: Litestar | None,
        request: Request[Any, Any, Any],
        **options: Any,
    ) -> ASGIResponse:
        return _Streaming(
            self._events,
            direct_writer_of(request.scope),
            headers={**(options.get("headers") or {}), **self.headers},
            media_type=self.media_type,
        )


class _Streaming(UnsizedResponse):
    __slots__ = ("_events", "_writer")

    def __init__(self, events: Events, writer: DirectWriter, **response: Any) -> None:
        super().__init__(**response)
        self._events = events
        self._writer = writer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._events.reader.close()  # it may never have been started

    async def send_body(self, send: Send, receive: Receive) -> None:
        reader, writer = self._events.reader, self._writer
        async with self._events.opened:
            await writer.write(send, connected_frame(reader, self._events.clock.now()))
            sink = _Connection(reader.task_id, self._events.encoder, writer)
            reader.start(sink)
            writer.on_close(reader.close)
            try:
                await sink.ended
            finally:
                writer.on_close(None)
        await writer.write(send, b"", more=False)


class _Connection(Sink):
    """The client's connection."""

    __slots__ = ("_encoder", "_task_id", "_writer", "ended")

    def __init__(self, task_id: str, encoder: SseEncoder, writer: DirectWriter) -> None:
        self._task_id = task_id
        self._encoder = encoder
        self._writer = writer
        self.ended = asyncio.get_running_loop().create_future()

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

    def end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
