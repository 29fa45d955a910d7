"""TaskLog in a SQLite file that this process holds.

The domain decides every transition in the writer thread, on the record as it is then, in the
transaction that writes it. An append is one row. What it needs to know of a running attempt is
kept in memory, so that it executes no statement of its own (`Transaction.insert`).

Appends are not flushed to the disk one by one: they survive the death of the process, but a power
cut may take the newest of them. A file that has lost the end of a log, by a power cut or because an
older copy was put in its place, has other epochs from there on.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from adapters.database import Database, Transaction
from adapters.live import Hub
from adapters.record_codec import check_request_version, decode_request, encode_task
from adapters.sqlite.errors import translated_errors
from adapters.sqlite.liveness import Liveness
from adapters.sqlite.pages import read_events, read_last_attempt
from adapters.sqlite.records import Records, Written
from adapters.sqlite.steady_clock import steady_clock
from adapters.sqlite.stored import Connection, encoded, find_request
from adapters.sqlite.sweeping import delayed, running_ids, sweep, unfinished
from adapters.sqlite.task_index import SqliteTaskIndex
from application.errors import LeaseLost
from application.ports import (
    ORPHAN_TIMEOUT,
    Batch,
    Busy,
    Ended,
    NotOrphaned,
    Openings,
    Orphaned,
    Page,
    TaskLog,
    anew,
)
from domain.answer import Answer
from domain.attempt import Attempt
from domain.events import Event, TaskStatus, answer_of
from domain.failure import Failure
from domain.request import TaskRequest
from domain.task import Change, Submitted, Task
from domain.webhook import Note

T = TypeVar("T")


class SqliteTaskLog(TaskLog):
    def __init__(
        self,
        database: Database,
        hub: Hub,
        ttl: float,
        orphan_timeout: float = ORPHAN_TIMEOUT,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float] | None = None,
    ) -> None:
        """`ttl`: seconds for which a log is kept after its last change, at most. `orphan_timeout`:
        seconds without a heartbeat after which a task is orphaned. `clock`: an AwakeClock, for
        all that concerns unfinished tasks. `wall`: gives seconds since 1970 and never goes back,
        for what has ended."""
        self._database = database
        self._hub = hub
        self._wall = wall or steady_clock()
        self._looked_at = 0
        """The last row that `_expire_unfinished` has looked at."""
        self._live = Liveness(ttl, orphan_timeout, clock)
        self._records = Records(ttl, self._live, self._now)
        self.index = SqliteTaskIndex(database, self._records)
        database.on_rollback(self._records.forget_written)

    async def create(self, submitted: Submitted) -> Task:
        created = await self._write(
            lambda transaction: self._records.create(transaction, submitted)
        )
        return created.task if isinstance(created, Written) else created

    async def note_message(self, task_id: str, message_id: str) -> None:
        def work(transaction: Transaction) -> None:
            stored = self._records.existing(transaction, task_id)
            statement = "UPDATE tasks SET message = ? WHERE task = ?"
            transaction.execute(statement, (message_id, stored.row))
            if stored.expires is None:  # else it has ended by now
                self._live.beat(task_id)

        await self._write(work, durable=False)

    async def get(self, task_id: str) -> Task:
        return await self._read(
            lambda connection: self._records.existing(connection, task_id).task()
        )

    async def request(self, task_id: str) -> TaskRequest | None:
        def work(connection: Connection) -> TaskRequest | None:
            _, request = find_request(connection, self._records.existing(connection, task_id).row)
            return decode_request(task_id, request)

        return await self._read(work)

    async def claim(
        self, task_id: str, lease: float, now: int, opening: Openings = anew
    ) -> Attempt | Busy | Ended:
        def work(transaction: Transaction) -> Busy | Ended | Written:
            stored = self._records.existing(transaction, task_id)
            task = stored.task()
            if task.status.terminal:
                return Ended(task)
            if busy := self._records.busy(task):
                return busy
            version, request = find_request(transaction, stored.row)
            check_request_version(task_id, version)
            written = self._records.change(transaction, stored, task.claim(now), request)
            self._live.lease(task_id, written.task.attempt, lease)
            return written

        claimed = await self._write(work)
        if not isinstance(claimed, Written):
            return claimed
        request = decode_request(task_id, claimed.request)
        return Attempt(claimed.task, claimed.batch.end.offset, request)

    async def append(
        self, attempt: Attempt, events: Sequence[Event], lease: float, cursor: int | None = None
    ) -> Attempt:
        rows, added = encoded(events), tuple(events)

        def work(transaction: Transaction) -> tuple[int, Batch | None]:
            return self._records.append(transaction, attempt, added, rows, lease)

        def publish(written: tuple[int, Batch | None]) -> None:
            if written[1] is not None:
                self._hub.publish(attempt.task.id, written[1])

        with translated_errors():
            length, _ = await self._database.write(work, durable=False, committed=publish)
        return Attempt(attempt.task, length, attempt.request)

    async def renew(self, attempt: Attempt, lease: float) -> None:
        if not self._live.renew(attempt.task.id, attempt.number, lease):
            raise LeaseLost

    async def commit(self, attempt: Attempt, change: Change) -> None:
        def work(transaction: Transaction) -> Written:
            stored = self._records.held(transaction, attempt)
            return self._records.change(transaction, stored, change)

        await self._write(work)

    async def cancel(self, task_id: str, now: int) -> Task:
        def read(connection: Connection) -> tuple[int, list[Event]]:
            stored = self._records.existing(connection, task_id)
            stored.task().cancel(now, Answer())  # raises IllegalTransition before the log is read
            return stored.length, read_last_attempt(connection, stored)

        # Read before the writer's turn, so that it has to read only what is added meanwhile.
        length, events = await self._read(read)

        def work(transaction: Transaction) -> Written:
            stored = self._records.existing(transaction, task_id)
            rest = read_events(transaction, stored, length, stored.length)
            change = stored.task().cancel(now, answer_of([*events, *rest]))
            return self._records.change(transaction, stored, change)

        return (await self._write(work)).task

    async def fail(self, task_id: str, failure: Failure, now: int) -> Task | Busy:
        def decide(task: Task) -> Change | Busy:
            change = task.fail(now, failure)
            return self._records.busy(task) or change

        return await self._decide(task_id, decide)

    async def fail_unqueued(self, task_id: str, failure: Failure, now: int) -> Task | None:
        return await self._decide(
            task_id, lambda task: task.fail(now, failure) if task.unqueued else None
        )

    async def fail_orphaned(
        self, task_id: str, failure: Failure, now: int
    ) -> Orphaned | NotOrphaned:
        def decide(task: Task) -> Change | NotOrphaned:
            alive = (
                task.status.terminal
                or self._records.busy(task)
                or not self._live.is_orphaned(task_id)
            )
            return NotOrphaned(task) if alive else task.fail(now, failure)

        decided = await self._decide(task_id, decide)
        return decided if isinstance(decided, NotOrphaned) else Orphaned(decided)

    async def note_webhook(self, task_id: str, number: int, note: Note) -> None:
        def work(transaction: Transaction) -> None:
            stored = self._records.existing(transaction, task_id)
            task = stored.task()
            if task.status.terminal:
                values = (encode_task(task.with_note(number, note)), stored.row)
                transaction.execute("UPDATE tasks SET state = ? WHERE task = ?", values)

        await self._write(work)

    async def note_response(self, attempt: Attempt, response_id: str) -> Attempt:
        raise NotImplementedError

    async def restart(self, attempt: Attempt, change: Change, lease: float) -> Attempt:
        raise NotImplementedError

    async def note_released(self, task_id: str) -> None:
        raise NotImplementedError

    async def delete(self, task_id: str) -> None:
        def deleted(owner: str | None) -> None:
            self._live.forget(task_id)
            self._hub.notify(owner, task_id)

        with translated_errors():
            await self._database.write(
                lambda transaction: self._records.delete(transaction, task_id),
                committed=deleted,
            )

    async def read(self, task_id: str, after: int, limit: int) -> Page:
        return await self._read(
            lambda connection: self._records.page(connection, task_id, after, limit)
        )

    async def check(self) -> None:
        def work(transaction: Transaction) -> None:
            statement = "INSERT OR REPLACE INTO checks (id, at) VALUES (1, ?)"
            transaction.execute(statement, (self._now(),))

        await self._write(work, durable=False)

    async def interrupted(self) -> Sequence[str]:
        """Return the ids of the tasks that are running. At the beginning no attempt of theirs can
        be alive. Raises StoreUnavailable."""
        return await self._read(running_ids)

    async def note_delays(self) -> None:
        """Note which tasks are delayed, and for how long yet: as long as the process did that began
        them, this one counts their times from the end of their delay. Raises StoreUnavailable."""
        now = self._now()
        for task_id, not_before in await self._read(lambda connection: delayed(connection, now)):
            self._live.beat(task_id, (not_before - now) / 1000)

    async def sweep(self) -> bool:
        """Remove some of what is over; return whether there may be more. Raises
        StoreUnavailable."""
        if self._live.may_expire:
            await self._expire_unfinished()
        return await self._write(lambda transaction: sweep(transaction, self._now()), durable=False)

    async def _expire_unfinished(self) -> None:
        """Let expire, of a number of unfinished tasks, those that were not changed for the time to
        live."""
        looked_at = self._looked_at
        found = await self._read(lambda connection: unfinished(connection, looked_at))
        self._looked_at = found[-1][0] if found else 0
        over = [task_id for _, task_id in found if self._live.is_expired(task_id)]
        if over:
            await self._write(
                lambda transaction: self._records.expire(transaction, over), durable=False
            )

    async def _decide(self, task_id: str, decide: Callable[[Task], Change | T]) -> Task | T:
        """Write the change that is decided on the record, or return what is decided instead."""

        def work(transaction: Transaction) -> Written | T:
            stored = self._records.existing(transaction, task_id)
            decided = decide(stored.task())
            if isinstance(decided, Change):
                return self._records.change(transaction, stored, decided)
            return decided

        decided = await self._write(work)
        return decided.task if isinstance(decided, Written) else decided

    async def _write(self, work: Callable[[Transaction], T], *, durable: bool = True) -> T:
        with translated_errors():
            return await self._database.write(work, durable=durable, committed=self._committed)

    def _committed(self, written: object) -> None:
        """Called in the event loop, in the order of the writes."""
        if isinstance(written, Written):
            task = written.task
            if task.status.terminal:
                self._live.forget(task.id)
            elif task.status is TaskStatus.PENDING:
                self._live.release(task.id, task.attempt)
            self._hub.publish(task.id, written.batch)
            self._hub.notify(task.owner, task.id)

    async def _read(self, work: Callable[[Connection], T]) -> T:
        with translated_errors():
            return await self._database.read(work)

    def _now(self) -> int:
        """Return the time in ms since 1970."""
        return round(self._wall() * 1000)
