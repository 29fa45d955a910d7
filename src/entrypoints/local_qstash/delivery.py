"""Delivering messages: slots, retries, callbacks, cancels and dead letters.

Each message has one asyncio task from its publish to its end. What becomes of it is decided here,
and kept by a store, in memory or in a file. Sources of the rules: QStash's documentation,
features/retry, callbacks, dlq, deduplication, flowcontrol, queues.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from adapters.database import Database
from entrypoints.local_qstash.beginnings import Beginnings
from entrypoints.local_qstash.bounds import MESSAGE_LIMIT
from entrypoints.local_qstash.dead_letters import DeadLetter
from entrypoints.local_qstash.decisions import FirstBody, note_outcome, outcome_of
from entrypoints.local_qstash.delivery_response import DeliveryResponse
from entrypoints.local_qstash.file_store import FileStore
from entrypoints.local_qstash.filters import Search
from entrypoints.local_qstash.intake import Intake
from entrypoints.local_qstash.journal import Journal, LogLimits
from entrypoints.local_qstash.memory_store import MemoryStore
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.pauses import again_at, until
from entrypoints.local_qstash.records import Changes
from entrypoints.local_qstash.refusals import Refused, Unavailable
from entrypoints.local_qstash.resuming import INTERRUPTED, MAX_INTERRUPTIONS, Resumption
from entrypoints.local_qstash.sending import Sender
from entrypoints.local_qstash.slots import Period
from entrypoints.local_qstash.states import State
from entrypoints.local_qstash.store import DeadLetterStore, Pending, Store
from entrypoints.local_qstash.store_steps import StoreSteps
from entrypoints.local_qstash.turns import Turns

log = structlog.get_logger(__name__)

SWEEP_PAUSE = 60.0
CANCELLED_AT_ONCE = 500
"""Messages in one step, so that others need not wait long for the file or the event loop."""
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
        log_limits: LogLimits | None = None,
        first_body: FirstBody = lambda _: None,
    ) -> None:
        """`message_limit`: bytes of a message's body. With a database everything is kept there, and
        `resume` goes on with it. Once `stopping` returns True, no delivery from there begins, and
        one that fails costs no retry. `address_of` returns where a message for a URL is delivered.
        `at_once`: deliveries that the destination handles at the same time, if all messages are for
        one; the others wait, and one that it refuses all the same costs no retry. Callbacks do not
        count. `first_body` is for callbacks. Must be called while an event loop runs."""
        self.journal = Journal(log_limits)
        self._sender = Sender(signing_key, address_of)
        self._stopping = stopping
        self._beginnings = Beginnings(self._begin)
        self._store: Store
        if database is None:
            self._store = MemoryStore(self._beginnings.add, self._end_waits)
        else:
            self._store = FileStore(database, self._beginnings.add, self._end_waits)
        self._first_body = first_body
        self.intake = Intake(self._store, message_limit, self._beginnings.done)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._in_flight: dict[str, QueuedMessage] = {}
        """Messages that are being delivered, until what that leads to is kept and noted."""
        self._cancelled: set[str] = set()
        """The ids of those that were cancelled meanwhile."""
        self.turns = Turns(self._note_period, at_once)
        self._at_once = at_once
        self._resumption = Resumption(self._reset_interruptions)
        self._steps = StoreSteps()
        self._closed = False
        self._sweeping = asyncio.create_task(self._sweep())

    @property
    def dead_letters(self) -> DeadLetterStore:
        return self._store.dead_letters

    def sign_with(self, key: str) -> None:
        """Sign what is delivered from now on with this key."""
        self._sender.signing_key = key

    def resume(self, left: Sequence[Pending], periods: Sequence[Period] = ()) -> None:
        """Go on with the messages that an earlier process has left, and with the periods of its
        rates. A message that was being delivered is delivered again at once."""
        self.turns.restore(left, periods)
        for each in left:
            self._carry_on(each)
        if left:
            log.info("the queue goes on with what it holds", messages=len(left))

    async def aclose(self) -> None:
        self._closed = True
        self._beginnings.close()
        self._sweeping.cancel()
        self._resumption.close()
        for task in list(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._sender.aclose()

    async def publish_all(
        self, messages: Sequence[QueuedMessage], changes: Changes | None = None
    ) -> list[tuple[str, bool] | Refused]:
        """As `Intake.publish_all`."""
        return await self.intake.publish_all(messages, changes)

    async def message(self, message_id: str) -> QueuedMessage | None:
        """Return a message that is not yet delivered, or has just ended. Raises Unavailable."""
        kept = await self._store.get(message_id)
        if kept is None and message_id not in self._cancelled:
            return self._in_flight.get(message_id) or self.journal.message(message_id)
        return kept

    async def cancel(self, search: Search) -> int:
        """Cancel the messages that match, the oldest first; return how many of them there
        were. A delivery in progress is completed, but not retried. Raises Unavailable."""
        ids = list(await self._store.search(search) if search.ids is None else search.ids)
        cancelled = 0
        for begin in range(0, len(ids), CANCELLED_AT_ONCE):
            cancelled += await self._store.cancel(ids[begin : begin + CANCELLED_AT_ONCE])
            await asyncio.sleep(0)  # a step in memory waits for nothing
        return cancelled

    async def retry(
        self, letters: Sequence[DeadLetter], again: Callable[[QueuedMessage], QueuedMessage]
    ) -> list[str]:
        """As `Intake.retry`."""
        return await self.intake.retry(letters, again)

    @property
    def waiting(self) -> int:
        """How many messages are not yet delivered."""
        return len(self._tasks)

    def has(self, message_id: str) -> bool:
        """Whether this message is not yet delivered."""
        return message_id in self._tasks

    def is_delivering(self, message_id: str) -> bool:
        return message_id in self._in_flight

    async def oldest(self, count: int) -> list[QueuedMessage]:
        """Return so many of the messages that are not yet delivered, without their bodies. Raises
        Unavailable."""
        return await self._store.oldest(count)

    def _begin(self, message: QueuedMessage) -> None:
        """Called once the message is kept, and its delivery is to begin."""
        if not self._closed:
            self.journal.note(message, State.CREATED, next_at=message.not_before)
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
        self.turns.arrives(pending)
        self.intake.held += pending.size
        task.add_done_callback(lambda _: self._ended(pending, task))

    def _ended(self, pending: Pending, task: "asyncio.Task[None]") -> None:
        del self._tasks[pending.id]
        self.turns.ended(pending.id)
        self._cancelled.discard(pending.id)
        self.intake.held -= pending.size
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("delivery failed unexpectedly", message_id=pending.id, exc_info=error)

    def _end_waits(self, messages: Sequence[QueuedMessage]) -> None:
        """Called once these are cancelled."""
        for each in messages:
            if self._beginnings.withdraw(each.id):
                self.journal.note(each, State.CREATED, next_at=each.not_before)
            self.journal.note(each, State.CANCEL_REQUESTED)
            if each.id in self._in_flight:
                self._cancelled.add(each.id)
                continue
            self.journal.note(each, State.CANCELED)
            if (task := self._tasks.get(each.id)) is not None:
                task.cancel()
                self.turns.ended(each.id)

    async def _in_order(self, pending: Pending) -> None:
        """Deliver a message of a queue. The next one also waits for this one's retries."""
        if not pending.retried:
            await until(pending.not_before)
        async with self.turns.of_queue(pending):
            await self._attempts(pending, None)

    async def _attempts(self, pending: Pending, message: QueuedMessage | None) -> None:
        goes_on = True
        while goes_on:
            await until(pending.not_before)
            if pending.resumed:
                await self._resumption.turn(pending)
            message = None if self.turns.slots.room.full else message
            try:
                goes_on = await self._attempt(pending, message)
            finally:
                self._in_flight.pop(pending.id, None)
            message = None

    async def _attempt(self, pending: Pending, message: QueuedMessage | None) -> bool:
        """Deliver the message once and have kept what that leads to. Returns whether it is to be
        delivered again."""
        async with self.turns.of_delivery(pending):
            sent = await self._send(pending, message)
        if sent is None:
            return False
        response = sent[1]
        if self._stopping() and not (response.delivered or response.final):
            await self._reset_interruptions([pending.id])
            return False  # delivered again at the next start, as if this had not been
        if self._at_once is not None and response.status == TOO_MANY:
            pending.not_before = again_at(sent[0], response)
            cancelled = pending.id in self._cancelled
            state = State.CANCELED if cancelled else State.RETRY
            self.journal.note(sent[0], state, next_at=None if cancelled else pending.not_before)
            return not cancelled
        outcome = outcome_of(*sent, self.intake.fits, self._first_body)
        kept = await self._steps.until_done(lambda: self._store.commit(outcome, time.time()))
        kept = kept and pending.id not in self._cancelled  # it may be cancelled just afterwards
        note_outcome(self.journal, *sent, outcome if kept else None)
        callbacks = [each for each in (outcome.callback, outcome.failure) if each is not None]
        if callbacks:
            await self._beginnings.done()
        self.turns.wait_for(pending, (self._tasks.get(each.id) for each in callbacks))
        if kept and outcome.letter is not None:
            log.warning("message given up", message_id=pending.id, status=response.status)
        if not kept or outcome.again_at is None:
            return False
        pending.retried += 1
        pending.not_before = outcome.again_at
        return True

    async def _send(
        self, pending: Pending, message: QueuedMessage | None
    ) -> tuple[QueuedMessage, DeliveryResponse] | None:
        """Return None if it is cancelled, or if the service is stopping."""
        if message is None:
            message = await self._steps.until_done(lambda: self._store.get(pending.id))
        if message is None or self._stopping():
            return None
        self._in_flight[pending.id] = message
        self.journal.note(message, State.ACTIVE)
        if pending.resumed:
            pending.resumed = False
            if pending.interruptions >= MAX_INTERRUPTIONS:
                log.warning("each process ends during a delivery", message_id=message.id)
                return message, INTERRUPTED
            await self._steps.until_done(lambda: self._store.note_resumed(pending.id))
        return message, await self._sender.send(message)

    async def _note_period(self, period: Period) -> None:
        await self._steps.until_done(lambda: self._store.note_period(period))

    async def _reset_interruptions(self, message_ids: Sequence[str]) -> None:
        await self._steps.until_done(lambda: self._store.reset_interruptions(message_ids))

    async def _sweep(self) -> None:
        """Forget what is old although nothing new arrives."""
        while True:
            await asyncio.sleep(SWEEP_PAUSE)
            try:
                self.journal.drop_old(time.time())
                self.turns.slots.forget()
                await self._store.sweep(time.time())
            except Unavailable as error:
                log.warning("old messages not swept", error=str(error))
            except Exception:
                log.exception("old messages not swept")
