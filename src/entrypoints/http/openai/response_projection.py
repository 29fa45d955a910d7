"""The stream of a response: OpenAI's events, projected from the event log of its task. Pure.

Each event of a log becomes events of the stream by the state before it (`ResponseState`), on any
instance alike. Calls of tools are told at the end: told live, clients would run calls of lost
attempts.
"""

from collections.abc import Hashable

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
    begins_anew,
)
from domain.messages import usable_calls
from entrypoints.http.answer_parts import citation, is_cut
from entrypoints.http.openai.item_events import ItemEvents
from entrypoints.http.openai.output_items import Item, OutputItems
from entrypoints.http.openai.response_frames import DeltaHead, FrameWriter
from entrypoints.http.openai.response_object import LOST, ResponseObject, status_of
from entrypoints.http.openai.response_state import MessageItem, ResponseState


class ResponseProjection:
    def __init__(
        self,
        response: ResponseObject,
        items: OutputItems,
        key: Hashable,
        *,
        append_only: bool = False,
    ) -> None:
        """`key`: equal for projections of one task that are told alike. `append_only`: whether
        the client joins the pieces of a text, and cannot take any back: its stream ends where an
        attempt is lost that has said some, or told what a hosted tool did."""
        self.key = key
        self._response = response
        self._events = ItemEvents(items)
        self._append_only = append_only

    def begin(self) -> ResponseState:
        return ResponseState()

    def fold(
        self, before: ResponseState, batch: Batch, frames: list[bytes] | None = None
    ) -> ResponseState:
        """Return the state after a batch, and add its frames to `frames`. Without `frames` none are
        encoded. `before.position` must be the position before the batch."""
        fold = before.copy()
        if batch.end.epoch != before.position.epoch and before.count:
            fold.lose_what_follows()
        writer = FrameWriter(fold, frames, batch.end.epoch)
        head = self._text_head(fold)
        for event in batch.events:
            if head is not None and type(event) is ContentAdded and _is_plain(event):
                fold.text_size = fold.said_text.add(fold.text_size, event.text)
                writer.delta(head, event.text)  # the usual case, made short
            elif not fold.over:
                self._apply(event, fold, writer)
                head = self._text_head(fold)
        fold.position = batch.end
        return fold

    def _apply(self, event: Event, fold: ResponseState, writer: FrameWriter) -> None:
        if fold.count == 0:
            self._tell("response.created", fold, writer)
        match event:
            case ContentAdded():
                self._add_text(event, fold, writer)
            case ReasoningAdded(_, text):
                self._events.add_reasoning(text, fold, writer)
            case ToolCallAdded():
                self._events.close_reasoning(fold, writer)
            case ItemAdded(_, data):
                self._events.close_reasoning(fold, writer)
                self._events.tell_hosted(data, fold, writer)
            case StatusChanged():
                self._change_status(event, fold, writer)
            case TaskEnded():
                fold.end = event
                self._end(event, fold, writer)
                self._tell(_LAST.get(status_of(fold), "response.failed"), fold, writer)
            case TaskErrored():
                fold.end = event
                if fold.message is None:  # some clients repeat a request that told no item
                    self._events.begin_empty(fold, writer)
                self._events.break_off(fold, writer)
                self._tell("response.failed", fold, writer)

    def _tell(self, kind: str, fold: ResponseState, writer: FrameWriter) -> None:
        """Tell of the response as a whole: with its items only in the last event."""
        output: list[Item] | None = None if fold.end is not None else []
        writer.write(kind, response=self._response.at(fold, output))

    def _change_status(
        self, event: StatusChanged, fold: ResponseState, writer: FrameWriter
    ) -> None:
        if begins_anew(event):
            self._events.break_off(fold, writer)
            if self._append_only and (fold.message or fold.hosted):
                lost = {**self._response.at(fold), "status": "failed", "error": LOST}
                writer.write_loss(response=lost)
                return
            fold.begin_attempt()
        fold.status = event.status
        if event.status is TaskStatus.PENDING:
            self._tell("response.queued", fold, writer)
        elif event.status is TaskStatus.RUNNING:
            self._tell("response.in_progress", fold, writer)

    def _add_text(self, event: ContentAdded, fold: ResponseState, writer: FrameWriter) -> None:
        self._events.close_reasoning(fold, writer)
        if (message := fold.message) is None:
            message = self._events.begin_message(fold, writer)
        if (part := message.part) is None or part.refusal != event.refusal:
            part = self._events.begin_part(message, event.refusal, fold, writer)
        if event.text:
            fold.text_size = fold.said_text.add(fold.text_size, event.text)
            writer.delta(self._events.text_head(message.index, part), event.text)
        for each in event.annotations:
            if not event.refusal and (annotation := citation(each)) is not None:
                part = self._events.annotate(annotation, message, part, writer)
                fold.message = MessageItem(message.index, part)

    def _text_head(self, fold: ResponseState) -> DeltaHead | None:
        """Return the head of the deltas of the text, if a part of it is open."""
        message = fold.message
        if message is None or fold.open_reasoning or fold.over or fold.end is not None:
            return None
        if message.part is None or message.part.refusal:
            return None
        return self._events.text_head(message.index, message.part)

    def _end(self, end: TaskEnded, fold: ResponseState, writer: FrameWriter) -> None:
        """Close the items of an answer that has ended: what was cut off is incomplete."""
        if fold.status is not TaskStatus.COMPLETED:
            self._events.break_off(fold, writer)
            return
        cut, calls = is_cut(end), usable_calls(end.answer, end.finish_reason)
        if cut and self._events.break_off_reasoning(fold, writer):
            cut = False
        else:
            self._events.close_reasoning(fold, writer)
        if fold.message is None and not (end.answer.tool_calls if is_cut(end) else calls):
            # Some clients ask again if there is no item, or none with a part.
            self._events.begin_empty(fold, writer)
        self._events.close_message(fold, writer, cut=cut and not end.answer.tool_calls)
        for call in calls:
            self._events.tell_call(call, fold, writer)


def _is_plain(event: ContentAdded) -> bool:
    """Whether an event adds nothing but text."""
    return bool(event.text) and not event.refusal and not event.annotations


_LAST = {"completed": "response.completed", "incomplete": "response.incomplete"}
"""By the status of a response: its last event. All others are told as failed: clients would take
the part of a cancelled answer for the whole."""
