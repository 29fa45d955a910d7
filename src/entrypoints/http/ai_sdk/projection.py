"""The UI message stream of a task: chunks, projected from its event log. Pure.

Each event becomes chunks by the state before it (`UiState`), on any instance alike. The inputs of
tools are told as available only at the end: the page runs a tool at once, and would run those of
lost attempts.
"""

import hashlib
from collections.abc import Hashable
from dataclasses import replace

from application.ports import Batch
from domain.events import (
    ContentAdded,
    Event,
    ItemAdded,
    ReasoningAdded,
    StatusChanged,
    TaskEnded,
    TaskErrored,
    TaskStatus,
    ToolCallAdded,
)
from entrypoints.http.ai_sdk.chunks import (
    DELTA_TAIL,
    DONE,
    Chunk,
    delta_head,
    finish_reason,
    frame,
    item_chunks,
    metadata,
    named_tool,
    reset_step,
    sources,
    whole_input,
)
from entrypoints.http.ai_sdk.replay import NOTHING_EARLIER, Earlier
from entrypoints.http.ai_sdk.ui_state import Call, Calls, StreamContext, UiState
from entrypoints.http.answer_parts import is_cut
from entrypoints.http.native.bodies import usage_body
from entrypoints.http.sse.frame_json import frame_json

Told = tuple[UiState, list[Chunk]]
"""A state, and the chunks that lead to it."""


class UiProjection:
    def __init__(self, context: StreamContext, earlier: Earlier | None = None) -> None:
        """`earlier`: what the answer continues, if the stream begins with it."""
        self.key: Hashable = ("ai-sdk", earlier is not None)
        self._context = context
        self._earlier = earlier or NOTHING_EARLIER

    def begin(self) -> UiState:
        return UiState()

    def fold(self, before: UiState, batch: Batch, frames: list[bytes] | None = None) -> UiState:
        """Return the state after a batch, and add its frames to `frames`. Without `frames` none are
        encoded. `before.position` must be the position before the batch."""
        state, count, head = before, before.count, _head(before)
        for number, event in enumerate(batch.events, batch.first):
            if isinstance(event, ContentAdded | ReasoningAdded) and _kind(event) == state.kind:
                if event.text:  # the usual case, made short
                    count += 1
                    if frames is not None:
                        frames.append(head + frame_json(event.text) + DELTA_TAIL)
            elif not state.finished:
                opening = [] if count else self._open(event)
                state, chunks = self._tell(event, number, state)
                if frames is not None:
                    if opening:
                        start, step = map(frame, opening)
                        frames += [start, *self._earlier.frames, step]
                    frames += map(frame, chunks)
                    if state.finished:
                        frames.append(DONE)
                count += len(opening) + len(chunks)
                head = _head(state)
        return replace(state, position=batch.end, count=count)

    def _open(self, event: Event) -> list[Chunk]:
        """Return the chunks before those of the first event."""
        # A log begins with a status, unless the store has lost it: then it is an error alone.
        status = event.status if isinstance(event, StatusChanged) else TaskStatus.FAILED
        told = {**self._earlier.metadata, "taskId": self._context.task_id, "status": status.value}
        start = {"type": "start", "messageId": self._context.message_id, "messageMetadata": told}
        return [start, {"type": "start-step"}]

    def _tell(self, event: Event, number: int, state: UiState) -> Told:
        """Return the state after an event, but for its position and count, and its chunks."""
        match event:
            case ContentAdded() | ReasoningAdded():
                return _begin_part(event, number, state) if event.text else (state, [])
            case ToolCallAdded():
                return self._tell_call(event, number, state)
            case ItemAdded():
                return replace(state, kind=""), [*_close(state), *item_chunks(event.data)]
            case StatusChanged():
                return self._change_status(event, number, state)
            case TaskEnded():
                return self._end(event, number, state)
            case TaskErrored():
                error = {"type": "error", "errorText": event.message}
                finish = {"type": "finish", "finishReason": "error"}
                return _finish(state, [], error, finish)

    def _tell_call(self, event: ToolCallAdded, number: int, state: UiState) -> Told:
        chunks: list[Chunk] = []
        if (call := state.calls.find(event.index, number)) is None:
            name = event.name or ""
            call = self._new_call(event.id or "", name, number, state)
            chunks = [*_close(state), named_tool("tool-input-start", call.id, name, call.dynamic)]
            state.calls.add(event.index, number, call)
            state = replace(state, kind="")
        if event.arguments:
            delta = {"toolCallId": call.id, "inputTextDelta": event.arguments}
            chunks.append({"type": "tool-input-delta", **delta})
        return state, chunks

    def _new_call(self, id_: str, name: str, number: int, state: UiState) -> Call:
        """Return the call that begins with an event. Its id is replaced if the page has that id
        already: the page finds calls by their ids alone."""
        if id_ in self._context.call_ids or id_ in state.lost_ids:
            # No suffix: OpenAI refuses ids of more than 40 characters when the call is sent back.
            unique = hashlib.sha256(f"{self._context.task_id} {number} {id_}".encode())
            id_ = f"call_{unique.hexdigest()[:24]}"
        return Call(id_, name not in self._context.tools)

    def _change_status(self, event: StatusChanged, number: int, state: UiState) -> Told:
        state = replace(state, status=event.status)
        if event.status is TaskStatus.PENDING:
            # The first one is told with the start of the message.
            return state, [metadata(event, reason=event.reason)] if event.attempt else []
        if event.status is not TaskStatus.RUNNING:
            return state, [metadata(event)]
        again = metadata(event, reason=None)
        if event.resumed:
            return state, [again]
        if event.attempt <= 1:
            return state, []
        lost_ids = state.lost_ids.union(state.calls.ids(number))
        state = replace(state, kind="", calls=Calls(), lost_ids=lost_ids)
        return state, [reset_step(event.attempt, self._context.sdk), again]

    def _end(self, end: TaskEnded, number: int, state: UiState) -> Told:
        if state.status is TaskStatus.CANCELLED:
            abort = {"type": "abort", "reason": "cancelled"}
            return _finish(state, [], abort, {"type": "finish", "finishReason": "other"})
        chunks = sources(end.answer, self._context.task_id)
        for call in () if is_cut(end) else end.answer.tool_calls:
            known = state.calls.find(call.index, number) or self._new_call(
                call.id, call.name, number, state
            )
            chunks.append(whole_input(call, known.id, known.dynamic))
        told = {"usage": usage_body(end.usage), "model": end.model}
        finish = {"type": "finish", "finishReason": finish_reason(end), "messageMetadata": told}
        return _finish(state, chunks, finish)


