"""The response of `GET /api/tasks/events`: the changes of an owner's tasks, as Server-Sent Events.

A watch goes on only once the client has taken most of what was written before. Until then the watch
remembers which tasks have changed, and nothing of them. What a slow client has not taken lies in
its transport, where it is counted (`unsent`), and nowhere else: at most a page of changes, which is
written as one piece. When it reads on, it gets the newest state of each task.
"""

import asyncio
from contextvars import Context
from dataclasses import dataclass
from typing import Any

import structlog
from litestar import Litestar, Request, Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from application.owner_changes import Changed, Gone, Missed, Ping, Reached
from application.owner_watch import OwnerWatch
from application.ports import Clock
from application.quotas import StreamSlot
from domain.prices import Prices
from entrypoints.http.native.summary import (
    TaskChange,
    TaskChanged,
    TaskDeleted,
    WatchConnected,
    WatchReached,
    summary_of,
)
from entrypoints.http.open_streams import OpenStreams
from entrypoints.http.protocol.direct_write import DirectWriter, direct_writer_of
from entrypoints.http.sse.encoder import PING, RETRY
from entrypoints.http.sse.frame_json import frame_json
from entrypoints.http.sse.response import EVENT_STREAM, HEADERS

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Changes:
    """What a stream is made of."""

    watch: OwnerWatch
    slot: StreamSlot
    streams: OpenStreams
    clock: Clock
    resumed: bool
    """Whether the client names the last id that it has seen."""
    prices: Prices


class ChangeStream(Response[None]):
    """Ends when this process stops, and when the caller's keys are withdrawn. A client that
    connects again goes on behind the last id."""

    def __init__(self, changes: Changes) -> None:
        super().__init__(None, media_type=EVENT_STREAM, headers=HEADERS)
        self._changes = changes

    def to_asgi_response(
        self, app: Litestar | None, request: Request[Any, Any, Any], **options: Any
    ) -> ASGIResponse:
        return _Opening(
            self._changes,
            direct_writer_of(request.scope),
            headers={**(options.get("headers") or {}), **self.headers},
            media_type=self.media_type,
        )


class _Opening(ASGIResponse):
    """Writes the head and the first frame. From then on the stream is a connection and a task."""

    __slots__ = ("_changes", "_writer")
    _should_set_content_length = False

    def __init__(self, changes: Changes, writer: DirectWriter, **response: Any) -> None:
        super().__init__(**response)
        self._changes = changes
        self._writer = writer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        changes = self._changes
        writing = _Writing(changes, self._writer)
        changes.streams.open(changes.slot, writing, resumed=changes.resumed)
        try:
            await super().__call__(scope, receive, send)
        except BaseException:
            writing.release()
            raise
        self._writer.detach()
        writing.start()

    async def send_body(self, send: Send, receive: Receive) -> None:
        connected = WatchConnected(timestamp=self._changes.clock.now())
        await self._writer.write(send, RETRY + _frame(connected, self._changes.watch.since))


class _Writing:
    """Writes what a watch tells to one client, whose pace it goes by."""

    def __init__(self, changes: Changes, writer: DirectWriter) -> None:
        self._changes = changes
        self._writer = writer
        self._closed = False
        self._task: asyncio.Task[None] | None = None
        self._frames: list[bytes] = []
        changes.watch.pace(self._flush)

    def start(self) -> None:
        # The context of the request would be kept for as long as the stream lasts.
        context = Context()
        self._task = asyncio.get_running_loop().create_task(self._write(), context=context)
        self._task.add_done_callback(self._finish, context=context)
        if self._closed:
            self._task.cancel()
        self._writer.on_close(self.close)

    def close(self) -> None:
        """End the stream. Safe to call twice, and before it starts."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()

    def release(self) -> None:
        """Release all that a stream holds which has ended or could not begin."""
        streams = self._changes.streams
        streams.close(self._changes.slot)
        streams.finish_soon(self._changes.watch.aclose())

    async def _write(self) -> None:
        try:
            async for each in self._changes.watch:
                if isinstance(each, Ping):
                    self._writer.push(PING)  # a slow client needs none
                    continue
                self._frames.append(self._frame_of(each))
                del each
        except Exception:
            log.exception("stream of changes failed")

    async def _flush(self) -> None:
        """Write the frames of a page, and return once the client has taken most of them."""
        if self._frames:
            await self._writer.drain()
            self._writer.push(b"".join(self._frames))
            self._frames.clear()
            await self._writer.drain()

    def _finish(self, _: "asyncio.Task[None]") -> None:
        self._task = None  # what it ended with refers to this
        self._writer.finish()
        self.release()

    def _frame_of(self, change: Changed | Gone | Reached | Missed) -> bytes:
        now = self._changes.clock.now()
        match change:
            case Changed(task, cursor):
                told = TaskChanged(
                    timestamp=now, task_id=task.id, task=summary_of(task, self._changes.prices)
                )
                return _frame(told, cursor)
            case Gone(task_id):
                return _frame(TaskDeleted(timestamp=now, task_id=task_id))
            case Missed():
                return _frame(WatchConnected(timestamp=now))
            case Reached(cursor):
                return _frame(WatchReached(timestamp=now), cursor)


def _frame(change: TaskChange, cursor: int | None = None) -> bytes:
    data = frame_json(change)
    return b"data: %b\n\n" % data if cursor is None else b"id: %d\ndata: %b\n\n" % (cursor, data)
