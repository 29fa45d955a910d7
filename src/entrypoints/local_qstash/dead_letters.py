"""Messages whose deliveries ran out: the newest of them.

QStash's documentation, features/dlq: beyond a plan's number the oldest are dropped, and what is
left alone is dropped after some time.
"""

import secrets
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from time import time
from typing import Any

from entrypoints.local_qstash.bounds import DEAD_AGE, DEAD_BYTES, DEAD_LETTERS, size_of
from entrypoints.local_qstash.message import QueuedMessage, text_or_base64
from entrypoints.local_qstash.outcome import Outcome


@dataclass(frozen=True, slots=True)
class DeadLetter:
    id: str
    message: QueuedMessage
    outcome: Outcome
    at: int
    """Milliseconds since the Unix epoch."""

    @property
    def size(self) -> int:
        """Bytes that it takes in memory."""
        headers = self.outcome.headers.items()
        return (
            size_of(self.message)
            + len(self.outcome.body)
            + sum(len(name) + sum(map(len, values)) for name, values in headers)
        )

    def as_json(self) -> dict[str, Any]:
        """As `GET /v2/dlq/{dlqId}` shows it."""
        return {
            **self.message.as_json(),
            "dlqId": self.id,
            "responseStatus": self.outcome.status,
            "responseHeader": dict(self.outcome.headers),
            **text_or_base64("responseBody", self.outcome.body),
        }


class DeadLetters:
    """In the order of their burial. Beyond a number, a sum of bytes or an age the oldest are
    dropped."""

    def __init__(
        self, number: int = DEAD_LETTERS, size: int = DEAD_BYTES, age: float = DEAD_AGE
    ) -> None:
        """`size` in bytes, `age` in seconds."""
        self._number = number
        self._size = size
        self._age = age
        self._letters: OrderedDict[str, DeadLetter] = OrderedDict()
        self._held = 0

    def add(self, message: QueuedMessage, outcome: Outcome) -> DeadLetter:
        now = int(time() * 1000)
        letter = DeadLetter(f"{now}-{secrets.token_hex(4)}", message, outcome, now)
        self._letters[letter.id] = letter
        self._held += letter.size
        while len(self._letters) > self._number or self._held > self._size:
            self._drop(next(iter(self._letters)))
        self.drop_old()
        return letter

    def newest_first(self) -> list[DeadLetter]:
        self.drop_old()
        return list(reversed(self._letters.values()))

    def get(self, dlq_id: str) -> DeadLetter | None:
        self.drop_old()
        return self._letters.get(dlq_id)

    def delete(self, dlq_ids: Iterable[str]) -> int:
        """Answers how many there were."""
        return sum(self._drop(each) for each in dlq_ids)

    def drop_old(self) -> None:
        """Those beyond the age; also done by everything above."""
        oldest_kept = (time() - self._age) * 1000
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
