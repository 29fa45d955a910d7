"""A language model that a test drives piece by piece."""

import asyncio
from collections.abc import AsyncGenerator

from application.ports import Finished
from domain.request import TaskRequest


class DrivenModel:
    """Says what the test puts into `words`; an exception there is raised."""

    def __init__(self) -> None:
        self.words: asyncio.Queue[str | Finished | Exception] = asyncio.Queue()
        self.asked = 0
        self.taken = 0
        self.closed = 0

    def say(self, *words: str | Finished | Exception) -> None:
        for word in words:
            self.words.put_nowait(word)

    async def stream(self, request: TaskRequest) -> AsyncGenerator[str | Finished, None]:
        self.asked += 1
        try:
            while True:
                word = await self.words.get()
                self.taken += 1
                if isinstance(word, Exception):
                    raise word
                yield word
                if isinstance(word, Finished):
                    return
        finally:
            self.closed += 1
