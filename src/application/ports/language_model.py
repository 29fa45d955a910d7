"""The port of the language model."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.answer import Answer, Piece
from domain.continuation import Continuation
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
class Kept:
    """The upstream keeps the answer from now on, and calls it so."""

    response_id: str


@dataclass(frozen=True, slots=True)
class Numbered:
    """Pieces of an answer that the upstream keeps: at least one."""

    pieces: tuple[Piece, ...]
    cursor: int
    """The upstream's number of the last event of which these and the earlier items hold
    everything. Negative: what the adapter alone understands."""


NOTHING = Answer()


@dataclass(frozen=True, slots=True)
class Resumption:
    """What a call of a model goes on with, or may have asked for already."""

    key: str
    """The idempotency key of the answer: no other answer ever has it."""
    said: Answer = NOTHING
    """What earlier attempts have said and still counts."""
    continuation: Continuation | None = None
    """Where the upstream keeps the answer. None: it keeps none."""


Item = tuple[Piece, ...] | Numbered | Kept | Finished


@dataclass(frozen=True, slots=True)
class OfferedModel:
    """A model that requests may name."""

    name: str
    created: int
    """Seconds since the Unix epoch; 0 if its server does not say."""
    owner: str


class LanguageModel(Protocol):
    def keeper(self, model: str) -> str | None:
        """Return the name of the upstream that keeps the answers of this model, or None if it keeps
        none. Two upstreams have two names, also in other processes."""
        return None

    def read_timeout(self, model: str) -> float | None:
        """Return how many seconds this model may send no piece before the attempt is lost. None: as
        long as any."""
        return None

    def goes_on(self, request: TaskRequest, said: Answer) -> bool:
        """Whether the model can go on from this unfinished answer, though no upstream keeps it
        (prefill)."""
        return False

    def stream(
        self, request: TaskRequest, resumption: Resumption | None = None
    ) -> AsyncGenerator[Item, None]:
        """Yield the answer in pieces, then one Finished as the last item. Of an answer that goes on
        (`resumption`) only what comes behind what was said is yielded.

        An item holds all the pieces that have arrived since the last one was yielded, in their
        order; until then they are buffered in bounded memory. Neighbours of one kind are joined. An
        empty item means that the model works without a piece. Nothing is yielded for anything else
        that the server sends (comments, empty deltas).

        An upstream that keeps the answer yields Kept as soon as it has told its id, and then
        Numbered instead of tuples.

        Raises ModelUnavailable or ModelRefused, also in mid-stream, and ContinuationLost if the
        upstream does not have the answer with which it was to go on (before the first piece), or
        takes back what it has said of it (also in mid-stream: an upstream may lose attempts too).
        Closing the generator closes the connection, so that no further tokens are paid for unless
        the upstream keeps the answer: then it goes on until `release`.
        """
        ...

    async def release(self, continuation: Continuation, *, completed: bool) -> None:
        """Tell the upstream that the task of this answer has ended: cancel the answer unless it is
        `completed`, and delete it if the settings say so. Idempotent: an upstream that has
        forgotten the answer, or has ended it, is fine. Raises ModelUnavailable or ModelRefused."""
        return

    async def models(self) -> Sequence[OfferedModel]:
        """Return the models that the server offers. Raises ModelUnavailable or ModelRefused."""
        ...
