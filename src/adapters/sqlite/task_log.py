"""TaskLog in a SQLite file that this process holds.

The domain decides every transition in the writer thread, on the record as it is then, in the
transaction that writes it. An append is one row. What it needs to know of a running attempt is
kept in memory, so that it executes no statement of its own (`Transaction.insert`).

Appends are not flushed to the disk one by one: they survive the death of the process, but a power
cut may take the newest of them. A file that has lost the end of a log, by a power cut or because an
older copy was put in its place, has other epochs from there on.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from adapters.database import Database, Transaction
from adapters.live import Hub
from adapters.record_codec import check_request_version, decode_request
from adapters.sqlite.errors import translated_errors
from adapters.sqlite.liveness import Liveness
from adapters.sqlite.pages import read_events, read_last_attempt
from adapters.sqlite.records import Records, Written
from adapters.sqlite.steady_clock import steady_clock
from adapters.sqlite.stored import (
    Connection,
    encoded,
    find_request,
    read_task,
    write_record,
)
from adapters.sqlite.task_index import SqliteTaskIndex
from adapters.sqlite.upkeep import Upkeep
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
        self._live = Liveness(ttl, orphan_timeout, clock)
        self._records = Records(ttl, self._live, self._now)
        self.index = SqliteTaskIndex(database, self._records)
        self.upkeep = Upkeep(database, self._records, self._live, self._now)
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
            lambda connection: read_task(connection, self._records.existing(connection, task_id))
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
            task = read_task(transaction, stored)
            if task.status.terminal:
                return Ended(task)
            if busy := self._records.busy(task):
                return busy
            version, request = find_request(transaction, stored.row)
            check_request_version(task_id, version)
            change = task.claim(now, opening(task))
            return self._records.begin(transaction, stored, change, request, lease)

        claimed = await self._write(work)
        return _begun(claimed) if isinstance(claimed, Written) else claimed

    async def append(
        self, attempt: Attempt, events: Sequence[Event], lease: float, cursor: int | None = None
    ) -> Attempt:
        rows, added = encoded(events), tuple(events)

        def work(transaction: Transaction) -> tuple[int, Batch | None]:
            return self._records.append(transaction, attempt, added, rows, lease, cursor)

        def publish(written: tuple[int, Batch | None]) -> None:
            if written[1] is not None:
                self._hub.publish(attempt.task.id, written[1])

        with translated_errors():
            length, _ = await self._database.write(work, durable=False, committed=publish)
        return Attempt(attempt.task, length, attempt.request, cursor)

    async def note_response(self, attempt: Attempt, response_id: str) -> Attempt:
        def work(transaction: Transaction) -> Task:
            stored = self._records.held(transaction, attempt)
            task = read_task(transaction, stored)
            if (continuation := task.continuation) is not None:
                task = replace(task, continuation=continuation.noted(response_id))
                write_record(transaction, stored.row, task)
            return task

        return replace(attempt, task=await self._write(work))

    async def restart(self, attempt: Attempt, change: Change, lease: float) -> Attempt:
        def work(transaction: Transaction) -> Written:
            stored = self._records.held(transaction, attempt)
            _, request = find_request(transaction, stored.row)
            return self._records.begin(transaction, stored, change, request, lease)

        return _begun(await self._write(work))

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
        await self._amend(task_id, lambda task: task.with_note(number, note))

    async def note_released(self, task_id: str) -> None:
        def released(task: Task) -> Task:
            continuation = task.continuation
            return replace(task, continuation=continuation and continuation.told())

        await self._amend(task_id, released)

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

    async def _amend(self, task_id: str, amended: Callable[[Task], Task]) -> None:
        """Rewrite the record of a task, if it has ended."""

        def work(transaction: Transaction) -> None:
            stored = self._records.existing(transaction, task_id)
            if (task := stored.task()).status.terminal:
                write_record(transaction, stored.row, amended(task))

        await self._write(work)

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


def _begun(written: Written) -> Attempt:
    task = written.task
    return Attempt(task, written.batch.end.offset, decode_request(task.id, written.request))
