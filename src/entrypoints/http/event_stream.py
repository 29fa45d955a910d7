"""Server-Sent Events: the frames, and the body of one stream.

An event's frame is encoded once per process and step of the log, whoever reads it; what is ready
goes out in one write.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
import structlog

from application.follow_task import Following
from application.ports import Batch, Clock, StoreUnavailable
from domain.events import ContentAdded, Event, StatusChanged, TaskEnded, TaskErrored
from domain.task import Task

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

    def of(self, task_id: str, ready: Sequence[Batch]) -> bytes:
        if len(ready) == 1:
            return self._batch(task_id, ready[0])
        return b"".join([self._batch(task_id, batch) for batch in ready])

    def _batch(self, task_id: str, batch: Batch) -> bytes:
        encoded = self._encoded.get(batch)
        if encoded is None:
            epoch = batch.epoch.encode()
            encoded = b"".join(
                [
                    b"id: %b-%d\ndata: %b\n\n" % (epoch, number, _encode(_data(task_id, event)))
                    for number, event in enumerate(batch.events, batch.first)
                ]
            )
            self._encoded[batch] = encoded
        return encoded


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


def _connected(task: Task, now: int) -> bytes:
    data = {
        "type": "connected",
        "taskId": task.id,
        "timestamp": now,
        "status": task.status.value,
        "attempt": task.attempt,
    }
    return b"data: %b\n\n" % _encode(data)


async def stream(following: Following, frames: Frames, clock: Clock) -> AsyncGenerator[bytes, None]:
    """The body. Ends after the task's last event, when this process stops, and when live delivery
    does not come about: the client connects again and goes on from where it stands."""
    task = following.task
    batches = following.batches
    try:
        yield RETRY + _connected(task, clock.now())
        async for ready in batches:
            yield frames.of(task.id, ready) if ready else KEEP_ALIVE
    except StoreUnavailable as error:
        log.error("store unavailable: stream ended", task_id=task.id, error=str(error))
    finally:
        await batches.aclose()
