"""The events of a response's stream that open, fill and close its items. Pure.

Each writes the events, and moves the state of the response on.
"""

from dataclasses import replace

from domain.answer import JsonObject, ToolCall, characters_in
from entrypoints.http.openai.output_items import (
    OutputItems,
    message_content,
    message_part,
    text_told_of,
)
from entrypoints.http.openai.response_frames import DeltaHead, FrameWriter, delta_head
from entrypoints.http.openai.response_state import (
    CallItem,
    HostedItem,
    MessageItem,
    Note,
    ReasoningItem,
    ResponseState,
    TextPart,
)


class ItemEvents:
    """Those of one task."""

    def __init__(self, items: OutputItems) -> None:
        self._items = items

    def text_head(self, message: int, part: TextPart) -> DeltaHead:
        """Return the head of the deltas of a part. `message`: its output index."""
        kind = f"response.{'refusal' if part.refusal else 'output_text'}.delta"
        id_ = self._items.id("msg", message)
        return delta_head(kind, id_, message, f'"content_index":{part.index},')

    def begin_message(self, fold: ResponseState, writer: FrameWriter) -> MessageItem:
        message = fold.message = MessageItem(fold.next_index)
        fold.next_index += 1
        item = self._items.message(message, "in_progress", [])
        writer.write("response.output_item.added", output_index=message.index, item=item)
        return message

    def begin_empty(self, fold: ResponseState, writer: FrameWriter) -> None:
        self.begin_part(self.begin_message(fold, writer), False, fold, writer)

    def begin_part(
        self, message: MessageItem, refusal: bool, fold: ResponseState, writer: FrameWriter
    ) -> TextPart:
        index = 0 if message.part is None else message.part.index + 1
        part = TextPart(index, refusal, fold.text_size, before=message.part)
        fold.message = MessageItem(message.index, part)
        place = self._items.place_in(message, index)
        writer.write("response.content_part.added", **place, part=message_part(part, ""))
        return part

    def annotate(
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

    def add_reasoning(self, text: str, fold: ResponseState, writer: FrameWriter) -> None:
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

    def close_reasoning(self, fold: ResponseState, writer: FrameWriter) -> None:
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

    def close_message(self, fold: ResponseState, writer: FrameWriter, *, cut: bool) -> None:
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

    def break_off(self, fold: ResponseState, writer: FrameWriter) -> None:
        """Close what is open as incomplete, by this alone: `output_text.done` of half a JSON makes
        openai-python's helper raise."""
        self.break_off_reasoning(fold, writer)
        self.close_message(fold, writer, cut=True)

    def break_off_reasoning(self, fold: ResponseState, writer: FrameWriter) -> bool:
        """Close the item of reasoning that is open. Return whether there was one."""
        if (last := fold.open_reasoning) is None:
            return False
        fold.reasoning_status = "incomplete"
        item = self._items.reasoning(last, fold.reasoning_status, fold.reasoning_text(last))
        writer.write("response.output_item.done", output_index=last.index, item=item)
        return True

    def tell_call(self, call: ToolCall, fold: ResponseState, writer: FrameWriter) -> None:
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

    def tell_hosted(self, data: JsonObject, fold: ResponseState, writer: FrameWriter) -> None:
        """Tell an output item of the upstream, which comes when it is whole."""
        told = fold.hosted = HostedItem(
            fold.next_index, data, fold.hosted_size + characters_in(data), before=fold.hosted
        )
        fold.next_index += 1
        item = self._items.hosted(told)
        place = {"item_id": item["id"], "output_index": told.index}
        begun = self._items.begun(item)
        writer.write("response.output_item.added", output_index=told.index, item=begun)
        if (inner := text_told_of(item)) is not None:
            if inner.text:
                writer.write(f"{inner.kind}.delta", **place, delta=inner.text)
            writer.write(f"{inner.kind}.done", **place, **{inner.field: inner.text})
        writer.write("response.output_item.done", output_index=told.index, item=item)
