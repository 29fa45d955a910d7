"""SSE encoder: the frames of batches of events, each encoded once per process.

A frame is an `id:` line and one `data:` line of JSON, without an `event:` field, so that browsers
hand every event to `onmessage`.
"""

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from application.ports import Batch
from application.reader import Reader
from domain.events import (
    ContentAdded,
    Event,
    ItemAdded,
    ReasoningAdded,
    StatusChanged,
    TaskEnded,
    TaskErrored,
    ToolCallAdded,
)
from entrypoints.http.native.bodies import usage_body
from entrypoints.http.sse.frame_json import frame_json

PING = b": keep-alive\n"
"""A comment without an empty line: after an event with an id, some parsers (httpx-sse for one) make
an event without data of a block that holds nothing but a comment."""
RETRY = b"retry: 1000\n"
"""Milliseconds after which a browser connects again. Stands in the first event's own block: some
parsers make an event without data of a block of its own."""


class SseEncoder:
    """Frames of batches, kept for as long as a reader holds the batch."""

    def __init__(self) -> None:
        self._frames: WeakKeyDictionary[Batch, bytes] = WeakKeyDictionary()
        self.latest: Batch | None = None
        """The batch that was asked for last: all readers of a task ask for the same one."""
        self.latest_frame = b""

    def frame(self, task_id: str, batch: Batch) -> bytes:
        if batch is not self.latest:
            encoded = self._frames.get(batch)
            if encoded is None:
                encoded = self._frames[batch] = _encoded(task_id, batch)
            self.latest, self.latest_frame = batch, encoded
        return self.latest_frame

    def frames(self, task_id: str, batches: Sequence[Batch]) -> bytes:
        return b"".join([self.frame(task_id, batch) for batch in batches])


def connected_frame(reader: Reader, now: int) -> bytes:
    """Encode the first frame of a connection: the status of the task. It has no id, since it is no
    event of the log."""
    data = {
        "type": "connected",
        "taskId": reader.task_id,
        "timestamp": now,
        "status": reader.status.value,
        "attempt": reader.attempt,
    }
    return b"%bdata: %b\n\n" % (RETRY, frame_json(data))


def _encoded(task_id: str, batch: Batch) -> bytes:
    epoch = batch.end.epoch.encode()
    return b"".join(
        [
            b"id: %b-%d\ndata: %b\n\n" % (epoch, offset, frame_json(_data(task_id, event)))
            for offset, event in enumerate(batch.events, batch.first)
        ]
    )


def _data(task_id: str, event: Event) -> dict[str, Any]:
    match event:
        case ContentAdded():
            data = {"type": "content", "taskId": task_id, "timestamp": event.at, "data": event.text}
            if event.refusal:
                data["refusal"] = True
            if event.annotations:
                data["annotations"] = event.annotations
            return data
        case ReasoningAdded(at, text):
            return {"type": "reasoning", "taskId": task_id, "timestamp": at, "data": text}
        case ToolCallAdded(at, index, arguments, id_, name):
            piece = {"index": index, "id": id_, "name": name, "arguments": arguments}
            return {
                "type": "tool_call",
                "taskId": task_id,
                "timestamp": at,
                "data": {key: value for key, value in piece.items() if value is not None},
            }
        case ItemAdded(at, item):
            return {"type": "item", "taskId": task_id, "timestamp": at, "data": item}
        case StatusChanged(at, status, attempt, reason, resumed, next_attempt_at):
            data = {
                "type": "status",
                "taskId": task_id,
                "timestamp": at,
                "data": status.value,
                "attempt": attempt,
            }
            if reason is not None:
                data["reason"] = reason
            if next_attempt_at is not None:
                data["nextAttemptAt"] = next_attempt_at
            if resumed:
                data["resumed"] = True
            return data
        case TaskEnded():
            return _end(task_id, event)
        case TaskErrored(at, message, code, retryable):
            return {
                "type": "error",
                "taskId": task_id,
                "timestamp": at,
                "data": message,
                "code": code,
                "retryable": retryable,
            }


def _end(task_id: str, end: TaskEnded) -> dict[str, Any]:
    answer = end.answer
    rest = {
        "reasoning": answer.reasoning,
        "toolCalls": answer.tool_calls,
        "refusal": answer.refusal,
        "annotations": answer.annotations,
        "items": answer.items,
    }
    data = {
        "type": "end",
        "taskId": task_id,
        "timestamp": end.at,
        "data": answer.text,
        "finishReason": end.finish_reason,
        "usage": usage_body(end.usage),
        "model": end.model,
        **{key: value for key, value in rest.items() if value},
    }
    if end.valid is not None:
        data["valid"] = end.valid
    return data
