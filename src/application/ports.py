"""What the use cases need of the outside world, in the application's own words.

Every method states its promise; one contract suite per port (tests/contract) holds each adapter
to it. No type of a framework, a driver or a wire format may appear here.

Times are integer milliseconds since the Unix epoch unless a name says otherwise; durations are
seconds.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from domain.events import Event, Usage, is_last, text_size
from domain.task import Attempt, Change, Failure, Task, TaskRequest

PATIENCE = 3600.0
"""Seconds without a sign of life after which a task counts as forgotten by the queue, beside the
queue's own pauses: also long enough for a failure callback of QStash's."""
PAGE_SIZE = 512 * 1024
"""Bytes of events, as the store writes them, after which a page of a log ends."""


class UnknownTask(Exception):
    """Raised when no record has this id: it never existed, or its time to live is over."""


class LeaseLost(Exception):
    """Raised when an attempt may no longer write: another one was opened, or the task ended."""


class StoreUnavailable(Exception):
    """Raised when the store cannot be reached or cannot do its work. Nothing is known to have been
    written. `reason` may be shown to anybody, the whole message belongs into the log."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class FeedClosed(Exception):
    """Raised to a subscriber when this process stops delivering: read on from another one."""


class QueueUnavailable(Exception):
    """Raised when the queue cannot be reached or is over its limit. The message may or may not
    have been taken; publishing the same task again is safe."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QueueRefused(Exception):
    """Raised when the queue answered that it will not take the message as it is."""


class ModelUnavailable(Exception):
    """Raised for a fault of the model that may pass. The same request may succeed later.

    `unbilled`: the model's server refused the request before it did any work for it, or was never
    connected to, so that the request has cost nothing."""

    def __init__(
        self,
        code: str,
        message: str,
        retry_after: float | None = None,
        *,
        unbilled: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.unbilled = unbilled


class ModelRefused(Exception):
    """Raised for a fault that trying again cannot mend: a wrong key, an unknown model, a quota.
    `unbilled` as in ModelUnavailable."""

    def __init__(self, code: str, message: str, *, unbilled: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.unbilled = unbilled


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the queue brought. It holds the whole request, so a store that lost its data can be
    made whole again."""

    task_id: str
    request: TaskRequest
    created_at: int
    max_attempts: int
    """Attempts after which a fault that may pass is one for good."""
    owner: str | None = None

    def submitted(self) -> Change:
        """The task as it was before its first attempt, for a store that has lost it."""
        return Task.submit(self.task_id, self.request, self.created_at, self.owner)


@dataclass(frozen=True, slots=True)
class Busy:
    """Another attempt holds a live lease, for `lease_left` more seconds at least."""

    lease_left: float


@dataclass(frozen=True, slots=True)
class Settled:
    """The task is in a terminal status."""

    task: Task


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Batch:
    """Consecutive events of one epoch of a log. The first has number `first`; there is at least
    one.

    Compared by identity: all subscribers of a process share one object for what was added in one
    step, so that whatever is derived from it (a wire frame) can be derived once.
    """

    epoch: str
    first: int
    events: tuple[Event, ...]
    before: str | None
    """The epoch of the event before the first, if there is one."""

    @property
    def last(self) -> int:
        return self.first + len(self.events) - 1

    @property
    def size(self) -> int:
        """Characters of text."""
        return sum(text_size(event) for event in self.events)

    @property
    def closes(self) -> bool:
        """Whether the log ends here."""
        return is_last(self.events[-1])

    def joins(self, epoch: str | None, sequence: int) -> bool:
        """Whether this goes on where somebody stands who has seen that event last (None and 0:
        none): without a hole, and behind the very same events."""
        if self.first == sequence + 1:
            return self.before == epoch
        return self.first <= sequence and self.epoch == epoch

    def after(self, sequence: int) -> "Batch":
        """The part behind `sequence`, which must lie before `last`."""
        if sequence < self.first:
            return self
        rest = self.events[sequence + 1 - self.first :]
        return Batch(self.epoch, sequence + 1, rest, self.epoch)


Take = Callable[[Batch], bool]
"""Hands a batch on if that can be done at once, and answers whether it did. If it raises, it did
not."""


