"""TaskLog on Redis.

The domain decides every transition, on the record as it was read; Redis writes it in one step if
the record is still the same, else the decision is made anew. Appends check the attempt's right to
write in the same step that adds and publishes.

Nothing here repeats a command. A caller may repeat an append: one that was carried out already adds
nothing.
"""

from collections.abc import Sequence
from dataclasses import replace

from adapters.event_codec import encode_event
from adapters.record_codec import (
    check_request_version,
    decode_request,
    encode_request,
    encode_task,
    version_of,
)
from adapters.redis.codec import decode_page
from adapters.redis.connection import Connection, Word
from adapters.redis.index_writer import IndexWriter
from adapters.redis.keys import CHECK_KEY, keys_of, owner_keys
from adapters.redis.record import Record, decode_shared_request, shared
from adapters.redis.records import Records
from adapters.redis.script import Script
from adapters.redis.transitions import NO_WRITER, Transitions, milliseconds, new_epoch
from application.errors import LeaseLost, UnknownTask
from application.ports import (
    ORPHAN_TIMEOUT,
    PAGE_SIZE,
    TOMBSTONE_TTL,
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
from domain.events import Event, answer_of
from domain.failure import Failure
from domain.request import TaskRequest
from domain.task import Change, Submitted, Task
from domain.webhook import Note

TEXT_PAGE = 5_000


class RedisTaskLog(TaskLog):
    def __init__(
        self, connection: Connection, ttl: float, orphan_timeout: float = ORPHAN_TIMEOUT
    ) -> None:
        """Keep a log for `ttl` seconds after its last change, at most. A task without a heartbeat
        for `orphan_timeout` seconds counts as orphaned."""
        self._call = connection.call
        self._ttl = milliseconds(ttl)
        self._tombstone_ttl = milliseconds(max(ttl, TOMBSTONE_TTL))
        self._orphan_timeout = milliseconds(orphan_timeout)
        self._records = Records(connection)
        self._index = IndexWriter(connection, self._ttl)
        self._transitions = Transitions(
            connection, self._index, self._ttl, self._orphan_timeout, self._tombstone_ttl
        )
        self._create = Script(connection, "create")
        self._append = Script(connection, "append")
        self._renew = Script(connection, "renew")
        self._note_response = Script(connection, "note_response")
        self._revoke = Script(connection, "revoke")
        self._delete = Script(connection, "delete")
        self._note = Script(connection, "note")
        self._read = Script(connection, "read", long=True)

    async def create(self, submitted: Submitted) -> Task:
        task, keys = submitted.task, keys_of(submitted.task.id)
        request, version = encode_request(submitted), version_of(task)
        await self._index.add(task)
        values: list[Word] = [
            encode_task(task),
            version,
            request.data,
            request.version,
            int(version == 1 and shared(request)),
            task.status.value,
            task.attempt,
            new_epoch(),
            self._ttl,
            self._orphan_timeout,
            keys.channel,
            owner_keys(task.owner).channel,
            task.id,
            task.not_before or 0,
        ]
        events = map(encode_event, submitted.events)
        names = [keys.record, keys.log, keys.heartbeat, keys.tombstone]
        if await self._create(names, [*values, *events]):
            return task
        try:
            existing = await self.get(task.id)
        except UnknownTask:
            await self._index.remove(task)
            raise
        await self._index.put_instead(existing, task)
        return existing

    async def note_message(self, task_id: str, message_id: str) -> None:
        keys = keys_of(task_id)
        if not await self._note([keys.record, keys.heartbeat], [message_id, self._orphan_timeout]):
            raise await self._records.unknown(task_id)

    async def get(self, task_id: str) -> Task:
        return (await self._records.get(task_id)).task

    async def request(self, task_id: str) -> TaskRequest | None:
        record = keys_of(task_id).record
        version, request = await self._call("HMGET", record, "v", "request")
        if version is None:
            raise await self._records.unknown(task_id)
        if request is None:  # lost, or written by an instance of the version before
            return decode_shared_request(task_id, await self._call("HGET", record, "task"))
        return decode_request(task_id, request)

    async def claim(
        self, task_id: str, lease: float, now: int, opening: Openings = anew
    ) -> Attempt | Busy | Ended:
        while True:
            record = await self._records.get(task_id)
            if record.task.status.terminal:
                await self._index.note_end(record.task)  # it may have died before it did
                return Ended(record.task)
            if busy := await self._records.busy(record.task):
                return busy
            check_request_version(task_id, record.request_version)
            change = record.task.claim(now, opening(record.task))
            if begun := await self._transitions.begin(record, change, lease):
                return begun

    async def append(
        self, attempt: Attempt, events: Sequence[Event], lease: float, cursor: int | None = None
    ) -> Attempt:
        keys = keys_of(attempt.task.id)
        times = (milliseconds(lease), self._ttl)
        values: list[Word] = [attempt.fence, attempt.logged, *times, keys.channel]
        if cursor is None or not events:
            values.append("")
        else:  # written here: for Lua it is dearer to make a text of numbers
            values.append(f"{attempt.number} {cursor} {attempt.logged + len(events)}")
        logged = await self._append(
            [keys.record, keys.log, keys.lease], [*values, *map(encode_event, events)]
        )
        if not logged:
            raise LeaseLost
        return Attempt(attempt.task, logged, attempt.request, cursor, attempt.fence)

    async def note_response(self, attempt: Attempt, response_id: str) -> Attempt:
        keys, task = keys_of(attempt.task.id), attempt.task
        values: list[Word] = [attempt.fence, attempt.logged, f"{attempt.number} {response_id}"]
        if not await self._note_response([keys.record, keys.log, keys.lease], values):
            raise LeaseLost
        if task.continuation is None:
            return attempt
        noted = replace(task, continuation=task.continuation.noted(response_id))
        return replace(attempt, task=noted)

    async def restart(self, attempt: Attempt, change: Change, lease: float) -> Attempt:
        expected = Record(attempt.task)
        begun = await self._transitions.begin(expected, change, lease, held_by=attempt)
        if begun is None:
            raise LeaseLost
        return begun

    async def renew(self, attempt: Attempt, lease: float) -> None:
        keys = keys_of(attempt.task.id)
        times = (milliseconds(lease), self._ttl, self._orphan_timeout)
        values: list[Word] = [attempt.fence, *times, attempt.logged]
        renewed = await self._renew([keys.record, keys.log, keys.lease, keys.heartbeat], values)
        if not renewed:
            raise LeaseLost
        if renewed > 1:
            await self._index.touch(attempt.task)

    async def commit(self, attempt: Attempt, change: Change) -> None:
        record = Record(attempt.task)
        if not await self._transitions.write(
            record, change, writer=attempt.fence, logged=attempt.logged
        ):
            raise LeaseLost

    async def cancel(self, task_id: str, now: int) -> Task:
        while True:
            record = await self._records.get(task_id)
            task = record.task
            # Raises IllegalTransition before anything is written. Reading the events first does the
            # same for an unreadable log.
            task.cancel(now, Answer())
            events = await self._events(task_id, [])
            revoked = await self._revoke(
                [keys_of(task_id).record], [task.status.value, task.attempt]
            )
            # From here on the record has no writer, so no attempt can append and the text stays as
            # it is. If this process dies now, the attempt's lease lapses, as that of any lost one.
            if revoked:
                events = await self._events(task_id, events)
                change = task.cancel(now, answer_of(events))
                if await self._transitions.write(
                    record, change, writer=NO_WRITER, logged=len(events)
                ):
                    return change.task

    async def fail(self, task_id: str, failure: Failure, now: int) -> Task | Busy:
        while True:
            record = await self._records.get(task_id)
            task = record.task
            change = task.fail(now, failure)
            if busy := await self._records.busy(task):
                return busy
            if await self._transitions.write(record, change, [keys_of(task_id).lease]):
                return change.task

    async def fail_unqueued(self, task_id: str, failure: Failure, now: int) -> Task | None:
        while True:
            record = await self._records.get(task_id)
            if not record.task.unqueued:
                return None
            change = record.task.fail(now, failure)
            if await self._transitions.write(record, change, without_message=True):
                return change.task

    async def fail_orphaned(
        self, task_id: str, failure: Failure, now: int
    ) -> Orphaned | NotOrphaned:
        record, keys = await self._records.get(task_id), keys_of(task_id)
        task = record.task
        if task.status.terminal:
            return NotOrphaned(task)
        change = task.fail(now, failure)
        # Not repeated as in `fail`: if another process has changed the record, the task is not
        # orphaned.
        if await self._transitions.write(record, change, [keys.lease, keys.heartbeat]):
            return Orphaned(change.task)
        return NotOrphaned(await self.get(task_id))

    async def note_webhook(self, task_id: str, number: int, note: Note) -> None:
        await self._records.amend(task_id, lambda task: task.with_note(number, note))

    async def note_released(self, task_id: str) -> None:
        def released(task: Task) -> Task:
            continuation = task.continuation
            return replace(task, continuation=continuation and continuation.told())

        await self._records.amend(task_id, released)

    async def delete(self, task_id: str) -> None:
        keys, task = keys_of(task_id), await self.get(task_id)
        names = [keys.record, keys.log, keys.lease, keys.heartbeat, keys.tombstone]
        channel = owner_keys(task.owner).channel
        if not await self._delete(names, [self._tombstone_ttl, channel, task_id]):
            raise await self._records.unknown(task_id)
        await self._index.remove(task)

    async def read(self, task_id: str, after: int, limit: int) -> Page:
        keys = keys_of(task_id)
        page = await self._read([keys.record, keys.log], [after, after + limit - 1, PAGE_SIZE])
        if page is None:
            raise await self._records.unknown(task_id)
        version, epochs, length, events = page
        return decode_page(version, epochs, after, length, events)

    async def check(self) -> None:
        # A write, since a replica and a server whose memory is full accept all other commands.
        await self._call("SET", CHECK_KEY, "", "EX", 10)

    async def _events(self, task_id: str, known: list[Event]) -> list[Event]:
        """Return all events of a log, of which the first ones are known."""
        events = [*known]
        while True:
            page = await self.read(task_id, len(events), TEXT_PAGE)
            events.extend(page.events)
            if len(events) >= page.length:
                return events
