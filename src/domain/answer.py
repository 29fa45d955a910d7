"""The answer of a model: the pieces in which it arrives, and what they add up to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from domain.tokens import estimate_tokens, weight_of

JsonObject: TypeAlias = Mapping[str, Any]
"""A JSON object of a client or a model, kept and passed on as it is. Nothing changes it."""
DEPTH_LIMIT = 100
"""How deep arrays and objects may lie in each other in what is kept of a client or a model."""
CUT = {
    "length": "max_output_tokens",
    "max_tokens": "max_output_tokens",
    "model_length": "max_output_tokens",
    "content_filter": "content_filter",
}
"""By the reason why a model stopped, if its answer is not whole: how OpenAI says it."""


def is_deep(value: object) -> bool:
    """Whether arrays and objects lie in each other more than `DEPTH_LIMIT` deep."""
    level: list[Any] = [value]
    for _ in range(DEPTH_LIMIT):
        level = [
            child
            for each in level
            for child in (each if isinstance(each, list | tuple) else each.values())
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def characters_in(value: object) -> int:
    """Return how long a JSON value is, roughly: the characters of its texts and names, and one for
    every other value."""
    size, rest = 0, [value]
    while rest:
        match rest.pop():
            case str(text):
                size += len(text)
            case list(values) | tuple(values):
                rest += values
            case dict(fields):
                size += sum(map(len, fields))
                rest += fields.values()
            case _:
                size += 1
    return size


@dataclass(frozen=True, slots=True)
class Text:
    """The next piece of the text."""

    text: str
    refusal: bool = False
    """Whether the model refuses with these words."""
    annotations: tuple[JsonObject, ...] = ()
    """What the model's server notes about the text (citations), in its own form."""


@dataclass(frozen=True, slots=True)
class Reasoning:
    """The next piece of the model's reasoning, or of its summary."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """The next piece of a call of a tool. Pieces of several calls may alternate."""

    index: int
    """Which of the answer's calls: 0 and above."""
    arguments: str = ""
    """The next piece of the arguments."""
    id: str | None = None
    """The id of the call, in its first piece, if the model gives one."""
    name: str | None = None
    """The next piece of the tool's name: all of it in the first piece, as a rule."""


@dataclass(frozen=True, slots=True)
class OutputItem:
    """An output item of the upstream's Responses API that no other piece holds, when it is whole:
    what a hosted tool did (`web_search_call`, `image_generation_call`), for example."""

    data: JsonObject
    """As the upstream gives it. It has a `type`, and is not deep (`is_deep`)."""


Piece = Text | Reasoning | ToolCallDelta | OutputItem


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool: whole, or what had arrived of it when the answer ended."""

    index: int
    id: str
    name: str
    arguments: str
    """JSON, if the model did as it should and was not cut off."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an attempt has said so far, or in all."""

    text: str = ""
    """All text, refusals included."""
    refusal: str = ""
    """The part of the text with which the model refuses."""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    """By their indices, in ascending order."""
    annotations: tuple[JsonObject, ...] = ()
    items: tuple[JsonObject, ...] = ()
    """The data of each `OutputItem`, in their order."""

    @property
    def size(self) -> int:
        """The number of characters of text, reasoning and arguments."""
        arguments = sum(len(call.arguments) for call in self.tool_calls)
        return len(self.text) + len(self.reasoning) + arguments

    @property
    def tokens(self) -> int:
        """About how many tokens text, reasoning and arguments cost."""
        arguments = (call.arguments for call in self.tool_calls)
        return estimate_tokens(self.text, self.reasoning, *arguments)


@dataclass(slots=True)
class _Call:
    id: str
    names: list[str]
    arguments: list[str]
    weighed: int = 0
    """How many of the arguments are weighed."""


class AnswerBuilder:
    """Adds up the pieces of an answer. The first piece of each call must have its id."""

    __slots__ = (
        "_annotations",
        "_calls",
        "_items",
        "_reasoning",
        "_refusal",
        "_text",
        "_weighed",
        "_weight",
    )

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all pieces: the next attempt begins."""
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[int, _Call] = {}
        self._annotations: list[JsonObject] = []
        self._items: list[JsonObject] = []
        self._weight = 0
        self._weighed = 0, 0
        """How many pieces of text and of reasoning are weighed."""

    def weight(self) -> int:
        """Return what text, reasoning and arguments weigh (domain.tokens). Looks only at what was
        added since the last call."""
        text, reasoning = self._weighed
        new = [*self._text[text:], *self._reasoning[reasoning:]]
        self._weighed = len(self._text), len(self._reasoning)
        for call in self._calls.values():
            new += call.arguments[call.weighed :]
            call.weighed = len(call.arguments)
        self._weight += weight_of("".join(new))
        return self._weight

    def add_text(
        self, text: str, refusal: bool = False, annotations: tuple[JsonObject, ...] = ()
    ) -> None:
        self._text.append(text)
        if refusal:
            self._refusal.append(text)
        if annotations:
            self._annotations.extend(annotations)

    def add_reasoning(self, text: str) -> None:
        self._reasoning.append(text)

    def add_call(self, index: int, arguments: str, call_id: str | None, name: str | None) -> None:
        call = self._calls.get(index)
        if call is None:
            call = self._calls[index] = _Call(call_id or "", [], [])
        if name:
            call.names.append(name)
        call.arguments.append(arguments)

    def add_item(self, data: JsonObject) -> None:
        self._items.append(data)

    def answer(self) -> Answer:
        """Return what the pieces add up to."""
        calls = sorted(self._calls.items())
        return Answer(
            "".join(self._text),
            "".join(self._refusal),
            "".join(self._reasoning),
            tuple(
                ToolCall(index, call.id, "".join(call.names), "".join(call.arguments))
                for index, call in calls
            ),
            tuple(self._annotations),
            tuple(self._items),
        )
