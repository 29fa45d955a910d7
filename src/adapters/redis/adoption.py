"""Takes over from another store what a service that goes on with Redis needs: ended tasks, with
their logs, positions and cursors as they are, tombstones, and idempotency keys.

What is there already is left as it is, so that a move which was interrupted can be repeated. Only a
task that has not ended and is held by no attempt is replaced: a message that was left in the queue
has made it again. A task appears in one step. The first events of a log that is too long for one
command wait in a list of their own until then.
"""

import contextlib
from collections.abc import AsyncIterable, Sequence
from enum import Enum

from adapters.handover import BoundKey, EndedTask, Tombstone
from adapters.record_codec import decode_task
from adapters.redis.connection import Connection, Word
from adapters.redis.index_writer import IndexWriter
from adapters.redis.keys import TaskKeys, hashed_idempotency_key, keys_of, owner_keys
from adapters.redis.records import Records
from adapters.redis.script import Script
from adapters.redis.usage import RedisUsageLedger
from application.errors import StoreUnavailable, UnknownTask
from application.ports import Addition, Row
from domain.events import TaskStatus
from domain.task import Task

COMMAND_BYTES = 256 * 1024
COMMAND_EVENTS = 1_000
"""Bytes and events of a log after which a command ends."""
STAGED_TTL = 3_600_000
"""Milliseconds for which events wait for the rest of their task."""


_UNFINISHED = [each.encode() for each in TaskStatus if not each.terminal]


class Adopted(Enum):
    """What became of a task."""

    WRITTEN = 1
    THERE = 0
    """One has ended in Redis, or was deleted there. It was left as it is."""
    RUNNING = 2
    """An attempt holds one in Redis. It was left as it is."""


class Adoption:
    """Every method may raise StoreUnavailable."""

    def __init__(self, connection: Connection) -> None:
        self._call = connection.call
        self._adopt = Script(connection, "adopt", long=True)
        self._records = Records(connection)
        self._index = IndexWriter(connection)
        self._ledger = RedisUsageLedger(connection)

    async def task(self, task: EndedTask, log: AsyncIterable[Sequence[bytes]]) -> Adopted:
        """Write a task, and put it into its owner's index. `log`: all its events, as every store
        keeps them (adapters.event_codec). Raises UnreadableTask, and what `log` raises."""
        record = decode_task(task.id, task.version, task.record, task.message_id)
        adopted = await self._task(task, record, log)
        if adopted is Adopted.WRITTEN:
            await self._index.end(record, _milliseconds(task.ttl), task.cursor)
        if adopted is Adopted.THERE:
            await self._note_end(task)
        return adopted

    async def _note_end(self, task: EndedTask) -> None:
        """Note the end of a task that Redis had already. A move that was interrupted right then may
        have written it."""
        with contextlib.suppress(UnknownTask):
            there = (await self._records.get(task.id)).task
            await self._index.end(there, _milliseconds(task.ttl))

    async def _task(
        self, task: EndedTask, record: Task, log: AsyncIterable[Sequence[bytes]]
    ) -> Adopted:
        keys = keys_of(task.id)
        staging = f"{keys.log}:adopted"
        staged, events, size = 0, list[Word](), 0
        async for part in log:
            for event in part:
                if events and (size + len(event) > COMMAND_BYTES or len(events) == COMMAND_EVENTS):
                    if not staged:
                        if await self._is_there(keys):
                            return Adopted.THERE
                        await self._call("DEL", staging)
                    await self._call("RPUSH", staging, *events)
                    await self._call("PEXPIRE", staging, STAGED_TTL)
                    staged += len(events)
                    events, size = [], 0
                events.append(event)
                size += len(event)
        channels: list[Word] = [keys.channel, owner_keys(record.owner).channel]
        return await self._write(task, keys, staging, staged, [*channels, task.id, *events])

    async def tombstone(self, tombstone: Tombstone) -> bool:
        """Note that a task is gone. Return whether that was not known."""
        why = "expired" if tombstone.expired else "deleted"
        return await self._set(keys_of(tombstone.task_id).tombstone, why, tombstone.ttl)

    async def key(self, bound: BoundKey) -> bool:
        """Bind an idempotency key. Return False, and change nothing, if it is bound."""
        value = f"{bound.fingerprint} {bound.task_id} {bound.since}"
        return await self._set(hashed_idempotency_key(bound.digest), value, bound.ttl)

    async def usage(self, rows: Sequence[Row]) -> bool:
        """Add what an owner has used in a day. Return False, and change nothing, if Redis has
        anything of that."""
        account, day = rows[0].account, rows[0].day
        if await self._ledger.rows([account], day, day):
            return False
        await self._ledger.add(
            [Addition(account, day, row.model, row.tokens, row.tasks) for row in rows]
        )
        return True

    async def _set(self, name: str, value: str, ttl: float) -> bool:
        return bool(await self._call("SET", name, value, "NX", "PX", _milliseconds(ttl)))

    async def _is_there(self, keys: TaskKeys) -> bool:
        if await self._call("EXISTS", keys.tombstone):
            return True
        return await self._call("HGET", keys.record, "status") not in (None, *_UNFINISHED)

    async def _write(
        self, task: EndedTask, keys: TaskKeys, staging: str, staged: int, rest: Sequence[Word]
    ) -> Adopted:
        values: list[Word] = [
            task.version,
            task.record,
            task.request or b"",
            task.request_version or 0,
            task.status,
            task.attempt,
            " ".join(f"{first}-{epoch}" for first, epoch in task.epochs),
            task.epochs[-1][1],
            task.message_id or "",
            _milliseconds(task.ttl),
            0 if task.tombstone_ttl is None else _milliseconds(task.tombstone_ttl),
            staged,
        ]
        names = [keys.record, keys.log, keys.tombstone, staging, keys.lease, keys.heartbeat]
        written = await self._adopt(names, [*values, *rest])
        if written < 0:
            raise StoreUnavailable("Redis has lost events that it was just sent")
        return Adopted(written)


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
