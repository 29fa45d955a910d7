"""A language model that a test drives piece by piece."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from application.errors import ModelError
from application.ports import (
    Finished,
    Item,
    LanguageModel,
    OfferedModel,
    Resumption,
)
from domain.answer import Answer, Text
from domain.continuation import Continuation
from domain.request import TaskRequest


def text_of(items: Sequence[Item]) -> str:
    """The text that a model's items hold."""
    pieces = [each for item in items if isinstance(item, tuple) for each in item]
    return "".join(each.text for each in pieces if isinstance(each, Text))


Word = str | Item | Exception


class DrivenModel(LanguageModel):
    """Says what the test puts into `words`: texts, or pieces of any kind. An exception there is
    raised. An empty text is work without a piece. With a `kept_by`, an upstream of that name keeps
    the answers."""

    def __init__(self, kept_by: str | None = None) -> None:
        self.kept_by = kept_by
        self.continues = False
        """Whether it goes on from any text (prefill)."""
        self.resumptions: list[Resumption | None] = []
        self.released: list[tuple[str | None, bool]] = []
        """The response ids, and whether they were completed."""
        self.release_error: ModelError | None = None
        self.words: asyncio.Queue[Word] = asyncio.Queue()
        self.asked = 0
        self.taken = 0
        self.closed = 0

    def say(self, *words: Word) -> None:
        for word in words:
            self.words.put_nowait(word)

    def keeper(self, model: str) -> str | None:
        return self.kept_by

    def goes_on(self, request: TaskRequest, said: Answer) -> bool:
        return self.continues

    async def release(self, continuation: Continuation, *, completed: bool) -> None:
        if self.release_error is not None:
            raise self.release_error
        self.released.append((continuation.response_id, completed))

    async def stream(
        self, request: TaskRequest, resumption: Resumption | None = None
    ) -> AsyncGenerator[Item, None]:
        self.asked += 1
        self.resumptions.append(resumption)
        try:
            while True:
                word = await self.words.get()
                self.taken += 1
                if isinstance(word, Exception):
                    raise word
                if isinstance(word, Finished):
                    yield word
                    return
                if isinstance(word, str):
                    word = (Text(word),) if word else ()
                yield word
        finally:
            self.closed += 1

    async def models(self) -> Sequence[OfferedModel]:
        return []