@dataclass(slots=True)
class Cursor:
    """Where a subscriber stands in a log: the number of the last event that it has, and that one's
    epoch (0 and None: it has none)."""

    epoch: str | None
    after: int
    take: Take

    def move(self, batch: Batch) -> None:
        self.epoch, self.after = batch.epoch, batch.last


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a log, from number `first`, as it stood at one moment, when it held `length`
    events in all. May be empty."""

    length: int
    first: int
    batches: tuple[Batch, ...]
    before: str | None
    """The epoch of the event before the first, if there is one."""

    @property
    def events(self) -> tuple[Event, ...]:
        return tuple(event for batch in self.batches for event in batch.events)

    @property
    def level(self) -> bool:
        """Whether it reaches to the end of the log."""
        return self.first > self.length or (
            bool(self.batches) and self.batches[-1].last == self.length
        )


@dataclass(frozen=True, slots=True)
class Gap:
    """Live delivery had a hole here: read the log again from the last event seen."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a model's stream came to its end."""

    reason: str
    model: str
    usage: Usage | None


class TaskLog(Protocol):
    """The records and event logs, one of each per task, kept for a time to live after the last
    change.

    Every method that writes does so in one atomic step: record, events, lease and the notice to
    the EventFeed together, or nothing. Every method may raise StoreUnavailable. A store that may
    lose the end of a log opens an epoch with every change of the record.
    """

    async def create(self, submitted: Change) -> Task:
        """Write a new task's record and first event; answer the record. A task of that id that
        exists already stays as it is and is answered instead."""
        ...

    async def note_message(self, task_id: str, message_id: str) -> None:
        """Record under which id the queue holds the task. Raises UnknownTask."""
        ...

    async def get(self, task_id: str) -> Task:
        """The record. Raises UnknownTask."""
        ...

    async def claim(self, task_id: str, lease: float, now: int) -> Attempt | Busy | Settled:
        """Open the next attempt and hold it for `lease` seconds by the store's own clock, unless
        another is alive or the task has ended. An attempt whose lease lapsed is given back first,
        so that the log tells of its loss. Raises UnknownTask."""
        ...

    async def append(self, attempt: Attempt, events: Sequence[Event], lease: float) -> Attempt:
        """Add events behind what the attempt has seen of the log, renew the lease, and answer the
        attempt as it stands then. The same call again, made because its answer was lost, adds
        nothing. Raises LeaseLost, and then nothing was added: if another attempt was opened, the
        attempt was given back, the task has ended, or the store lost the end of the log."""
        ...

    async def renew(self, attempt: Attempt, lease: float) -> None:
        """Hold the attempt for `lease` seconds from now. Raises LeaseLost as `append` does."""
        ...

    async def settle(self, attempt: Attempt, change: Change) -> None:
        """Write the change that closes this attempt (an end, or giving it back) and let its lease
        go. Raises LeaseLost as `append` does, and when the call is made again."""
        ...

    async def cancel(self, task_id: str, now: int) -> Task:
        """Cancel a pending or running task, keeping the text of its last attempt; answer the
        record. Raises UnknownTask, or IllegalTransition once the task has ended."""
        ...

    async def fail(self, task_id: str, failure: Failure, now: int) -> Task | Busy:
        """Fail a task that no live attempt holds; answer the record, or Busy and nothing is
        written. Raises UnknownTask, or IllegalTransition once the task has ended."""
        ...

    async def fail_forgotten(self, task_id: str, failure: Failure, now: int) -> Task:
        """Fail a task that no live attempt holds, and that nobody has created, enqueued, claimed,
        renewed or given back for the log's patience, by the store's own clock. Answers the record,
        failed or as it was. Raises UnknownTask."""
        ...

    async def read(self, task_id: str, after: int, limit: int) -> Page:
        """At most `limit` events behind number `after` (0 means from the first), fewer if they are
        large: once they hold PAGE_SIZE, those that remain are for another page. Raises
        UnknownTask."""
        ...

    async def check(self) -> None:
        """Return if the store answers, else raise StoreUnavailable."""
        ...