def _kind(event: ContentAdded | ReasoningAdded) -> str:
    if isinstance(event, ReasoningAdded):
        return "reasoning"
    return "refusal" if event.refusal else "text"


def _wire_kind(state: UiState) -> str:
    return "text" if state.kind == "refusal" else state.kind


def _head(state: UiState) -> bytes:
    """Return what stands before the text of the next piece of the open part."""
    return delta_head(_wire_kind(state), str(state.part)) if state.kind else b""


def _begin_part(event: ContentAdded | ReasoningAdded, number: int, before: UiState) -> Told:
    state = replace(before, kind=_kind(event), part=number)
    kind, id_ = _wire_kind(state), str(number)
    start: Chunk = {"type": f"{kind}-start", "id": id_}
    if state.kind == "refusal":
        start["providerMetadata"] = {"longtask": {"refusal": True}}
    delta = {"type": f"{kind}-delta", "id": id_, "delta": event.text}
    return state, [*_close(before), start, delta]


def _close(state: UiState) -> list[Chunk]:
    """Return the chunk that closes the open part, if one is open."""
    return [{"type": f"{_wire_kind(state)}-end", "id": str(state.part)}] if state.kind else []


def _finish(state: UiState, chunks: list[Chunk], *last: Chunk) -> Told:
    closed = [*_close(state), *chunks, {"type": "finish-step"}, *last]
    return replace(state, kind="", finished=True), closed
