"""Delivering messages: slots, retries, callbacks, cancels and dead letters.

Each message has one asyncio task from its publish to its end. What becomes of it is decided here,
and kept by a store, in memory or in a file. Sources of the rules: QStash's documentation,
features/retry, callbacks, dlq, deduplication, flowcontrol, queues.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import TypeVar

import structlog

from adapters.database import Database
from entrypoints.local_qstash.bounds import HELD_BYTES, MESSAGE_LIMIT, size_of
from entrypoints.local_qstash.decisions import outcome_of
from entrypoints.local_qstash.delivery_response import DeliveryResponse
from entrypoints.local_qstash.file_store import FileStore
from entrypoints.local_qstash.memory_store import MemoryStore
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.pauses import again_at, until
from entrypoints.local_qstash.refusals import MessageTooLarge, QueueFull, Refused, Unavailable
from entrypoints.local_qstash.resuming import INTERRUPTED, MAX_INTERRUPTIONS, Resumption
from entrypoints.local_qstash.sending import Sender
from entrypoints.local_qstash.slots import Period, Slots
from entrypoints.local_qstash.store import DeadLetterStore, Pending, Store

log = structlog.get_logger(__name__)

T = TypeVar("T")

SWEEP_PAUSE = 60.0
STORE_PAUSE, TELL_PAUSE = 2.0, 60.0
"""Seconds until what the store could not do is tried again, and until that is logged again."""
TOO_MANY = 429


class Deliveries:
    """The messages that are not yet delivered, and the dead letters."""

    def __init__(
        self,
        signing_key: str,
        message_limit: int = MESSAGE_LIMIT,
        database: Database | None = None,
        stopping: Callable[[], bool] = lambda: False,
        address_of: Callable[[str], str] = str,
        at_once: int | None = None,
    ) -> None:
        """`message_limit`: bytes of a message's body. With a database everything is kept there, and
        `resume` goes on with it. Once `stopping` returns True, no delivery from there begins, and
        one that fails costs no retry. `address_of` returns where a message for a URL is delivered.
        `at_once`: deliveries that the destination handles at the same time, if all messages are for
        one; the others wait, and one that it refuses all the same costs no retry. Callbacks do not
        count. Must be called while an event loop runs."""
        self._message_limit = message_limit
        self._sender = Sender(signing_key, address_of)
        self._stopping = stopping
        self._store: Store
        if database is None:
            self._store = MemoryStore(self._begin, self._end_waits)
        else:
            self._store = FileStore(database, self._begin, self._end_waits)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._in_flight: set[str] = set()
        """Messages that are being delivered, until what that leads to is kept."""
        self._cancelled: set[str] = set()
        """Those that were cancelled meanwhile."""
        self._slots = Slots(self._note_period)
        self._resumption = Resumption(self._clear)
        self._room = None if at_once is None else asyncio.Semaphore(at_once)
        self._held = 0
        self._arriving = 0
        self._tell_of_store_at = 0.0
        self._closed = False
        self._sweeping = asyncio.create_task(self._sweep())

    @property
    def dead_letters(self) -> DeadLetterStore:
        return self._store.dead_letters

    def resume(self, left: Sequence[Pending], periods: Sequence[Period] = ()) -> None:
        """Go on with the messages that an earlier process has left, and with the periods of its
        rates. A message that was being delivered is delivered again at once."""
        self._slots.restore(periods)
        for each in left:
            self._carry_on(each)
        if left:
            log.info("the queue goes on with what it holds", messages=len(left))

    async def aclose(self) -> None:
        self._closed = True
        self._sweeping.cancel()
        self._resumption.close()
        for task in list(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._sender.aclose()

    async def publish(self, message: QueuedMessage) -> tuple[str, bool]:
        """Accept a message. Returns once it is kept: its id and False, or the id of an earlier
        message and True if this one is a duplicate. Raises MessageTooLarge if its body is too long,
        QueueFull if there is no room for it, or Unavailable."""
        (result,) = await self.publish_all([message])
        if isinstance(result, Refused):
            raise result
        return result

    async def publish_all(
        self, messages: Sequence[QueuedMessage]
    ) -> list[tuple[str, bool] | Refused]:
        """Publish the messages in one step. Returns a result for each, in order. Raises
        Unavailable."""
        now, room = time.time(), HELD_BYTES - self._held - self._arriving
        results: dict[str, tuple[str, bool] | Refused] = {}
        accepted: list[QueuedMessage] = []
        full: list[QueuedMessage] = []
        taken = 0
        for each in messages:
            if len(each.body) > self._message_limit:
                results[each.id] = MessageTooLarge()
            elif taken + size_of(each) > room:
                full.append(each)
            else:
                accepted.append(each)
                taken += size_of(each)
        self._arriving += taken
        try:
            # Read first: once something is published, nothing may fail.
            names = [each.deduplication for each in full if each.deduplication is not None]
            known = dict(await self._store.known(names, now)) if names else {}
            ids = await self._store.publish(accepted, now) if accepted else []
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

    async def message(self, message_id: str) -> QueuedMessage | None:
        """Raises Unavailable."""
        return await self._store.get(message_id)

    async def cancel(self, message_ids: Sequence[str] | None) -> int:
        """Cancel these messages (None: all); return how many of them there were. A delivery in
        progress is completed, but not retried. Raises Unavailable."""
        return await self._store.cancel(message_ids)

    def _begin(self, message: QueuedMessage) -> None:
        """Called once the message is kept."""
        if not self._closed:
            self._carry_on(Pending.of(message), message)

    def _carry_on(self, pending: Pending, message: QueuedMessage | None = None) -> None:
        if pending.queue is not None:
            carrying = self._in_order(pending)
        elif pending.flow is not None or pending.not_before / 1000 > time.time():
            carrying = self._attempts(pending, None)
        else:
            # It is delivered at once. What waits is not in memory, unless the store is.
            carrying = self._attempts(pending, message)
        task = asyncio.create_task(carrying)
        self._tasks[pending.id] = task
        self._held += pending.size
        task.add_done_callback(lambda _: self._ended(pending, task))

    def _ended(self, pending: Pending, task: "asyncio.Task[None]") -> None:
        del self._tasks[pending.id]
        self._cancelled.discard(pending.id)
        self._held -= pending.size
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("delivery failed unexpectedly", message_id=pending.id, exc_info=error)

    def _end_waits(self, message_ids: Sequence[str]) -> None:
        """Called once these are cancelled."""
        for each in message_ids:
            if each in self._in_flight:
                self._cancelled.add(each)
            elif (task := self._tasks.get(each)) is not None:
                task.cancel()

    async def _in_order(self, pending: Pending) -> None:
        """Deliver a message of a queue. The next one also waits for this one's retries."""
        if not pending.retried:
            await until(pending.not_before)
        async with self._slots.hold(f"queue:{pending.queue}", 1):
            await self._attempts(pending, None)

    async def _attempts(self, pending: Pending, message: QueuedMessage | None) -> None:
        goes_on = True
        while goes_on:
            await until(pending.not_before)
            if pending.resumed:
                await self._resumption.turn(pending)
            message = None if self._room is not None and self._room.locked() else message
            try:
                goes_on = await self._attempt(pending, message)
            finally:
                self._in_flight.discard(pending.id)
            message = None

    async def _attempt(self, pending: Pending, message: QueuedMessage | None) -> bool:
        """Deliver the message once and have kept what that leads to. Returns whether it is to be
        delivered again."""
        async with AsyncExitStack() as held:
            if (flow := pending.flow) is not None:
                limits = (flow.parallelism, flow.rate, flow.period)
                await held.enter_async_context(self._slots.hold(f"flow:{flow.key}", *limits))
            if self._room is not None and not pending.callback:
                await held.enter_async_context(self._room)
            sent = await self._send(pending, message)
        if sent is None:
            return False
        response = sent[1]
        if self._stopping() and not (response.delivered or response.final):
            await self._clear([pending.id])
            return False  # delivered again at the next start, as if this had not been
        if self._room is not None and response.status == TOO_MANY:
            pending.not_before = again_at(sent[0], response)
            return pending.id not in self._cancelled
        outcome = outcome_of(*sent, self._fits)
        kept = await self._patiently(lambda: self._store.settle(outcome, time.time()))
        if kept and outcome.letter is not None:
            log.warning("message given up", message_id=pending.id, status=response.status)
        if not kept or outcome.again_at is None or pending.id in self._cancelled:
            return False
        pending.retried += 1
        pending.not_before = outcome.again_at
        return True

    async def _send(
        self, pending: Pending, message: QueuedMessage | None
    ) -> tuple[QueuedMessage, DeliveryResponse] | None:
        """Return None if it is cancelled, or if the service is stopping."""
        if message is None:
            message = await self._patiently(lambda: self._store.get(pending.id))
        if message is None or self._stopping():
            return None
        self._in_flight.add(pending.id)
        if pending.resumed:
            pending.resumed = False
            if pending.interruptions >= MAX_INTERRUPTIONS:
                log.warning("each process ends during a delivery", message_id=message.id)
                return message, INTERRUPTED
            await self._patiently(lambda: self._store.note_resumed(pending.id))
        return message, await self._sender.send(message)

    async def _note_period(self, period: Period) -> None:
        await self._patiently(lambda: self._store.note_period(period))

    async def _clear(self, message_ids: Sequence[str]) -> None:
        await self._patiently(lambda: self._store.note_innocent(message_ids))

    async def _patiently(self, step: Callable[[], Awaitable[T]]) -> T:
        """Try a step of the store until it succeeds."""
        while True:
            try:
                return await step()
            except Unavailable as error:
                if time.monotonic() >= self._tell_of_store_at:
                    self._tell_of_store_at = time.monotonic() + TELL_PAUSE
                    log.error("deliveries wait for the queue's file", error=str(error))
                await asyncio.sleep(STORE_PAUSE)

    def _fits(self, callback: QueuedMessage) -> bool:
        """Whether there is room for a callback."""
        room = HELD_BYTES - self._held - self._arriving
        return len(callback.body) <= self._message_limit and size_of(callback) <= room

    async def _sweep(self) -> None:
        """Forget what is old although nothing new arrives."""
        while True:
            await asyncio.sleep(SWEEP_PAUSE)
            try:
                await self._store.sweep(time.time())
            except Unavailable as error:
                log.warning("old messages not swept", error=str(error))
