"""Writes what the domain has decided on a record, in one step, if the record is still as it was
read (commit.lua)."""

import secrets
from collections.abc import Sequence

from adapters.event_codec import encode_event
from adapters.record_codec import READING, decode_request, encode_task, version_of
from adapters.redis.connection import Connection, Word
from adapters.redis.index_writer import IndexWriter
from adapters.redis.keys import keys_of, owner_keys
from adapters.redis.record import Record, with_notes
from adapters.redis.script import Script
from application.errors import UnreadableTask
from domain.attempt import Attempt
from domain.events import TaskStatus
from domain.task import Change

NO_WRITER = "0"
"""Stands in a record that no attempt may write to."""
_ANY_WRITER = "*"


class Transitions:
    """Every method may raise StoreUnavailable."""

    def __init__(
        self,
        connection: Connection,
        index: IndexWriter,
        ttl: int,
        orphan_timeout: int,
        tombstone_ttl: int,
    ) -> None:
        """All times are in ms."""
        self._index = index
        self._ttl = ttl
        self._orphan_timeout = orphan_timeout
        self._tombstone_ttl = tombstone_ttl
        self._commit = Script(connection, "commit")
        self._begin = Script(connection, "commit", long=True)  # it responds with the request

    async def write(
        self,
        expected: Record,
        change: Change,
        absent_keys: Sequence[str] = (),
        *,
        writer: str | None = None,
        logged: int = 0,
        without_message: bool = False,
    ) -> bool:
        """Write the change. Or write nothing and return False if the record's status or attempt is
        not `expected`'s, its writer is not `writer` (None: any), the log has fewer than `logged`
        events, it has a message id and must be `without_message`, or a key of `absent_keys`
        exists."""
        epoch = new_epoch()
        keys, words = self._words(expected, change, writer, logged, without_message, 0.0, epoch)
        length, index_due = await self._commit([*keys, *absent_keys], words)
        if length:
            await self._tell_index(change, index_due)
        return bool(length)

    async def begin(
        self, expected: Record, change: Change, lease: float, *, held_by: Attempt | None = None
    ) -> Attempt | None:
        """Write a change that begins an attempt, and lease the task to it for so many seconds;
        return the attempt. Or write nothing and return None if the record's status or attempt is
        not `expected`'s, or the task is held by an attempt that is not `held_by`. Raises
        UnreadableTask."""
        task_id = change.task.id
        if held_by is None:
            writer, logged, absent_keys = None, 0, [keys_of(task_id).lease]
        else:
            writer, logged, absent_keys = held_by.fence, held_by.logged, []
        fence = new_epoch()
        keys, words = self._words(expected, change, writer, logged, False, lease, fence)
        length, index_due, *found = await self._begin([*keys, *absent_keys], words)
        if not length:
            return None
        await self._tell_index(change, index_due)
        request, response, cursor = found
        try:
            task = with_notes(change.task, response, cursor)
        except READING as error:
            raise UnreadableTask(task_id, str(error)) from error
        return Attempt(task, length, decode_request(task_id, request), fence=fence)

    def _words(
        self,
        expected: Record,
        change: Change,
        writer: str | None,
        logged: int,
        without_message: bool,
        lease: float,
        epoch: str,
    ) -> tuple[list[str], list[Word]]:
        """Return the keys and arguments of commit.lua. `epoch`: the new one, by which an attempt
        that begins is known to every script."""
        keys, task = keys_of(expected.task.id), change.task
        runs, ended = task.status is TaskStatus.RUNNING, task.status.terminal
        own_ttl = None if task.ttl is None or not ended else milliseconds(task.ttl)
        preconditions: list[Word] = [
            expected.task.status.value,
            expected.task.attempt,
            _ANY_WRITER if writer is None else writer,
            logged,
            int(without_message),
        ]
        state: list[Word] = [
            encode_task(task),
            version_of(task),
            expected.older_request,
            task.status.value,
            task.attempt,
            epoch if runs else NO_WRITER,
            milliseconds(lease),
            self._ttl if own_ttl is None else min(own_ttl, self._ttl),
            0 if ended else self._orphan_timeout,
            self._tombstone_ttl if ended and task.leaves_tombstone else 0,
            keys.channel,
            epoch,
            owner_keys(task.owner).channel,
            task.id,
        ]
        names = [keys.record, keys.log, keys.lease, keys.heartbeat, keys.tombstone]
        return names, [*preconditions, *state, *map(encode_event, change.events)]

    async def _tell_index(self, change: Change, index_due: int) -> None:
        if change.task.status.terminal:
            await self._index.note_end(change.task)
        elif index_due:
            await self._index.touch(change.task)


def new_epoch() -> str:
    return secrets.token_hex(8)


def milliseconds(seconds: float) -> int:
    return 0 if seconds <= 0 else max(1, round(seconds * 1000))
