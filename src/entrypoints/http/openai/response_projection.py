"""The stream of a response: OpenAI's events, projected from the event log of its task. Pure.

Each event of a log becomes events of the stream by the state before it (`ResponseState`), on any
instance alike. Calls of tools are told at the end: told live, clients would run calls of lost
attempts.
"""

from collections.abc import Hashable
from dataclasses import replace

from application.ports import Batch
from domain.answer import JsonObject, ToolCall
from domain.events import (
    ContentAdded,
    Event,
    ReasoningAdded,
    StatusChanged,
    TaskEnded,
    TaskErrored,
    TaskStatus,
    ToolCallAdded,
    begins_anew,
)
from domain.messages import usable_calls
from entrypoints.http.answer_parts import is_cut, url_citation
from entrypoints.http.openai.output_items import Item, OutputItems, message_content, message_part
from entrypoints.http.openai.response_frames import DeltaHead, FrameWriter, delta_head
from entrypoints.http.openai.response_object import LOST, ResponseObject, status_of
from entrypoints.http.openai.response_state import (
    CallItem,
    MessageItem,
    Note,
    ReasoningItem,
    ResponseState,
    TextPart,
)


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
        attempt is lost that has said some."""
        self.key = key
        self._response = response
        self._items = items
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
                self._add_reasoning(text, fold, writer)
            case ToolCallAdded():
                self._close_reasoning(fold, writer)
            case StatusChanged():
                self._change_status(event, fold, writer)
            case TaskEnded():
                fold.end = event
                self._end(event, fold, writer)
                self._tell(_LAST.get(status_of(fold), "response.failed"), fold, writer)
            case TaskErrored():
                fold.end = event
                if fold.message is None:  # some clients repeat a request that told no item
                    self._begin_empty(fold, writer)
                self._break_off(fold, writer)
                self._tell("response.failed", fold, writer)

    def _tell(self, kind: str, fold: ResponseState, writer: FrameWriter) -> None:
        """Tell of the response as a whole: with its items only in the last event."""
        output: list[Item] | None = None if fold.end is not None else []
        writer.write(kind, response=self._response.at(fold, output))

    def _change_status(
        self, event: StatusChanged, fold: ResponseState, writer: FrameWriter
    ) -> None:
        if begins_anew(event):
            self._break_off(fold, writer)
            if self._append_only and fold.message is not None:
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
        self._close_reasoning(fold, writer)
        if (message := fold.message) is None:
            message = self._begin_message(fold, writer)
        if (part := message.part) is None or part.refusal != event.refusal:
            part = self._begin_part(message, event.refusal, fold, writer)
        if event.text:
            fold.text_size = fold.said_text.add(fold.text_size, event.text)
            writer.delta(self._head_in(message.index, part), event.text)
        for each in event.annotations:
            if not event.refusal and (annotation := url_citation(each)) is not None:
                part = self._annotate(annotation, message, part, writer)
                fold.message = MessageItem(message.index, part)

    def _text_head(self, fold: ResponseState) -> DeltaHead | None:
        """Return the head of the deltas of the text, if a part of it is open."""
        message = fold.message
        if message is None or fold.open_reasoning or fold.over or fold.end is not None:
            return None
        if message.part is None or message.part.refusal:
            return None
        return self._head_in(message.index, message.part)

    def _head_in(self, message: int, part: TextPart) -> DeltaHead:
        """Return the head of the deltas of a part. `message`: its output index."""
        kind = f"response.{'refusal' if part.refusal else 'output_text'}.delta"
        id_ = self._items.id("msg", message)
        return delta_head(kind, id_, message, f'"content_index":{part.index},')

    def _begin_message(self, fold: ResponseState, writer: FrameWriter) -> MessageItem:
        message = fold.message = MessageItem(fold.next_index)
        fold.next_index += 1
        item = self._items.message(message, "in_progress", [])
        writer.write("response.output_item.added", output_index=message.index, item=item)
        return message

    def _begin_empty(self, fold: ResponseState, writer: FrameWriter) -> None:
        self._begin_part(self._begin_message(fold, writer), False, fold, writer)

    def _begin_part(
        self, message: MessageItem, refusal: bool, fold: ResponseState, writer: FrameWriter
    ) -> TextPart:
        index = 0 if message.part is None else message.part.index + 1
        part = TextPart(index, refusal, fold.text_size, before=message.part)
        fold.message = MessageItem(message.index, part)
        place = self._items.place_in(message, index)
        writer.write("response.content_part.added", **place, part=message_part(part, ""))
        return part

    def _annotate(
        self, annotation: JsonObject, message: MessageItem, part: TextPart, writer: FrameWriter
    ) -> TextPart:
        index = 0 if part.note is None else part.note.index + 1
        place = self._items.place_in(message, part.index)
        writer.write(
            "response.output_text.annotation.added",
            **place,
            annotation_index=index,
            annotation=annotation,
        )
        return replace(part, note=Note(index, annotation, part.note))

    def _add_reasoning(self, text: str, fold: ResponseState, writer: FrameWriter) -> None:
        items = self._items
        if (last := fold.open_reasoning) is None:
            last = ReasoningItem(fold.next_index, fold.reasoning_size, before=fold.reasoning)
            fold.reasoning = last
            fold.next_index += 1
            item = items.reasoning(last, "in_progress", None)
            writer.write("response.output_item.added", output_index=last.index, item=item)
            part = items.reasoning_part("")
            place = items.place_in_reasoning(last)
            writer.write(f"response.{items.reasoning_kind}part.added", **place, part=part)
        fold.reasoning_size = fold.said_reasoning.add(fold.reasoning_size, text)
        index = last.index
        kind = f"response.{items.reasoning_text_kind}.delta"
        head = delta_head(kind, items.id("rs", index), index, f'"{items.reasoning_index}":0,')
        writer.delta(head, text)

    def _close_reasoning(self, fold: ResponseState, writer: FrameWriter) -> None:
        if (last := fold.open_reasoning) is None:
            return
        items = self._items
        closed = fold.reasoning = replace(last, end=fold.reasoning_size)
        place, text = items.place_in_reasoning(closed), fold.reasoning_text(closed)
        writer.write(f"response.{items.reasoning_text_kind}.done", **place, text=text)
        part = items.reasoning_part(text)
        writer.write(f"response.{items.reasoning_kind}part.done", **place, part=part)
        item = items.reasoning(closed, "completed", text)
        writer.write("response.output_item.done", output_index=closed.index, item=item)

    def _end(self, end: TaskEnded, fold: ResponseState, writer: FrameWriter) -> None:
        """Close the items of an answer that has ended: what was cut off is incomplete."""
        if fold.status is not TaskStatus.COMPLETED:
            self._break_off(fold, writer)
            return
        cut, calls = is_cut(end), usable_calls(end.answer, end.finish_reason)
        if cut and self._break_off_reasoning(fold, writer):
            cut = False
        else:
            self._close_reasoning(fold, writer)
        if fold.message is None and not (end.answer.tool_calls if is_cut(end) else calls):
            # Some clients ask again if there is no item, or none with a part.
            self._begin_empty(fold, writer)
        self._close_message(fold, writer, cut=cut and not end.answer.tool_calls)
        for call in calls:
            self._tell_call(call, fold, writer)

    def _close_message(self, fold: ResponseState, writer: FrameWriter, *, cut: bool) -> None:
        if (message := fold.message) is None:
            return
        fold.message_status = "incomplete" if cut else "completed"
        content = message_content(fold)
        for index, part in enumerate(content if not cut else ()):
            place = self._items.place_in(message, index)
            if part["type"] == "refusal":
                writer.write("response.refusal.done", **place, refusal=part["refusal"])
            else:
                text = part["text"]
                writer.write("response.output_text.done", **place, text=text, logprobs=[])
            writer.write("response.content_part.done", **place, part=part)
        item = self._items.message(message, fold.message_status, content)
        writer.write("response.output_item.done", output_index=message.index, item=item)

    def _break_off(self, fold: ResponseState, writer: FrameWriter) -> None:
        """Close what is open as incomplete, by this alone: `output_text.done` of half a JSON makes
        openai-python's helper raise."""
        self._break_off_reasoning(fold, writer)
        self._close_message(fold, writer, cut=True)

    def _break_off_reasoning(self, fold: ResponseState, writer: FrameWriter) -> bool:
        """Close the item of reasoning that is open. Return whether there was one."""
        if (last := fold.open_reasoning) is None:
            return False
        fold.reasoning_status = "incomplete"
        item = self._items.reasoning(last, fold.reasoning_status, fold.reasoning_text(last))
        writer.write("response.output_item.done", output_index=last.index, item=item)
        return True

    def _tell_call(self, call: ToolCall, fold: ResponseState, writer: FrameWriter) -> None:
        told = CallItem(fold.next_index, call.id, call.name, call.arguments)
        fold.next_index += 1
        fold.calls = (*fold.calls, told)
        id_, index = self._items.id("fc", told.index), told.index
        item = self._items.call(told, "in_progress", "")
        writer.write("response.output_item.added", output_index=index, item=item)
        kind = "response.function_call_arguments"
        writer.delta(delta_head(f"{kind}.delta", id_, index, ""), told.arguments)
        place = {"item_id": id_, "output_index": index, "name": told.name}
        writer.write(f"{kind}.done", **place, arguments=told.arguments)
        item = self._items.call(told, "completed", told.arguments)
        writer.write("response.output_item.done", output_index=index, item=item)


def _is_plain(event: ContentAdded) -> bool:
    """Whether an event adds nothing but text."""
    return bool(event.text) and not event.refusal and not event.annotations


_LAST = {"completed": "response.completed", "incomplete": "response.incomplete"}
"""By the status of a response: its last event. All others are told as failed: clients would take
the part of a cancelled answer for the whole."""
