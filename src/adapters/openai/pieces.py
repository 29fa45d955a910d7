"""Join what arrives of an answer into pieces. No I/O.

Neighbours of one kind become one piece. Some servers cut text within a character: half of its
surrogate pair waits here for the other half.
"""

from collections.abc import Sequence
from typing import Final

from adapters.openai.errors import unreadable
from domain.answer import JsonObject, OutputItem, Piece, Reasoning, Text, ToolCallDelta

PIECES_LIMIT = 10_000
"""Pieces that may wait. One event of a server must not occupy the process for long."""
TEXT: Final = "text"
REFUSAL: Final = "refusal"
REASONING: Final = "reasoning"

Kind = str | int
"""One of the three above, or the index of a call of a tool."""


class Pieces:
    """The pieces that have not been taken yet."""

    def __init__(self) -> None:
        self._pieces: list[Piece] = []
        # The piece that has begun.
        self._kind: Kind | None = TEXT
        self._parts: list[str] = []
        self._annotations: list[JsonObject] = []
        self._call_id: str | None = None
        self._names: list[str] = []
        self._halves: dict[Kind, str] = {}
        """Halves of surrogate pairs. While there are any, no piece has begun between two calls, so
        that `say` looks here."""

    @property
    def cut(self) -> bool:
        """Whether half of a surrogate pair waits for its other half."""
        return bool(self._halves)

    def say(self, kind: Kind, text: str) -> None:
        """Add text that is not empty, as valid Unicode."""
        if kind != self._kind:
            if self._halves and (half := self._halves.pop(kind, "")):
                text = joined_surrogates(half) + text
            self._begin(kind)
        self._parts.append(text)

    def say_odd(self, kind: Kind, text: str) -> None:
        """Add text that may have surrogates, or begin or end with half of a pair."""
        if not text:
            return
        text = self._halves.pop(kind, "") + text
        if "\ud800" <= text[-1] <= "\udbff":
            text, self._halves[kind] = text[:-1], text[-1]
        if text:
            self._begin(kind)
            self._parts.append(joined_surrogates(text))
        self._close_for_halves()

    def begin_call(self, index: int, call_id: str) -> None:
        self._begin(index)
        self._call_id = call_id or None
        self._parts.append("")

    def name_call(self, index: int, name: str) -> None:
        """Add the next piece of the name of the tool."""
        self._begin(index)
        self._names.append(name)
        self._parts.append("")
        self._close_for_halves()

    def annotate(self, annotations: Sequence[JsonObject]) -> None:
        """Add annotations to the text that was said last."""
        if self._kind != REFUSAL:
            self._begin(TEXT)
        self._annotations.extend(annotations)
        self._close_for_halves()

    def add_item(self, data: JsonObject) -> None:
        """Add an output item, as valid Unicode: a piece by itself. Raises ModelUnavailable if too
        many pieces wait."""
        if len(self._pieces) >= PIECES_LIMIT:
            raise unreadable()
        self._close()
        self._pieces.append(OutputItem(data))

    def take(self) -> tuple[Piece, ...]:
        """Return the pieces, and forget them."""
        if self._kind == TEXT and not self._pieces and not self._annotations:  # the usual case
            if not (parts := self._parts):
                return ()
            self._parts = []
            return (Text(parts[0] if len(parts) == 1 else "".join(parts)),)
        self._close()
        taken, self._pieces = tuple(self._pieces), []
        if not self._halves:
            self._kind = TEXT
        return taken

    def end(self) -> None:
        """Replace halves of pairs whose other half never came."""
        halves, self._halves = self._halves, {}
        for kind in halves:
            self._close()
            self._kind, self._parts = kind, ["\ufffd"]

    def _begin(self, kind: Kind) -> None:
        """Raises ModelUnavailable if too many pieces wait."""
        if kind != self._kind:
            if len(self._pieces) >= PIECES_LIMIT:
                raise unreadable()
            self._close()
            self._kind = kind

    def _close_for_halves(self) -> None:
        if self._halves:
            self._close()

    def _close(self) -> None:
        """End the piece that has begun, if any has."""
        if self._parts or self._annotations:
            self._pieces.append(self._piece("".join(self._parts)))
        self._kind, self._parts, self._annotations = None, [], []
        self._call_id, self._names = None, []

    def _piece(self, text: str) -> Piece:
        if self._kind == REASONING:
            return Reasoning(text)
        if isinstance(self._kind, int):
            return ToolCallDelta(self._kind, text, self._call_id, "".join(self._names) or None)
        return Text(text, self._kind == REFUSAL, tuple(self._annotations))


def joined_surrogates(text: str) -> str:
    """Return the text as valid Unicode: halves that belong together are joined, and a lone one is
    replaced by U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
