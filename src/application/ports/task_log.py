"""The port of the store: the records and event logs of tasks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from application.ports.log_pages import Page
from domain.attempt import Attempt
from domain.continuation import ANEW, Opening
from domain.events import Event
from domain.failure import Failure
from domain.request import TaskRequest
from domain.task import Change, Submitted, Task
from domain.webhook import Note

ORPHAN_TIMEOUT = 3600.0
"""Seconds without a heartbeat after which a task counts as orphaned: the queue has lost it. Longer
than the pauses between deliveries, and long enough for QStash's failure callback."""
TOMBSTONE_TTL = 8 * 86_400.0
"""Seconds for which at least a tombstone is kept. Longer than anything of the queue may take to
arrive: a message that QStash delays for seven days, all its deliveries and its failure callback, or
a message of last week that a person has delivered again."""
PAGE_SIZE = 256 * 1024
"""Bytes of events, as the store encodes them, after which a page of a log ends."""


@dataclass(frozen=True, slots=True)
class Busy:
    """Another attempt has the lease, for at least `lease_left` more seconds."""

    lease_left: float


@dataclass(frozen=True, slots=True)
class Ended:
    """The task has ended."""

    task: Task


@dataclass(frozen=True, slots=True)
class Orphaned:
    """The task was orphaned, and this call has failed it."""

    task: Task


@dataclass(frozen=True, slots=True)
class NotOrphaned:
    """The task was left as it is: it has ended, an attempt has the lease, or the queue may still
    deliver it."""

    task: Task


Openings = Callable[[Task], Opening]
"""Says how the next attempt of a task begins, by its record. It is pure: the step that claims the
task may call it more than once, in any thread. It may raise: then nothing is written, and the claim
raises that exception."""


def anew(_task: Task) -> Opening:
    """The opening of attempts that never go on with an earlier one."""
    return ANEW


class TaskLog(Protocol):
    """Keeps a record, a request and an event log per task, for the log's time to live after their
    last change; after its end, for the task's own (`Task.ttl`) if that is shorter. The request lies
    apart from the record: it never changes, and few need it.

    A task that was deleted, or ended with a time to live of its own, leaves a tombstone: its id,
    kept for the log's time to live and at least TOMBSTONE_TTL. Once the task itself is gone, every
    method that would raise UnknownTask raises DeletedTask, or ExpiredTask if it was not deleted
    it, and none creates the task again.

    A method that writes does so in one atomic step: the record, the events, the lease and the
    publication to the EventFeed, or nothing. Every method may raise StoreUnavailable, and
    Unreadable for data that another version of this service wrote. A store that can lose the end
    of a log begins a new epoch with every change of the record.

    What was noted of a continuation (its response id, its cursor) holds for as long as the record
    has a continuation with the same `begun`, whatever the records say that later changes write.
    """

    async def create(self, submitted: Submitted) -> Task:
        """Write the record, request and first event of a new task; return the record. If a task of
        this id exists already, leave it as it is and return its record. Raises DeletedTask."""
        ...

    async def note_message(self, task_id: str, message_id: str) -> None:
        """Add the id of the queue's message to the record. Raises UnknownTask."""
        ...

    async def get(self, task_id: str) -> Task:
        """Return the record. Raises UnknownTask."""
        ...

    async def request(self, task_id: str) -> TaskRequest | None:
        """Return the request of a task, or None if it was lost before the task was created again.
        Raises UnknownTask."""
        ...

    async def claim(
        self, task_id: str, lease: float, now: int, opening: Openings = anew
    ) -> Attempt | Busy | Ended:
        """Begin the next attempt, with a lease of `lease` seconds by the store's own clock, unless
        another attempt has the lease or the task has ended. If the lease of a running attempt has
        lapsed, the task is requeued first, so that the log tells of it. Raises UnknownTask."""
        ...

    async def append(
        self, attempt: Attempt, events: Sequence[Event], lease: float, cursor: int | None = None
    ) -> Attempt:
        """Add events behind the last one that the attempt has logged, renew the lease, and return
        the attempt with its new `logged`. With a `cursor`, write it into the continuation of the
        record in the same step (`Continuation.advanced`), unless there is no event to add.
        Idempotent: repeated because its result
        was lost, the same call adds nothing. Raises LeaseLost, and adds nothing, if another attempt
        has begun, the task was requeued or has ended, or the store has lost the end of the log."""
        ...

    async def note_response(self, attempt: Attempt, response_id: str) -> Attempt:
        """Write into the continuation of the record how the upstream calls its answer, and return
        the attempt with that record. Idempotent. Raises LeaseLost as `append` does."""
        ...

    async def restart(self, attempt: Attempt, change: Change, lease: float) -> Attempt:
        """Write a change that ends this attempt and begins the next one (`Task.restart`), with a
        lease of `lease` seconds; return the next one. Raises LeaseLost as `append` does, and if the
        call is repeated."""
        ...

    async def renew(self, attempt: Attempt, lease: float) -> None:
        """Renew the lease for `lease` seconds from now. Raises LeaseLost as `append` does."""
        ...

    async def commit(self, attempt: Attempt, change: Change) -> None:
        """Write the change that ends this attempt (the end of the task, or requeueing it) and
        release its lease. Raises LeaseLost as `append` does, and if the call is repeated."""
        ...

    async def cancel(self, task_id: str, now: int) -> Task:
        """Cancel a pending or running task with the answer of its last attempt; return the record.
        Raises UnknownTask, or IllegalTransition if the task has ended."""
        ...

    async def fail(self, task_id: str, failure: Failure, now: int) -> Task | Busy:
        """Fail a task and return the record, or return Busy and write nothing if an attempt has
        the lease. Raises UnknownTask, or IllegalTransition if the task has ended."""
        ...

    async def fail_unqueued(self, task_id: str, failure: Failure, now: int) -> Task | None:
        """Fail a task that the queue did not take, and return the record. Return None and write
        nothing if the queue took it after all: it has a message id, or waits for its first delivery
        no more. Raises UnknownTask."""
        ...

    async def fail_orphaned(
        self, task_id: str, failure: Failure, now: int
    ) -> Orphaned | NotOrphaned:
        """Fail the task if it is orphaned: no attempt has the lease, and the task had no heartbeat
        (it was not created, enqueued, claimed, renewed or requeued) for the log's orphan timeout,
        by the store's own clock. Raises UnknownTask."""
        ...

    async def note_webhook(self, task_id: str, number: int, note: Note) -> None:
        """Change what the record of an ended task says of a webhook: its number in
        `Task.webhooks`. A task that has not ended, or has no such webhook, is left as it is. It
        changes nothing else, and tells no reader. Raises UnknownTask."""
        ...

    async def note_released(self, task_id: str) -> None:
        """Write into the continuation of a task that has ended that its upstream was told
        (`Continuation.released`). A task that has not ended, or has no continuation, is left as it
        is. It changes nothing else, and tells no reader. Raises UnknownTask."""
        ...

    async def delete(self, task_id: str) -> None:
        """Delete the record, the request, the log and the lease of a task, whatever its status, and
        leave a tombstone. Readers and attempts are not told: cancel the task first. Raises
        UnknownTask."""
        ...

    async def read(self, task_id: str, after: int, limit: int) -> Page:
        """Return at most `limit` events behind offset `after` (0: from the first event). A page
        ends early once its events have PAGE_SIZE bytes. Raises UnknownTask."""
        ...

    async def check(self) -> None:
        """Return if the store responds and accepts writes, else raise StoreUnavailable."""
        ...
