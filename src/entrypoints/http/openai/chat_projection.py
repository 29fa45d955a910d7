"""The stream of a chat completion: chunks, projected from the event log of its task. Pure.

Calls of tools, citations and what hosted tools did are told at the end, each call in one chunk:
clients add up what they are told, and cannot take anything back.
"""

from collections.abc import Hashable
from typing import Any, NamedTuple

from application.ports import Batch
from domain.events import (
    ContentAdded,
    Event,
    ReasoningAdded,
    StatusChanged,
    TaskEnded,
    TaskErrored,
    TaskStatus,
    begins_anew,
)
from domain.position import START, Position
from domain.task import Task
from entrypoints.http.openai.chat_object import (
    CANCELLED,
    Json,
    chat_calls,
    chat_citations,
    chat_finish_reason,
    chat_usage,
)
from entrypoints.http.openai.errors import error_object, task_error
from entrypoints.http.openai.ids import chat_id
from entrypoints.http.sse.frame_json import frame_json

DONE = b"data: [DONE]\n\n"
_LOST = error_object(
    "The worker was lost, and the answer begins anew: send the request again.",
    "server_error",
    "attempt_lost",
)


class ChatState(NamedTuple):
    position: Position
    begun: bool = False
    """Whether the first chunk is told."""
    said: bool = False
    """Whether text is told, which no client can take back."""
    cancelled: bool = False
    over: bool = False


class ChatProjection:
    def __init__(self, task: Task, *, include_usage: bool, start: Position = START) -> None:
        """`start`: where the stream begins in the log. It ignores what lies before."""
        self.key: Hashable = ("chat", include_usage, start)
        self._start = start
        self._include_usage = include_usage
        self._rest = {
            "id": chat_id(task.id),
            "object": "chat.completion.chunk",
            "created": task.created_at // 1000,
            "model": task.requested_model,
        }
        # What stands before and behind the text of a delta.
        self._content, self._tail = self._around("content")
        self._refusal, _ = self._around("refusal")
        self._reasoning, _ = self._around("reasoning_content")

    def begin(self) -> ChatState:
        return ChatState(self._start)

    def fold(self, before: ChatState, batch: Batch, frames: list[bytes]) -> ChatState:
        """Return the state after a batch, and add its frames to `frames`."""
        state, tail = before, self._tail
        for event in batch.events:
            if isinstance(event, ContentAdded | ReasoningAdded) and event.text:
                if isinstance(event, ReasoningAdded):
                    state, head = self._open(state, frames), self._reasoning
                else:
                    if not state.said:
                        state = self._open(state, frames)._replace(said=True)
                    head = self._refusal if event.refusal else self._content
                frames.append(head + frame_json(event.text) + tail)
            else:
                state = self._apply(state, event, frames)
                if state.over:
                    break
        return state._replace(position=batch.end)

    def _apply(self, state: ChatState, event: Event, frames: list[bytes]) -> ChatState:
        """Add what an event tells that holds no text."""
        match event:
            case StatusChanged():
                if begins_anew(event) and state.said:
                    frames.append(_error(_LOST))
                    return state._replace(over=True)
                if event.status is TaskStatus.RUNNING:
                    return self._open(state, frames)
                return state._replace(cancelled=event.status is TaskStatus.CANCELLED)
            case TaskEnded() if state.cancelled:
                frames.append(_error(CANCELLED))
            case TaskEnded():
                state = self._open(state, frames)
                self._end(event, frames)
            case TaskErrored():
                frames.append(_error(task_error(event)))
        return state

    def _open(self, state: ChatState, frames: list[bytes]) -> ChatState:
        if state.begun:
            return state
        frames.append(self._chunk({"role": "assistant", "content": "", "refusal": None}))
        return state._replace(begun=True)

    def _end(self, end: TaskEnded, frames: list[bytes]) -> None:
        if citations := chat_citations(end.answer):
            frames.append(self._chunk({"annotations": citations}))
        if end.answer.items:
            frames.append(self._chunk({"items": end.answer.items}))
        for index, call in enumerate(chat_calls(end)):
            frames.append(self._chunk({"tool_calls": [{"index": index, **call}]}))
        model = {"model": end.model}
        frames.append(self._chunk({}, chat_finish_reason(end), **model))
        if self._include_usage:
            usage = {**self._rest, **model, "choices": [], "usage": chat_usage(end.usage)}
            frames.append(_frame(usage))
        frames.append(DONE)

    def _chunk(self, delta: Json, finish_reason: str | None = None, **fields: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        usage = {"usage": None} if self._include_usage else {}
        return _frame({**self._rest, **fields, "choices": [choice], **usage})

    def _around(self, field: str) -> tuple[bytes, bytes]:
        head, tail = self._chunk({field: 0}).split(b":0}", 1)
        return head + b":", b"}" + tail


def _frame(data: Json) -> bytes:
    return b"data: %b\n\n" % frame_json(data)


def _error(error: Json) -> bytes:
    return _frame({"error": error})