class Subscription(Protocol):
    async def receive(
        self, timeout: float, cursor: Cursor | None = None
    ) -> Sequence[Batch] | Gap | None:
        """All that waits, oldest first; if nothing does, what comes next; None after `timeout`
        seconds of silence. For one caller at a time. Raises FeedClosed when this process stops
        delivering.

        While it waits, a batch that goes on right at the cursor and does not close the log is
        given to the cursor's `take` at once, by whoever brings it. What that takes moves the
        cursor, and is not received: the waiting goes on."""
        ...


class EventFeed(Protocol):
    """Live delivery of what is added to logs. It promises nothing that the log does not hold:
    from the moment `subscribe` is entered, each batch of the task arrives in order and once, or a
    Gap stands for what is missing. What one subscriber leaves unread costs bounded memory."""

    def subscribe(self, task_id: str) -> AbstractAsyncContextManager[Subscription]: ...


class FeedWatch(Protocol):
    """Is told how live delivery fares, for whoever operates it. Takes no time over it."""

    def heard(self, lag: float) -> None:
        """Something arrived that was made so many seconds ago."""
        ...

    def gap(self) -> None:
        """A subscriber has to read the log."""
        ...

    def reconnected(self) -> None:
        """The connection was lost and is made anew."""
        ...


class TaskQueue(Protocol):
    async def enqueue(self, task: Task, occasion: str = "") -> str:
        """Have the task delivered to the webhook, at least once; answer the message id. The same
        task again is the same message, unless for another occasion (letters, digits, '-', '_').
        Raises QueueUnavailable or QueueRefused."""
        ...

    async def withdraw(self, message_id: str) -> bool:
        """Ask for no further delivery of a message; answer whether the queue still had it. It may
        be on its way already. Raises QueueUnavailable."""
        ...

    async def check(self) -> None:
        """Return if the queue answers and accepts our token, else raise QueueUnavailable or
        QueueRefused."""
        ...


@dataclass(frozen=True, slots=True)
class Spent:
    """What an account has used of its window, which ends in `reset` seconds."""

    granted: bool
    used: int
    reset: float


class Allowances(Protocol):
    """What accounts use, counted over all instances: amounts in a window of time, and places held.
    An account is any text. Every method may raise StoreUnavailable."""

    async def spend(self, account: str, amount: int, limit: int | None, window: float) -> Spent:
        """Add `amount` to what the account used, unless that would be more than `limit`; in one
        step. Its window of so many seconds begins with the first use. Raises ValueError for a
        negative amount: what is used never becomes less within a window."""
        ...

    async def hold(self, account: str, holder: str, limit: int, ttl: float) -> bool:
        """Take one of the account's `limit` places for `ttl` seconds, unless all are taken; in one
        step. A holder takes one place however often it asks."""
        ...

    async def keep(self, account: str, holders: Sequence[str], ttl: float) -> None:
        """Hold these places for `ttl` seconds from now."""
        ...

    async def holders(self, account: str, limit: int) -> Sequence[tuple[str, float]]:
        """Who holds a place and for how many seconds still, the one that ends first before the
        others; at most `limit` of them."""
        ...

    async def postpone(self, account: str, holders: Sequence[str], ttl: float) -> None:
        """Hold those of these places that are still held for `ttl` seconds from now. They come
        last among the holders then, if no place was ever taken for longer."""
        ...

    async def release(self, account: str, holder: str) -> None: ...


class LanguageModel(Protocol):
    def stream(self, request: TaskRequest) -> AsyncGenerator[str | Finished, None]:
        """The answer piece by piece, then exactly one Finished as the last item. A piece is what
        the model has said since it was last asked: what comes in between waits, in bounded memory,
        and is the next one. An empty text is no part of the answer but a sign that the model works:
        it reasons or calls a tool. Whatever else its server sends (comments, empty deltas) yields
        nothing. Raises ModelUnavailable or ModelRefused, also in mid-stream, after what was said
        before; their `unbilled` says that the request has cost nothing. Closing the generator
        closes the connection, so that no further tokens are paid for."""
        ...


class Clock(Protocol):
    def now(self) -> int:
        """Milliseconds since the Unix epoch."""
        ...


class TaskIds(Protocol):
    def next(self, now: int) -> str:
        """A new task id: unguessable (96 random bits or more), and sorted by time."""
        ...
