"""The output items of a response as JSON: reasoning, a message, calls of functions, and what hosted
tools did."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from domain.answer import JsonObject
from entrypoints.http.openai.ids import ITEM_PREFIX, OWN_PREFIXES, item_id
from entrypoints.http.openai.response_state import (
    CallItem,
    HostedItem,
    MessageItem,
    ReasoningItem,
    ResponseState,
    TextPart,
    all_to,
)

Item = dict[str, Any]

_PREFIX = re.compile(f"({ITEM_PREFIX})_")


class OutputItems:
    """Makes the items of one task."""

    def __init__(self, task_id: str, *, summary: bool) -> None:
        """`summary`: whether reasoning is told as a summary, as the request asked for."""
        self._task_id = task_id
        self._summary = summary
        # How events of reasoning are named, and the field that numbers the parts of an item.
        self.reasoning_kind = "reasoning_summary_" if summary else "content_"
        self.reasoning_text_kind = "reasoning_summary_text" if summary else "reasoning_text"
        self.reasoning_index = "summary_index" if summary else "content_index"

    def id(self, kind: str, index: int) -> str:
        return item_id(kind, self._task_id, index)

    def place_in(self, message: MessageItem, part: int) -> Item:
        """Return the fields of an event that name a part of a message, by its index."""
        id_ = self.id("msg", message.index)
        return {"item_id": id_, "output_index": message.index, "content_index": part}

    def place_in_reasoning(self, item: ReasoningItem) -> Item:
        id_ = self.id("rs", item.index)
        return {"item_id": id_, "output_index": item.index, self.reasoning_index: 0}

    def reasoning(self, item: ReasoningItem, status: str, text: str | None) -> Item:
        """`text`: None for an item that has just begun."""
        told = [] if text is None else [self.reasoning_part(text)]
        shape: Item = {
            "id": self.id("rs", item.index),
            "type": "reasoning",
            "status": status,
            "summary": told if self._summary else [],
        }
        return shape if self._summary else {**shape, "content": told}

    def reasoning_part(self, text: str) -> Item:
        return {"type": "summary_text" if self._summary else "reasoning_text", "text": text}

    def message(self, item: MessageItem, status: str, content: Sequence[Item]) -> Item:
        return {
            "id": self.id("msg", item.index),
            "type": "message",
            "role": "assistant",
            "status": status,
            "content": content,
        }

    def call(self, item: CallItem, status: str, arguments: str) -> Item:
        return {
            "id": self.id("fc", item.index),
            "type": "function_call",
            "call_id": item.call_id,
            "name": item.name,
            "arguments": arguments,
            "status": status,
        }

    def hosted(self, item: HostedItem) -> Item:
        """Return an item of the upstream as it is, but for its id: that names its task and index,
        as those of all items do."""
        return {**item.data, "id": self.id(_prefix_of(item.data), item.index)}

    def begun(self, hosted: Item) -> Item:
        """Return what is told of it when it begins: texts that are told in pieces, and a picture,
        come later."""
        begun = {**hosted, "status": "in_progress"} if "status" in hosted else {**hosted}
        if (told := text_told_of(hosted)) is not None:
            begun[told.field] = ""
        if hosted.get("type") == "image_generation_call":
            begun["result"] = None
        return begun

    def output(self, fold: ResponseState) -> list[Item]:
        """Return the items of the attempt."""
        items: list[tuple[int, Item]] = []
        for each in all_to(fold.reasoning):
            status = fold.reasoning_status if each.end is None else "completed"
            items.append((each.index, self.reasoning(each, status, fold.reasoning_text(each))))
        if (message := fold.message) is not None:
            shape = self.message(message, fold.message_status, message_content(fold))
            items.append((message.index, shape))
        items += ((each.index, self.call(each, "completed", each.arguments)) for each in fold.calls)
        items += ((each.index, self.hosted(each)) for each in all_to(fold.hosted))
        return [item for _, item in sorted(items, key=lambda each: each[0])]


class HostedText(NamedTuple):
    """A text of a hosted item which clients are told in pieces."""

    field: str
    kind: str
    """Of the events."""
    text: str


_TEXTS = {
    "code_interpreter_call": ("code", "response.code_interpreter_call_code"),
    "mcp_call": ("arguments", "response.mcp_call_arguments"),
}


def text_told_of(hosted: Item) -> HostedText | None:
    field, kind = _TEXTS.get(str(hosted.get("type")), ("", ""))
    text = hosted.get(field)
    return HostedText(field, kind, text) if isinstance(text, str) else None


def _prefix_of(data: JsonObject) -> str:
    """Return the prefix of an item's id: the upstream's, unless it is one of ours."""
    found = _PREFIX.match(str(data.get("id")))
    return found[1] if found and found[1] not in OWN_PREFIXES else "item"


def message_content(fold: ResponseState) -> list[Item]:
    return [
        message_part(part, text, [note.annotation for note in all_to(part.note)])
        for part, text in fold.part_texts()
    ]


def message_part(part: TextPart, text: str, annotations: Sequence[JsonObject] = ()) -> Item:
    if part.refusal:
        return {"type": "refusal", "refusal": text}
    return {
        "type": "output_text",
        "text": text,
        "annotations": annotations,
        "logprobs": [],
    }
