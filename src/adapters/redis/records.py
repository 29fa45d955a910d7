"""Reads records from Redis: one, which must be there, or many, as far as they are."""

from collections.abc import Callable, Sequence

import structlog

from adapters.record_codec import encode_task
from adapters.redis.connection import Connection, Word
from adapters.redis.keys import keys_of
from adapters.redis.record import FIELDS, Record, decode_record, decode_shared
from adapters.redis.script import Script
from application.errors import DeletedTask, ExpiredTask, UnknownTask, UnreadableTask
from application.ports import Busy
from domain.events import TaskStatus
from domain.task import Task

log = structlog.get_logger(__name__)


class Records:
    """Every method may raise StoreUnavailable."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._call = connection.call
        self._amend = Script(connection, "amend")

    async def get(self, task_id: str) -> Record:
        """Return a record. Raises UnknownTask and Unreadable."""
        fields = await self._call("HMGET", keys_of(task_id).record, *FIELDS)
        if fields[0] is None:
            raise await self.unknown(task_id)
        return decode_record(task_id, fields) or await self._shared(task_id)

    async def unknown(self, task_id: str) -> UnknownTask:
        """Return what to raise for a task without a record."""
        tombstone = await self._call("GET", keys_of(task_id).tombstone)
        if tombstone is None:
            return UnknownTask(task_id)
        return (ExpiredTask if tombstone == b"expired" else DeletedTask)(task_id)

    async def busy(self, task: Task) -> Busy | None:
        """Return how long the attempt of a running task still has the lease, if it has."""
        if task.status is not TaskStatus.RUNNING:
            return None
        left = await self._call("PTTL", keys_of(task.id).lease)
        return Busy(left / 1000) if left > 0 else None

    async def all_of(self, task_ids: Sequence[str]) -> list[Task]:
        """Return the records of these tasks, in this order, without those that are gone or that
        another version of this service wrote."""
        commands: list[Sequence[Word]] = [
            ("HMGET", keys_of(task_id).record, *FIELDS) for task_id in task_ids
        ]
        tasks, unreadable = list[Task](), list[str]()
        for task_id, fields in zip(
            task_ids, await self._connection.pipeline(commands), strict=True
        ):
            if fields[0] is None:
                continue
            try:
                record = decode_record(task_id, fields) or await self._shared(task_id)
                tasks.append(record.task)
            except UnknownTask:
                continue
            except UnreadableTask:
                unreadable.append(task_id)
        if unreadable:
            log.error("tasks left out: unreadable", number=len(unreadable), task_id=unreadable[0])
        return tasks

    async def amend(self, task_id: str, amended: Callable[[Task], Task]) -> None:
        """Rewrite the record of a task, if it has ended. Raises UnknownTask and Unreadable."""
        key = keys_of(task_id).record
        while True:
            fields = await self._call("HMGET", key, *FIELDS)
            if fields[0] is None:
                raise await self.unknown(task_id)
            record = decode_record(task_id, fields)
            # What an instance of the version before has written since has nothing to amend.
            if record is None or not record.task.status.terminal:
                return
            state = encode_task(amended(record.task))
            if await self._amend([key], [fields[FIELDS.index("state")], state]):
                return

    async def _shared(self, task_id: str) -> Record:
        task, message = await self._call("HMGET", keys_of(task_id).record, "task", "message")
        if task is None:
            raise await self.unknown(task_id)
        return decode_shared(task_id, task, message)
