"""Messages in memory. They are lost when the process ends."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from entrypoints.local_qstash.bounds import DEDUPLICATION_WINDOW, REMEMBERED
from entrypoints.local_qstash.dead_letters import DeadLetters
from entrypoints.local_qstash.filters import Facts, Search
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.records import Changes
from entrypoints.local_qstash.refusals import NotThere
from entrypoints.local_qstash.slots import Period
from entrypoints.local_qstash.store import Outcome, Store

LOOKED_AT_ONCE = 1_000
"""Messages that a search looks at before others may go on."""


class MemoryStore(Store):
    def __init__(
        self,
        begin: Callable[[list[QueuedMessage]], None],
        cancelled: Callable[[list[QueuedMessage]], None],
    ) -> None:
        self._begin = begin
        self._cancelled = cancelled
        self._messages: dict[str, QueuedMessage] = {}
        self._recent: OrderedDict[str, tuple[float, str]] = OrderedDict()
        """The time and the message of each deduplication, oldest first."""
        self._dead_letters = DeadLetters()

    @property
    def dead_letters(self) -> DeadLetters:
        return self._dead_letters

    async def publish(
        self, messages: Sequence[QueuedMessage], now: float, changes: Changes | None = None
    ) -> list[str]:
        ids = self._publish(messages, now)
        if changes is not None and ids == [each.id for each in messages]:
            changes.apply()
            self._cancel(changes.cancelled)
        return ids

    def _publish(self, messages: Sequence[QueuedMessage], now: float) -> list[str]:
        ids = [self._keep(each, now) for each in messages]
        pairs = zip(messages, ids, strict=True)
        self._begin([message for message, known_as in pairs if message.id == known_as])
        return ids

    def _keep(self, message: QueuedMessage, now: float) -> str:
        name = message.deduplication
        if name is not None:
            if (earlier := self._known(name, now)) is not None:
                return earlier
            self._recent[name] = (now, message.id)
            self._recent.move_to_end(name)
            self._forget(now)
        self._messages[message.id] = message
        return message.id

    async def known(self, names: Sequence[str], now: float) -> Mapping[str, str]:
        found = {name: self._known(name, now) for name in names}
        return {name: message_id for name, message_id in found.items() if message_id is not None}

    def _known(self, name: str, now: float) -> str | None:
        at, message_id = self._recent.get(name, (0.0, ""))
        # Also if the clock was set back; but by more than the window it was wrong before.
        return message_id if abs(now - at) < DEDUPLICATION_WINDOW else None

    async def get(self, message_id: str) -> QueuedMessage | None:
        return self._messages.get(message_id)

    async def oldest(self, count: int) -> list[QueuedMessage]:
        return [replace(each, body=b"") for each in islice(self._messages.values(), count)]

    async def note_resumed(self, message_id: str) -> None:
        """Nothing here outlives its process."""

    async def reset_interruptions(self, message_ids: Sequence[str]) -> None:
        """The same."""

    async def note_period(self, period: Period) -> None:
        """Nothing outlives the process."""

    async def commit(self, outcome: Outcome, now: float) -> bool:
        message = self._messages.get(outcome.message_id)
        if outcome.callback is not None:
            self._publish([outcome.callback], now)
        if message is None:
            return False
        if outcome.again_at is not None:
            message.retried += 1
            message.not_before = outcome.again_at
            return True
        del self._messages[outcome.message_id]
        if outcome.letter is not None:
            self._dead_letters.add(outcome.letter)
        if outcome.failure is not None:
            self._publish([outcome.failure], now)
        return True

    async def search(self, search: Search) -> list[str]:
        found: list[str] = []
        for number, each in enumerate(list(self._messages.values())):
            if len(found) == search.count:
                break
            if search.matches(Facts.of(each)):
                found.append(each.id)
            if number % LOOKED_AT_ONCE == 0:
                await asyncio.sleep(0)
        return found

    async def cancel(self, message_ids: Sequence[str]) -> int:
        return self._cancel(message_ids)

    def _cancel(self, message_ids: Sequence[str]) -> int:
        popped = [self._messages.pop(each, None) for each in message_ids]
        found = [each for each in popped if each is not None]
        self._cancelled(found)
        return len(found)

    async def retry(self, pairs: Sequence[tuple[str, QueuedMessage]], now: float) -> list[str]:
        for dlq_id, _ in pairs:
            if await self._dead_letters.get(dlq_id) is None:
                raise NotThere(f"message {dlq_id} not found")
        await self._dead_letters.delete(dlq_id for dlq_id, _ in pairs)
        return self._publish([message for _, message in pairs], now)

    async def sweep(self, now: float) -> None:
        self._dead_letters.drop_old()
        self._forget(now)

    def _forget(self, now: float) -> None:
        while self._recent:
            oldest = next(iter(self._recent))
            at, _ = self._recent[oldest]
            if abs(now - at) < DEDUPLICATION_WINDOW and len(self._recent) <= REMEMBERED:
                return
            del self._recent[oldest]
