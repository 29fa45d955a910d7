"""The state of a response at one event of its task's log: what the events so far have made of it.

It is the same on every instance, since it follows from the log alone. It holds counters, the items
of the attempt and where their texts begin; the texts themselves are kept once per process (`said`).
"""

from dataclasses import dataclass
from typing import Self, TypeVar

from domain.answer import JsonObject
from domain.events import TaskEnded, TaskErrored, TaskStatus
from domain.position import START
from entrypoints.http.openai.said import Said


@dataclass(frozen=True, slots=True)
class ReasoningItem:
    index: int
    """Its output index, which counts all items of the response, those of lost attempts too."""
    begin: int
    end: int | None = None
    """None: it is open."""
    before: "ReasoningItem | None" = None


@dataclass(frozen=True, slots=True)
class Note:
    """An annotation of a part."""

    index: int
    annotation: JsonObject
    before: "Note | None" = None


@dataclass(frozen=True, slots=True)
class TextPart:
    index: int
    refusal: bool
    begin: int
    note: Note | None = None
    """The last one."""
    before: "TextPart | None" = None


@dataclass(frozen=True, slots=True)
class MessageItem:
    index: int
    part: TextPart | None = None
    """The last one."""


@dataclass(frozen=True, slots=True)
class HostedItem:
    """An output item of the upstream, such as what a hosted tool did."""

    index: int
    data: JsonObject
    size: int
    """Characters of this one and those before it."""
    before: "HostedItem | None" = None


Linked = TypeVar("Linked", ReasoningItem, Note, TextPart, HostedItem)


def all_to(last: Linked | None) -> list[Linked]:
    """Return what is linked, from the first to the last. It is linked and not in a tuple, since a
    log may have thousands of them, and a tuple would be copied for each."""
    linked: list[Linked] = []
    while last is not None:
        linked.append(last)
        last = last.before
    return linked[::-1]


@dataclass(frozen=True, slots=True)
class CallItem:
    index: int
    call_id: str
    name: str
    arguments: str
    """JSON, never empty."""


class ResponseState:
    """Treat one that is kept as immutable: `copy` it to go on."""

    __slots__ = (
        "calls",
        "count",
        "end",
        "hosted",
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
        self.reasoning: ReasoningItem | None = None
        """The last item of it."""
        self.message: MessageItem | None = None
        self.message_status = self.reasoning_status = "in_progress"
        """Of the message, and of the item of reasoning that is open."""
        self.calls: tuple[CallItem, ...] = ()
        self.hosted: HostedItem | None = None
        """The last one."""

    def copy(self) -> Self:
        other = type(self).__new__(type(self))
        for name in ResponseState.__slots__:
            setattr(other, name, getattr(self, name))
        return other

    def lose_what_follows(self) -> None:
        """Part from folds of an end of the log that was lost and written anew."""
        self.said_text = self.said_text.copy(self.text_size)
        self.said_reasoning = self.said_reasoning.copy(self.reasoning_size)

    @property
    def open_reasoning(self) -> ReasoningItem | None:
        last = self.reasoning
        return last if last is not None and last.end is None else None

    @property
    def hosted_size(self) -> int:
        """Characters of the output items of the upstream."""
        return self.hosted.size if self.hosted else 0

    def reasoning_text(self, item: ReasoningItem) -> str:
        end = self.reasoning_size if item.end is None else item.end
        return self.said_reasoning.cut(item.begin, end)

    def part_texts(self) -> list[tuple[TextPart, str]]:
        """Return the parts of the message with their texts."""
        parts = all_to(self.message.part if self.message is not None else None)
        ends = [*(each.begin for each in parts[1:]), self.text_size]
        return [
            (part, self.said_text.cut(part.begin, end))
            for part, end in zip(parts, ends, strict=False)
        ]
