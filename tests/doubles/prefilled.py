"""A language model that goes on from the beginning of an answer."""

from collections.abc import AsyncGenerator, Sequence

from application.errors import ContinuationLost, ModelUnavailable
from application.ports import Finished, Item, LanguageModel, OfferedModel, Resumption
from domain.answer import Answer, Text
from domain.events import Usage
from domain.failure import CONTINUATION_LOST
from domain.request import TaskRequest

WORDS = ("One ", "two ", "three ", "four.")
WHOLE = "".join(WORDS)
BROKEN = ModelUnavailable("connection_lost", "The connection broke.")


class Prefilled(LanguageModel):
    """Says the same words in answer to every request, behind those that it is given."""

    def __init__(self) -> None:
        self.given: list[str] = []
        """What each call had to go on from."""
        self.breaks_after: int | None = None
        """The word before which each call breaks."""
        self.can_go_on = True
        self.refuses = False
        """Whether it does not go on though it said that it could."""
        self.reports = True
        """Whether it tells the usage."""

    def goes_on(self, request: TaskRequest, said: Answer) -> bool:
        return self.can_go_on and bool(said.text)

    async def stream(
        self, request: TaskRequest, resumption: Resumption | None = None
    ) -> AsyncGenerator[Item, None]:
        said = "" if resumption is None else resumption.said.text
        assert resumption is None or resumption.continuation is None
        self.given.append(said)
        if said and self.refuses:
            raise ContinuationLost(CONTINUATION_LOST, "No.")
        begin = len(said.split())
        for number in range(begin, len(WORDS)):
            if number == self.breaks_after:
                raise BROKEN
            yield (Text(WORDS[number]),)
        count = len(WORDS) - begin
        usage = Usage(10 + begin, count, 10 + begin + count) if self.reports else None
        yield Finished("stop", "m", usage)

    async def models(self) -> Sequence[OfferedModel]:
        return []
