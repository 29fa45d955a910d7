"""The dead-letter queue: the newest of the messages whose deliveries were exhausted.

Source: QStash's documentation, features/dlq. Beyond a plan's number the oldest are dropped, and all
are dropped after some time.
"""

import secrets
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from time import time
from typing import Any, NamedTuple, Self

from entrypoints.local_qstash.bounds import (
    DEAD_AGE,
    DEAD_BYTES,
    DEAD_LETTERS,
    PAGE_BYTES,
    PAGE_LETTERS,
    size_of,
)
from entrypoints.local_qstash.delivery_response import DeliveryResponse
from entrypoints.local_qstash.message import QueuedMessage, text_or_base64
from entrypoints.local_qstash.refusals import BadMessage


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
    def facts(self) -> dict[str, str | None]:
        """What a list may be filtered by."""
        message = self.message
        return {
            "messageId": message.id,
            "url": message.url,
            "queueName": message.queue,
            "label": message.label,
            "callerIp": message.caller_ip,
            "responseStatus": str(self.response.status),
        }

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


class Line(NamedTuple):
    """As much of a letter as decides whether it is on a page."""

    id: str
    at: int
    size: int
    facts: Mapping[str, str | None]


def page_of(
    newest_first: Iterable[Line], wanted: Mapping[str, str], cursor: str | None, count: int
) -> tuple[list[str], str | None]:
    """Return the ids of the letters that the filters want, beginning with that of `cursor` if it is
    there, and the cursor of the next page. A page has at most `count` of them, PAGE_LETTERS, and
    PAGE_BYTES (but at least one). Raises BadMessage."""
    begin, end = (_milliseconds(wanted, name) for name in ("fromDate", "toDate"))
    page: list[str] = []
    size = 0
    passed = cursor
    for line in newest_first:
        # If that of the cursor was dropped, the page begins with those that are older.
        if passed is not None and passed != line.id and line.at >= _time_of(passed):
            continue
        passed = None
        if not _matches(line, wanted, begin, end):
            continue
        size += line.size
        if page and (len(page) >= max(1, min(count, PAGE_LETTERS)) or size > PAGE_BYTES):
            return page, line.id
        page.append(line.id)
    return page, None


def _matches(line: Line, wanted: Mapping[str, str], begin: int | None, end: int | None) -> bool:
    return (
        all(line.facts[name] == value for name, value in wanted.items() if name in line.facts)
        and (begin is None or begin <= line.at)
        and (end is None or line.at <= end)
    )


def _milliseconds(wanted: Mapping[str, str], name: str) -> int | None:
    text = wanted.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 15):
        raise BadMessage(f"invalid {name}: {text!r} is not in milliseconds")
    return int(text)


def _time_of(dlq_id: str) -> float:
    """When the letter of this id was added. An id that is none of ours is newer than all."""
    text = dlq_id.partition("-")[0]
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 15 else float("inf")


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

    async def page(
        self, wanted: Mapping[str, str], cursor: str | None, count: int
    ) -> tuple[list[DeadLetter], str | None]:
        """Return a page of them, newest first, and the cursor of the next one (`page_of`)."""
        self.drop_old()
        lines = (
            Line(each.id, each.at, each.size, each.facts)
            for each in reversed(self._letters.values())
        )
        ids, following = page_of(lines, wanted, cursor, count)
        return [self._letters[each] for each in ids], following

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
