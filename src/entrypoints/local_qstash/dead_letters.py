"""The dead-letter queue: the newest of the messages whose deliveries were exhausted.

Source: QStash's documentation, features/dlq. Beyond a plan's number the oldest are dropped, and all
are dropped after some time.
"""

import secrets
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from time import time
from typing import Any, Self

from entrypoints.local_qstash.bounds import (
    DEAD_AGE,
    DEAD_BYTES,
    DEAD_LETTERS,
    PAGE_BYTES,
    size_of,
)
from entrypoints.local_qstash.delivery_response import DeliveryResponse
from entrypoints.local_qstash.filters import Facts, Search
from entrypoints.local_qstash.message import QueuedMessage, text_or_base64
from entrypoints.local_qstash.refusals import BadMessage
from entrypoints.local_qstash.whole_numbers import whole_number


@dataclass(frozen=True, slots=True)
class DeadLetter:
    id: str
    message: QueuedMessage
    response: DeliveryResponse
    at: int
    """Milliseconds since the Unix epoch."""

    @classmethod
    def of(cls, message: QueuedMessage, response: DeliveryResponse) -> Self:
        now = int(time() * 1000)
        return cls(f"{now}-{secrets.token_hex(4)}", message, response, now)

    @property
    def size(self) -> int:
        """The bytes that it needs in memory."""
        headers = self.response.headers.items()
        return (
            size_of(self.message)
            + len(self.response.body)
            + sum(len(name) + sum(map(len, values)) for name, values in headers)
        )

    @property
    def facts(self) -> Facts:
        """What it is found by."""
        status = self.response.status
        return Facts.of(self.message)._replace(id=self.id, at=self.at, status=status)

    def as_json(self) -> dict[str, Any]:
        """As `GET /v2/dlq/{dlqId}` shows it."""
        return {
            **self.message.as_json(),
            "dlqId": self.id,
            "responseStatus": self.response.status,
            "responseHeader": dict(self.response.headers),
            **text_or_base64("responseBody", self.response.body),
        }


@dataclass(frozen=True, slots=True)
class Limits:
    number: int = DEAD_LETTERS
    size: int = DEAD_BYTES
    """Bytes."""
    age: float = DEAD_AGE
    """Seconds."""

    def oldest_kept(self) -> int:
        """The time, in milliseconds since the Unix epoch, up to which all are dropped."""
        return int((time() - self.age) * 1000)


def page_of(
    newest_first: Iterable[tuple[Facts, int]], search: Search
) -> tuple[list[str], str | None]:
    """Return the ids of the letters that match, beginning with that of the cursor if it is
    there, and the cursor of the next page. Of each letter the facts and the size are given. A page
    has at most PAGE_BYTES (but at least one letter), and those that the search names are on one
    page. Raises BadMessage."""
    page: list[str] = []
    size = 0
    passed = search.cursor
    passed_at = None if passed is None else _time_of(passed)
    for facts, its_size in newest_first:
        # If that of the cursor was dropped, the page begins with those that are older.
        if passed_at is not None and passed != facts.id and facts.at >= passed_at:
            continue
        passed_at = None
        if not search.matches(facts):
            continue
        size += its_size
        if page and search.ids is None and (len(page) == search.count or size > PAGE_BYTES):
            return page, facts.id
        page.append(facts.id)
    return page, None


def _time_of(dlq_id: str) -> int:
    """When the letter of this id was added."""
    at = whole_number(dlq_id.partition("-")[0])
    if at is None:
        raise BadMessage("cursor is not one that a page of the dead letters has returned")
    return at


class DeadLetters:
    """Dead letters in memory, oldest first. The oldest are dropped beyond the limits."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._letters: OrderedDict[str, DeadLetter] = OrderedDict()
        self._held = 0

    def add(self, letter: DeadLetter) -> None:
        self._letters[letter.id] = letter
        self._held += letter.size
        while len(self._letters) > self._limits.number or self._held > self._limits.size:
            self._drop(next(iter(self._letters)))
        self.drop_old()

    async def page(self, search: Search) -> tuple[list[DeadLetter], str | None]:
        ids, following = await self.ids(search)
        return [self._letters[each] for each in ids], following

    async def ids(self, search: Search) -> tuple[list[str], str | None]:
        self.drop_old()
        return page_of(
            ((each.facts, each.size) for each in reversed(self._letters.values())), search
        )

    async def get(self, dlq_id: str) -> DeadLetter | None:
        self.drop_old()
        return self._letters.get(dlq_id)

    async def delete(self, dlq_ids: Iterable[str]) -> int:
        """Delete these; return how many of them there were."""
        return sum(self._drop(each) for each in dlq_ids)

    def drop_old(self) -> None:
        """Drop those beyond the age. The other methods do this too."""
        oldest_kept = self._limits.oldest_kept()
        while self._letters:
            oldest = next(iter(self._letters.values()))
            if oldest.at > oldest_kept:
                return
            self._drop(oldest.id)

    def _drop(self, dlq_id: str) -> bool:
        letter = self._letters.pop(dlq_id, None)
        if letter is None:
            return False
        self._held -= letter.size
        return True
