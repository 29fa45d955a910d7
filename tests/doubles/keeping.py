"""A language model whose upstream keeps its answers: it gives them again from any event on."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from application.errors import ContinuationLost, ModelError, ModelUnavailable
from application.ports import (
    Finished,
    Item,
    Kept,
    LanguageModel,
    Numbered,
    OfferedModel,
    Resumption,
)
from domain.answer import Piece
from domain.continuation import Continuation
from domain.failure import CONTINUATION_LOST
from domain.request import TaskRequest

BROKEN = ModelUnavailable("stream_broken", "The connection broke.")


@dataclass(slots=True)
class Response:
    """An answer that the upstream keeps."""

    id: str
    released: bool | None = None
    """Whether it was completed, as its release said. None: it was not released."""


class KeepingModel(LanguageModel):
    """Gives the same pieces in answer to every request, one in each event. It honours idempotency
    keys."""

    def __init__(self, pieces: Sequence[Piece], finished: Finished) -> None:
        self.pieces = tuple(pieces)
        self.finished = finished
        self.by_key: dict[str, Response] = {}
        """The answers, by the keys with which they were asked for."""
        self.streams = 0
        """How many streams were asked for."""
        self.connections = 0
        """How many are open."""
        self.breaks_after: int | None = None
        """The event before which each stream breaks."""
        self.fault: ModelError = BROKEN
        """How it breaks."""
        self.heals = False
        """Whether only one stream breaks."""
        self.holds_after: int | None = None
        """The event before which each stream waits until `unheld` is set."""
        self.unheld = asyncio.Event()
        self.held = False
        """Whether a stream has come so far."""
        self.releases: list[bool] = []
        """Whether the answer was completed, of each release."""
        self.forgets = False
        """Whether it has forgotten the answer that is asked for next."""
        self.keeps = True
        """Whether it keeps its answers at all, as it does not if a request forbids it."""
        self.name = "upstream"
        self.identifies = asyncio.Event()
        """Set while it says how it calls its answers."""
        self.identifies.set()

    def keeper(self, model: str) -> str | None:
        return self.name

    async def stream(
        self, request: TaskRequest, resumption: Resumption | None = None
    ) -> AsyncGenerator[Item, None]:
        assert resumption is not None
        kept = resumption.continuation
        assert kept is not None
        self.streams += 1
        self.connections += 1
        try:
            if not self.keeps:
                pass
            elif kept.response_id is None:
                await self.identifies.wait()
                new = Response(f"resp_{len(self.by_key)}")
                yield Kept(self.by_key.setdefault(resumption.key, new).id)
            elif self.forgets:
                self.forgets = False
                raise ContinuationLost(CONTINUATION_LOST, "Not found.")
            else:
                assert kept.response_id in [each.id for each in self.by_key.values()]
            begin = 0 if kept.cursor is None else kept.cursor + 1
            for number in range(begin, len(self.pieces)):
                if number == self.breaks_after:
                    self.breaks_after = None if self.heals else number
                    raise self.fault
                if number == self.holds_after:
                    self.held = True
                    await self.unheld.wait()
                await asyncio.sleep(0)
                pieces = (self.pieces[number],)
                yield Numbered(pieces, number) if self.keeps else pieces
            yield self.finished
        finally:
            self.connections -= 1

    async def release(self, continuation: Continuation, *, completed: bool) -> None:
        self.releases.append(completed)
        for response in self.by_key.values():
            if response.id == continuation.response_id:
                response.released = completed

    async def models(self) -> Sequence[OfferedModel]:
        return []
