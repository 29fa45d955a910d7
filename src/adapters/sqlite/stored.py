"""One task as the file has it: its row, the rows of its log, and how both are written."""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from adapters.database import Transaction
from adapters.event_codec import encode_event, encode_events
from adapters.record_codec import decode_task, encode_request, encode_task, version_of
from adapters.sqlite.schema import BATCH_SIZE, BATCHES, OFFSETS, key_of
from application.ports import Batch
from domain.events import Event, TaskStatus
from domain.position import START, Position
from domain.task import Change, Submitted, Task


class Cursor(Protocol):
    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...


class Connection(Protocol):
    """A transaction of the writer, or the connection of a reader."""

    def execute(self, statement: str, values: Sequence[Any] = ..., /) -> Cursor: ...


COLUMNS = """
    task, id, v, status, attempt, state, message, epochs, expires,
    coalesce((  -- the offset of the last event
        SELECT (key & 268435455) + count - 1 FROM batches
        WHERE key BETWEEN task << 28 AND (task << 28) + 268435455 ORDER BY key DESC LIMIT 1
    ), 0)
"""
"""Of a Stored."""
_FIND = f"SELECT {COLUMNS} FROM tasks WHERE id = ?"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Stored:
    """A row of `tasks`."""

    row: int
    id: str
    version: int
    status: str
    attempt: int
    state: bytes
    message: str | None
    epochs: str
    expires: int | None
    length: int
    """The number of events in the log."""

    def task(self) -> Task:
        """Return the record. Raises UnreadableTask."""
        return decode_task(self.id, self.version, self.state, self.message)

    @property
    def epoch(self) -> str:
        """The epoch of the last event."""
        return self.epochs.rpartition("-")[2]

    @property
    def end(self) -> Position:
        return Position(self.epoch, self.length) if self.length else START


def find(connection: Connection, task_id: str) -> Stored | None:
    found = connection.execute(_FIND, (task_id,)).fetchone()
    return None if found is None else Stored(*found)


def find_request(connection: Connection, row: int) -> tuple[int, bytes] | tuple[None, None]:
    """Return the version of a task's request and the request, if there is one."""
    found = connection.execute("SELECT v, request FROM requests WHERE task = ?", (row,)).fetchone()
    return found or (None, None)


def read_task(connection: Connection, stored: Stored) -> Task:
    """Return the record, with the last cursor that its running attempt has written. Raises
    UnreadableTask."""
    task = stored.task()
    if task.continuation is None or task.status is not TaskStatus.RUNNING:
        return task
    # Each attempt begins in an epoch of its own, and only it adds to that.
    first = int(stored.epochs.rpartition(" ")[2].partition("-")[0])
    found = connection.execute(
        "SELECT cursor, (key & 268435455) + count - 1 FROM batches"
        " WHERE key BETWEEN ? AND ? AND cursor IS NOT NULL ORDER BY key DESC LIMIT 1",
        (key_of(stored.row, first), key_of(stored.row, OFFSETS)),
    ).fetchone()
    if found is None:
        return task
    cursor, logged = found
    return replace(task, continuation=task.continuation.advanced(cursor, logged, task.attempt))


def write_new(transaction: Transaction, submitted: Submitted) -> Batch:
    """Write a task that is not there; return its first batch."""
    task, epoch = submitted.task, _new_epoch()
    row = transaction.execute(
        "INSERT INTO tasks (id, v, status, attempt, state, epochs, owner, created)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            task.id,
            version_of(task),
            task.status.value,
            task.attempt,
            encode_task(task),
            f"1-{epoch}",
            task.owner,
            task.created_at,
        ),
    ).lastrowid
    assert row is not None  # noqa: S101
    request = encode_request(submitted)
    if request.data:
        values = (row, request.version, request.data)
        transaction.execute("INSERT INTO requests (task, v, request) VALUES (?, ?, ?)", values)
    write_events(transaction, row, 1, encoded(submitted.events))
    return Batch(START, epoch, submitted.events)


class End(NamedTuple):
    """What the row of a task has once the task has ended."""

    expires: int
    cursor: int


def write_change(
    transaction: Transaction, stored: Stored, change: Change, end: End | None
) -> Batch:
    """Write a transition, which opens an epoch; return what it adds to the log."""
    task, epoch = change.task, _new_epoch()
    epochs = f"{stored.epochs} {stored.length + 1}-{epoch}"
    transaction.execute(
        "UPDATE tasks SET v = ?, status = ?, attempt = ?, state = ?, epochs = ?, expires = ?,"
        " ended = ? WHERE task = ?",
        (
            version_of(task),
            task.status.value,
            task.attempt,
            encode_task(task),
            epochs,
            *(end or (None, None)),
            stored.row,
        ),
    )
    write_events(transaction, stored.row, stored.length + 1, encoded(change.events))
    return Batch(stored.end, epoch, change.events)


def write_record(transaction: Transaction, row: int, task: Task) -> None:
    """Write what was noted in a record. Status and attempt must be as they are."""
    transaction.execute("UPDATE tasks SET state = ? WHERE task = ?", (encode_task(task), row))


def discard(transaction: Transaction, task_id: str) -> None:
    """Remove a task if there is one. Its rows are left to be swept."""
    transaction.execute(
        "UPDATE tasks SET id = NULL, expires = 0, ended = NULL WHERE id = ?", (task_id,)
    )


EncodedBatch = tuple[int, bytes]
"""The number of events in a row, and the events."""


def encoded(events: Sequence[Event]) -> list[EncodedBatch]:
    """Return the rows of events that are added in one step."""
    if not events:
        return []
    together = encode_events(events)
    if len(together) <= BATCH_SIZE or len(events) == 1:
        return [(len(events), together)]
    return list(_rows(map(encode_event, events)))


def _rows(events: Iterator[bytes]) -> Iterator[EncodedBatch]:
    row: list[bytes] = []
    size = 0
    for event in events:
        if row and size + len(event) > BATCH_SIZE:
            yield len(row), b",".join(row)
            row, size = [], 0
        row.append(event)
        size += len(event)
    if row:
        yield len(row), b",".join(row)


def write_events(
    transaction: Transaction,
    row: int,
    first: int,
    batches: Sequence[EncodedBatch],
    cursor: int | None = None,
) -> int:
    """Add events to the log, and a cursor with the last one; return the new length of the log."""
    last = first + sum(count for count, _ in batches) - 1
    for count, events in batches:
        end = first + count - 1
        values = (key_of(row, first), count, len(events), events, cursor if end == last else None)
        transaction.insert(BATCHES, values)
        first = end + 1
    return last


def _new_epoch() -> str:
    return secrets.token_hex(8)
