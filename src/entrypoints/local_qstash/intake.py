"""What is accepted: messages for which there is room. The bounds hold before anything is kept."""

import time
from collections.abc import Awaitable, Callable, Sequence

from entrypoints.local_qstash.beginnings import Portions
from entrypoints.local_qstash.bounds import HELD_BYTES, size_of
from entrypoints.local_qstash.dead_letters import DeadLetter
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.records import Changes
from entrypoints.local_qstash.refusals import MessageTooLarge, QueueFull, Refused, TooMany
from entrypoints.local_qstash.store import Store


class Intake:
    def __init__(
        self, store: Store, message_limit: int, begun: Callable[[], Awaitable[None]]
    ) -> None:
        """`message_limit`: bytes of a message's body. `begun` waits until the deliveries of what is
        kept have begun, which then count in `held`."""
        self._store = store
        self._message_limit = message_limit
        self._begun = begun
        self.create_queue: Callable[[str], Awaitable[None]] | None = None
        """Has a queue of this name kept before anything is published into it."""
        self.held = 0
        """Bytes of the messages that are not yet delivered. The deliveries count them."""
        self._arriving = 0

    @property
    def _room(self) -> int:
        return HELD_BYTES - self.held - self._arriving

    def fits(self, callback: QueuedMessage) -> bool:
        """Whether there is room for a callback."""
        return len(callback.body) <= self._message_limit and size_of(callback) <= self._room

    async def publish_all(
        self, messages: Sequence[QueuedMessage], changes: Changes | None = None
    ) -> list[tuple[str, bool] | Refused]:
        """Publish the messages in one step. Returns for each, in order: its id and False once it is
        kept, the id of an earlier message and True if this one is a duplicate, or why it is
        refused. Queues that do not exist yet are created. `changes` are kept in the same step,
        unless one of the messages is a duplicate or refused. Raises Unavailable."""
        now, portions = time.time(), Portions()
        results: dict[str, tuple[str, bool] | Refused] = {}
        accepted: list[QueuedMessage] = []
        full: list[QueuedMessage] = []
        taken = 0
        try:
            for each in messages:
                if len(each.body) > self._message_limit:
                    results[each.id] = MessageTooLarge()
                elif (size := size_of(each)) > self._room:
                    full.append(each)
                else:
                    accepted.append(each)
                    taken += size
                    self._arriving += size
                await portions.step()
            without = await self._create_queues(accepted)
            results.update(
                (each.id, without[each.queue]) for each in accepted if each.queue in without
            )
            accepted = [each for each in accepted if each.queue not in without]
            # Read first: once something is published, nothing may fail.
            names = [each.deduplication for each in full if each.deduplication is not None]
            known = dict(await self._store.known(names, now)) if names else {}
            changes = changes if len(accepted) == len(messages) else None
            new = accepted or changes is not None
            ids = await self._store.publish(accepted, now, changes) if new else []
            await self._begun()
        finally:
            self._arriving -= taken
        for each, known_as in zip(accepted, ids, strict=True):
            results[each.id] = known_as, known_as != each.id
            if each.deduplication is not None:
                known[each.deduplication] = known_as
        for each in full:
            earlier = known.get(each.deduplication or "")
            results[each.id] = QueueFull() if earlier is None else (earlier, True)
        return [results[each.id] for each in messages]

    async def retry(
        self, letters: Sequence[DeadLetter], again: Callable[[QueuedMessage], QueuedMessage]
    ) -> list[str]:
        """Publish what `again` makes of the messages of dead letters in place of these, in one
        step. Queues that do not exist any more are created. Returns the ids of the new messages.
        Raises Refused, and has then changed nothing:
        NotThere if one of the letters is gone by now."""
        pairs = [(each.id, again(each.message)) for each in letters]
        if any(len(message.body) > self._message_limit for _, message in pairs):
            raise MessageTooLarge
        taken = sum(size_of(message) for _, message in pairs)
        if taken > self._room:
            raise QueueFull
        self._arriving += taken
        try:
            for error in (await self._create_queues([each for _, each in pairs])).values():
                raise error
            ids = await self._store.retry(pairs, time.time())
            await self._begun()
            return ids
        finally:
            self._arriving -= taken

    async def _create_queues(self, messages: Sequence[QueuedMessage]) -> dict[str | None, Refused]:
        """Create the queues of these messages. Returns those that there may not be, and why. Raises
        Unavailable."""
        refused: dict[str | None, Refused] = {}
        if self.create_queue is not None:
            for name in dict.fromkeys(each.queue for each in messages if each.queue is not None):
                try:
                    await self.create_queue(name)
                except TooMany as error:
                    refused[name] = error
        return refused
