"""TaskLog on Redis.

The domain decides every transition, on the record as it was read; Redis writes it in one step if
the record is still the same, else the decision is made anew. Appends check the attempt's right to
write in the same step that adds and publishes.

No command is sent a second time by the client: an append whose answer was lost may have been
carried out, and twice the same text would be worse than a lost attempt.
"""

import contextlib
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from adapters.redis.layout import (
    decode_event,
    decode_task,
    encode_event,
    encode_task,
    idempotency_key,
    keys_of,
    load_script,
)
from application.ports import (
    IDEMPOTENCY_TTL,
    Busy,
    LeaseLost,
    Page,
    Settled,
    StoreUnavailable,
    UnknownTask,
)
from domain.events import Event, TaskStatus, fold
from domain.task import Attempt, Change, Failure, Task

TEXT_PAGE = 5_000


class RedisTaskLog:
    def __init__(self, client: Redis, ttl: float) -> None:
        """Logs live for `ttl` seconds after their last change. The client must not retry."""
        self._client = client
        self._ttl = _milliseconds(ttl)
        self._create = load_script(client, "create")
        self._append = load_script(client, "append")
        self._commit = load_script(client, "commit")
        self._revoke = load_script(client, "revoke")
        self._read = load_script(client, "read")

    async def create(self, submitted: Change) -> Task:
        task, keys = submitted.task, keys_of(submitted.task.id)
        epoch = secrets.token_hex(8)
        values: list[Any] = [encode_task(task), task.status.value, task.attempt, epoch]
        events = map(encode_event, submitted.events)
        async with _translated():
            written = await self._create(
                keys=[keys.record, keys.log], args=[*values, self._ttl, keys.channel, *events]
            )
        return task if written else await self.get(task.id)

    async def reserve(self, key: str, fingerprint: str, task_id: str) -> tuple[str, str]:
        name, bound = idempotency_key(key), f"{fingerprint} {task_id}"
        async with _translated():
            before: Any = await self._client.set(name, bound, nx=True, get=True, ex=IDEMPOTENCY_TTL)
        found, _, found_id = (bound if before is None else before.decode()).partition(" ")
        return found, found_id

    async def release(self, key: str) -> None:
        async with _translated():
            await self._client.delete(idempotency_key(key))

    async def note_message(self, task_id: str, message_id: str) -> Task:
        task = await self.get(task_id)
        async with _translated():
            await self._client.hset(keys_of(task_id).record, "message", message_id)
        return replace(task, message_id=message_id)

    async def get(self, task_id: str) -> Task:
        async with _translated():
            fields: Any = await self._client.hmget(keys_of(task_id).record, "task", "message")
        task, message = fields
        if task is None:
            raise UnknownTask(task_id)
        record = decode_task(task)
        return record if message is None else replace(record, message_id=message.decode())

    async def claim(self, task_id: str, lease: float, now: int) -> Attempt | Busy | Settled:
        while True:
            task = await self.get(task_id)
            if task.status.terminal:
                return Settled(task)
            if busy := await self._busy(task):
                return busy
            change = task.take(now)
            if await self._write(task, change, free=True, lease=lease):
                return Attempt(change.task)

    async def append(self, attempt: Attempt, events: Sequence[Event], lease: float) -> None:
        keys = keys_of(attempt.task.id)
        values: list[Any] = [attempt.number, _milliseconds(lease), self._ttl, keys.channel]
        async with _translated():
            written = await self._append(
                keys=[keys.record, keys.log, keys.lease], args=[*values, *map(encode_event, events)]
            )
        if not written:
            raise LeaseLost

    async def renew(self, attempt: Attempt, lease: float) -> None:
        await self.append(attempt, (), lease)

    async def settle(self, attempt: Attempt, change: Change) -> None:
        if not await self._write(attempt.task, change, writer=attempt.number):
            raise LeaseLost

    async def cancel(self, task_id: str, now: int) -> Task:
        while True:
            task = await self.get(task_id)
            task.cancel(now, "")  # refused before anything is touched
            keys = keys_of(task_id)
            async with _translated():
                revoked = await self._revoke(
                    keys=[keys.record], args=[task.status.value, task.attempt]
                )
            # The text stands still from here on. Should this process die now, the attempt's lease
            # lapses like that of any other that was lost.
            if revoked:
                change = task.cancel(now, fold(await self._events(task_id)).text)
                if await self._write(task, change, writer=0):
                    return change.task

    async def fail(self, task_id: str, failure: Failure, now: int) -> Task | Busy:
        while True:
            task = await self.get(task_id)
            change = task.fail(now, failure)
            if busy := await self._busy(task):
                return busy
            if await self._write(task, change, free=True):
                return change.task

    async def read(self, task_id: str, after: int, limit: int) -> Page:
        keys = keys_of(task_id)
        async with _translated():
            page = await self._read(keys=[keys.record, keys.log], args=[after, after + limit - 1])
        if page is None:
            raise UnknownTask(task_id)
        epoch, length, events = page
        return Page(epoch.decode(), length, after + 1, tuple(map(decode_event, events)))

    async def check(self) -> None:
        async with _translated():
            await self._client.ping()

    async def _events(self, task_id: str) -> list[Event]:
        events: list[Event] = []
        while True:
            page = await self.read(task_id, len(events), TEXT_PAGE)
            events.extend(page.events)
            if len(events) >= page.length:
                return events

    async def _busy(self, task: Task) -> Busy | None:
        if task.status is not TaskStatus.RUNNING:
            return None
        async with _translated():
            left = await self._client.pttl(keys_of(task.id).lease)
        return Busy(left / 1000) if left > 0 else None

    async def _write(
        self,
        expected: Task,
        change: Change,
        *,
        writer: int | None = None,
        free: bool = False,
        lease: float = 0.0,
    ) -> bool:
        """Whether the change was written: the record was still the expected one, its writer that
        one (if given), and no live lease in the way (if it must be `free`)."""
        keys, task = keys_of(expected.id), change.task
        runs = task.status is TaskStatus.RUNNING
        preconditions: list[Any] = [
            expected.status.value,
            expected.attempt,
            "" if writer is None else writer,
            int(free),
        ]
        state: list[Any] = [
            encode_task(task),
            task.status.value,
            task.attempt,
            task.attempt if runs else 0,
            _milliseconds(lease),
            self._ttl,
            keys.channel,
        ]
        async with _translated():
            written = await self._commit(
                keys=[keys.record, keys.log, keys.lease],
                args=[*preconditions, *state, *map(encode_event, change.events)],
            )
        return bool(written)


def _milliseconds(seconds: float) -> int:
    return 0 if seconds <= 0 else max(1, round(seconds * 1000))


@contextlib.asynccontextmanager
async def _translated() -> AsyncIterator[Any]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error
