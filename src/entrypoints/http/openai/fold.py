"""The state of a response at one event of its task's log: what the events so far have made of it.

It is the same on every instance, since it follows from the log alone. It holds counters, the items
of the attempt and where their texts begin; the texts themselves are kept once per process (`said`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from domain.answer import JsonObject
from domain.events import START, TaskEnded, TaskErrored, TaskStatus
from entrypoints.http.openai.ids import item_id
from entrypoints.http.openai.said import Said

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ReasoningItem:
    index: int
    """Its output index, which counts all items of the response, those of lost attempts too."""
    begin: int
    end: int | None = None
    """None: it is open."""


@dataclass(frozen=True, slots=True)
class TextPart:
    refusal: bool
    begin: int
    annotations: tuple[JsonObject, ...] = ()


@dataclass(frozen=True, slots=True)
class MessageItem:
    index: int
    parts: tuple[TextPart, ...] = ()


@dataclass(frozen=True, slots=True)
class CallItem:
    index: int
    call_id: str
    name: str
    arguments: str
    """JSON, never empty."""


class Fold:
    """Treat one that is kept as immutable: `copy` it to go on."""

    __slots__ = (
        "calls",
        "count",
        "end",
        "message",
        "message_status",
        "next_index",
        "over",
        "position",
        "reasoning",
        "reasoning_size",
        "reasoning_status",
        "said_reasoning",
        "said_text",
        "status",
        "text_size",
    )

    def __init__(self) -> None:
        self.position = START
        """In the log."""
        self.count = 0
        """Events of the response so far."""
        self.next_index = 0
        self.status = TaskStatus.PENDING
        self.over = False
        """Whether the stream ends here, though the log may go on."""
        self.end: TaskEnded | TaskErrored | None = None
        self.begin_attempt()

    def begin_attempt(self) -> None:
        """Forget the items of the attempt before."""
        self.said_text, self.said_reasoning = Said(), Said()
        self.text_size = self.reasoning_size = 0
        self.reasoning: tuple[ReasoningItem, ...] = ()
        self.message: MessageItem | None = None
        self.message_status = self.reasoning_status = "in_progress"
        """Of the message, and of the item of reasoning that is open."""
        self.calls: tuple[CallItem, ...] = ()

    def copy(self) -> Self:
        other = type(self).__new__(type(self))
        for name in Fold.__slots__:
            setattr(other, name, getattr(self, name))
        return other

    def lose_what_follows(self) -> None:
        """Part from folds of an end of the log that was lost and written anew."""
        self.said_text = self.said_text.copy(self.text_size)
        self.said_reasoning = self.said_reasoning.copy(self.reasoning_size)

    @property
    def reasons(self) -> bool:
        """Whether an item of reasoning is open."""
        return bool(self.reasoning) and self.reasoning[-1].end is None

    def reasoning_text(self, item: ReasoningItem) -> str:
        end = self.reasoning_size if item.end is None else item.end
        return self.said_reasoning.cut(item.begin, end)

    def part_text(self, place: int) -> str:
        """Return the text of a part of the message."""
        parts = self.message.parts if self.message is not None else ()
        following = parts[place + 1 : place + 2]
        end = following[0].begin if following else self.text_size
        return self.said_text.cut(parts[place].begin, end)


class ItemShapes:
    """The items of a response as JSON."""

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
        """Return the fields of an event that name a part of a message."""
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

    def output(self, fold: Fold) -> list[Item]:
        """Return the items of the attempt."""
        items: list[tuple[int, Item]] = []
        for each in fold.reasoning:
            status = fold.reasoning_status if each.end is None else "completed"
            items.append((each.index, self.reasoning(each, status, fold.reasoning_text(each))))
        if (message := fold.message) is not None:
            shape = self.message(message, fold.message_status, message_content(fold))
            items.append((message.index, shape))
        items += ((each.index, self.call(each, "completed", each.arguments)) for each in fold.calls)
        return [item for _, item in sorted(items, key=lambda each: each[0])]


def message_content(fold: Fold) -> list[Item]:
    parts = fold.message.parts if fold.message is not None else ()
    return [
        message_part(part, fold.part_text(place), part.annotations)
        for place, part in enumerate(parts)
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
