"""The port of the language model."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.answer import Piece
from domain.events import Usage
from domain.request import TaskRequest

_WHOLE = {"stop", "eos", "eos_token", "end_turn", "stop_sequence"}


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a model's stream."""

    reason: str
    """Why the model stopped, in its own words (`stop`, `length`)."""
    model: str
    """The model that answered, in the words of its server."""
    usage: Usage | None
    """None if the server did not report it."""

    @property
    def whole(self) -> bool:
        """Whether the model has said all that it had to say: it was not cut off, and calls no
        tool."""
        return self.reason.lower() in _WHOLE


@dataclass(frozen=True, slots=True)
class OfferedModel:
    """A model that requests may name."""

    name: str
    created: int
    """Seconds since the Unix epoch; 0 if its server does not say."""
    owner: str


class LanguageModel(Protocol):
    def stream(self, request: TaskRequest) -> AsyncGenerator[tuple[Piece, ...] | Finished, None]:
        """Yield the answer in pieces, then one Finished as the last item.

        An item holds all the pieces that have arrived since the last one was yielded, in their
        order; until then they are buffered in bounded memory. Neighbours of one kind are joined. An
        empty item means that the model works without a piece. Nothing is yielded for anything else
        that the server sends (comments, empty deltas).

        Raises ModelUnavailable or ModelRefused, also in mid-stream. Closing the generator closes
        the connection, so that no further tokens are paid for.
        """
        ...

    async def models(self) -> Sequence[OfferedModel]:
        """Return the models that the server offers. Raises ModelUnavailable or ModelRefused."""
        ...
