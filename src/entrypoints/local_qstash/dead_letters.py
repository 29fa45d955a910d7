"""The dead-letter queue: the newest of the messages whose deliveries were exhausted.

Source: QStash's documentation, features/dlq. Beyond a plan's number the oldest are dropped, and all
are dropped after some time.
"""

import secrets
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from time import time
from typing import Any

from entrypoints.local_qstash.bounds import DEAD_AGE, DEAD_BYTES, DEAD_LETTERS, size_of
from entrypoints.local_qstash.delivery_response import DeliveryResponse
from entrypoints.local_qstash.message import QueuedMessage, text_or_base64


@dataclass(frozen=True, slots=True)
class DeadLetter:
    id: str
    message: QueuedMessage
    response: DeliveryResponse
    at: int
    """Milliseconds since the Unix epoch."""

    @property
    def size(self) -> int:
        """The bytes that it needs in memory."""
        headers = self.response.headers.items()
        return (
            size_of(self.message)
            + len(self.response.body)
            + sum(len(name) + sum(map(len, values)) for name, values in headers)
        )

    def as_json(self) -> dict[str, Any]:
        """As `GET /v2/dlq/{dlqId}` shows it."""
        return {
            **self.message.as_json(),
            "dlqId": self.id,
            "responseStatus": self.response.status,
            "responseHeader": dict(self.response.headers),
            **text_or_base64("responseBody", self.response.body),
        }


class DeadLetters:
    """Dead letters, oldest first. The oldest are dropped beyond a number, a size in bytes or an
    age."""

    def __init__(
        self, number: int = DEAD_LETTERS, size: int = DEAD_BYTES, age: float = DEAD_AGE
    ) -> None:
        """`size` in bytes, `age` in seconds."""
        self._number = number
        self._size = size
        self._age = age
        self._letters: OrderedDict[str, DeadLetter] = OrderedDict()
        self._held = 0

    def add(self, message: QueuedMessage, response: DeliveryResponse) -> DeadLetter:
        now = int(time() * 1000)
        letter = DeadLetter(f"{now}-{secrets.token_hex(4)}", message, response, now)
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
        """Delete these; return how many of them there were."""
        return sum(self._drop(each) for each in dlq_ids)

    def drop_old(self) -> None:
        """Drop those beyond the age. The other methods do this too."""
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
