"""Server-Sent Events: the frames, and the response that is a stream of them.

An event's frame is encoded once per process and step of the log, whoever reads it; what is ready
goes out in one write. A client that has seen all there is gets the next frame from whoever brings
it (bounded_protocol), without a task of its own being woken; only one that is behind is waited for.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import Any, cast
from weakref import WeakKeyDictionary

import msgspec
import structlog
from litestar import Litestar, Request, Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from application.errors import StoreUnavailable
from application.follow_task import Following
from application.ports import Batch, Clock
from domain.events import ContentAdded, Event, StatusChanged, TaskEnded, TaskErrored
from entrypoints.http.line import Line, line_of

log = structlog.get_logger(__name__)

HEADERS = {
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}
KEEP_ALIVE = b": keep-alive\n"
"""Without an empty line: after an event with an id, some parsers (httpx-sse for one) make an event
without data of a block that holds nothing but a comment."""
RETRY = b"retry: 1000\n"
"""Milliseconds after which a browser connects again. Stands in the first event's own block: some
parsers make an event without data of a block of its own."""

_encode = msgspec.json.Encoder().encode


class Frames:
    """Wire frames of batches, kept as long as somebody holds the batch."""

    def __init__(self) -> None:
        self._encoded: WeakKeyDictionary[Batch, bytes] = WeakKeyDictionary()
        self._latest: Batch | None = None
        self._latest_encoded = b""

    def of(self, task_id: str, batch: Batch) -> bytes:
        if batch is not self._latest:  # a crowd asks for the same one after the other
            encoded = self._encoded.get(batch)
            if encoded is None:
                encoded = self._encoded[batch] = _encoded(task_id, batch)
            self._latest, self._latest_encoded = batch, encoded
        return self._latest_encoded

    def of_all(self, task_id: str, ready: Sequence[Batch]) -> bytes:
        return b"".join([self.of(task_id, batch) for batch in ready])


def _encoded(task_id: str, batch: Batch) -> bytes:
    epoch = batch.epoch.encode()
    return b"".join(
        [
            b"id: %b-%d\ndata: %b\n\n" % (epoch, number, _encode(_data(task_id, event)))
            for number, event in enumerate(batch.events, batch.first)
        ]
    )


def _data(task_id: str, event: Event) -> dict[str, Any]:
    match event:
        case ContentAdded(at, text):
            return {"type": "content", "taskId": task_id, "timestamp": at, "data": text}
        case StatusChanged(at, status, attempt, reason):
            data = {
                "type": "status",
                "taskId": task_id,
                "timestamp": at,
                "data": status.value,
                "attempt": attempt,
            }
            return data if reason is None else {**data, "reason": reason}
        case TaskEnded(at, text, finish_reason, model, usage):
            return {
                "type": "end",
                "taskId": task_id,
                "timestamp": at,
                "data": text,
                "finishReason": finish_reason,
                "usage": None
                if usage is None
                else {
                    "promptTokens": usage.prompt_tokens,
                    "completionTokens": usage.completion_tokens,
                    "totalTokens": usage.total_tokens,
                },
                "model": model,
            }
        case TaskErrored(at, message, code, retryable):
            return {
                "type": "error",
                "taskId": task_id,
                "timestamp": at,
                "data": message,
                "code": code,
                "retryable": retryable,
            }


def _connected(following: Following, now: int) -> bytes:
    data = {
        "type": "connected",
        "taskId": following.task_id,
        "timestamp": now,
        "status": following.status.value,
        "attempt": following.attempt,
    }
    return b"data: %b\n\n" % _encode(data)


@dataclass(frozen=True, slots=True)
class Events:
    """What a stream is made of. `opened` is entered for as long as it lasts."""

    following: Following
    frames: Frames
    clock: Clock
    opened: AbstractAsyncContextManager[None]


class EventStream(Response[None]):
    """Ends after the task's last event, when this process stops, and when live delivery does not
    come about: the client connects again and goes on from where it stands."""

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
            line_of(request.scope),
            headers={**(options.get("headers") or {}), **self.headers},
            media_type=self.media_type,
        )


class _Streaming(ASGIResponse):
    __slots__ = ("_events", "_line")
    _should_set_content_length = False

    def __init__(self, events: Events, line: Line, **response: Any) -> None:
        super().__init__(**response)
        self._events = events
        self._line = line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._events.following.close()  # its batches may never have been asked for

    async def send_body(self, send: Send, receive: Receive) -> None:
        sending = cast("asyncio.Task[Any]", asyncio.current_task())
        following, frames = self._events.following, self._events.frames
        push, write = self._line.push, self._line.write
        task_id = following.task_id
        gone = False

        def hang_up() -> None:
            nonlocal gone
            gone = gone or sending.cancel()

        def take(batch: Batch) -> bool:
            return push(frames.of(task_id, batch))

        self._line.on_close(hang_up)
        try:
            async with self._events.opened, aclosing(following.batches(take)) as batches:
                await write(send, RETRY + _connected(following, self._events.clock.now()))
                async for ready in batches:
                    # Handed over and not kept: it may be long until the client has taken it.
                    handed = [frames.of_all(task_id, ready) if ready else KEEP_ALIVE]
                    del ready
                    await write(send, handed.pop())
        except StoreUnavailable as error:
            log.error("store unavailable: stream ended", task_id=task_id, error=str(error))
        except asyncio.CancelledError:
            if not gone:
                raise
            sending.uncancel()
        finally:
            self._line.on_close(None)
        await write(send, b"", more=False)
