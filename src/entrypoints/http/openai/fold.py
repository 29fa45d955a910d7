"""The state of a response at one event of its task's log: what the events so far have made of it.

It is the same on every instance, since it follows from the log alone. It holds counters, the items
of the attempt and where their texts begin; the texts themselves are kept once per process (`said`).
"""

from dataclasses import dataclass
from typing import Self

from domain.answer import JsonObject
from domain.events import START, TaskEnded, TaskErrored, TaskStatus
from entrypoints.http.openai.said import Said


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
