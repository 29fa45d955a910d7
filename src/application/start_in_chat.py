"""Start a task in a chat: the chat points to its newest task, and only that one runs.

The newest task is remembered as the binding of a key (chats), whose fingerprint says by which turn
it was started. The same turn, sent again, joins that task

- while it has not ended;
- for JOINED_AFTER seconds after it has completed, unless it asks for another answer (REGENERATE):
  later, an equal request is a new one, such as a message that was edited back;
- whenever it has completed, if the client has named the turn by an idempotency key.

Everything else is a new task. If the newest task has not ended, it is cancelled, or the start is
refused (`Turn.reject`). It is cancelled before the chat points to the new task, so no crash leaves
two tasks that run side by side. A start that finds no record of the newest task waits for the start
that is to create it. After some seconds (chats.UNRECORDED) that start has died or is frozen, and
this one takes over; if the other one goes on after all, it fails its own task (bound_start).
"""

import asyncio
import hashlib
import time
from contextlib import suppress
from dataclasses import dataclass

import structlog

from application.accounts import Caller
from application.bound_start import BoundStart, Superseded
from application.chats import chat_key, newest_task
from application.errors import (
    ChatBusy,
    IdempotencyConflict,
    QueueRefused,
    StartUncertain,
    UnknownTask,
)
from application.manage_task import CancelTask, GetTask
from application.new_tasks import NewTasks, Started, needs_publishing
from application.ports import Binding, Clock, IdempotencyKeys, TaskIds, TaskLog
from application.shared_key import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    KeyInUse,
    KeyLost,
    until_started,
)
from domain.errors import IllegalTransition
from domain.events import TaskStatus
from domain.request import TaskRequest
from domain.task import Task

log = structlog.get_logger(__name__)

SUBMIT, REGENERATE = "submit-message", "regenerate-message"
"""The triggers of the AI SDK."""
JOINED_AFTER = 10.0
"""Seconds after its completion within which the same turn joins a task."""
OUTLIVES = 7 * 86_400
"""Seconds for which a chat points to its task beyond the time for which tasks are kept: that time
begins when the task ends, the other when it starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What a chat asks for, beside the request itself."""

    chat_id: str
    trigger: str
    """SUBMIT or REGENERATE."""
    key: str | None = None
    """The client's idempotency key."""
    reject: bool = False
    """Whether the start is refused while the chat's newest task has not ended. Otherwise that task
    is cancelled."""


class StartInChat:
    def __init__(
        self,
        tasks: TaskLog,
        keys: IdempotencyKeys,
        clock: Clock,
        ids: TaskIds,
        new_tasks: NewTasks,
        get_task: GetTask,
        cancel_task: CancelTask,
        *,
        wait: float,
        kept: float,
    ) -> None:
        """`wait`: seconds for which a start waits for another one in the same chat. `kept`: seconds
        for which the service keeps tasks."""
        self._keys = keys
        self._clock = clock
        self._ids = ids
        self._new = new_tasks
        self._get_task = get_task
        self._cancel_task = cancel_task
        self._wait = wait
        self._ttl = kept + OUTLIVES
        self._bound_start = BoundStart(tasks, keys, clock, new_tasks, self._ttl)

    async def __call__(self, request: TaskRequest, caller: Caller, turn: Turn) -> Started:
        """Start the task of this turn, or join it if it was started already. If another turn takes
        the chat over meanwhile, the task that is returned has been cancelled, or has failed as
        superseded. Raises UnknownTask if that one was deleted, and what StartTask does."""
        fingerprint = _fingerprint(request, turn)
        return await until_started(
            lambda: self._try_start(request, caller, turn, fingerprint), self._wait
        )

    async def complete(self, task: Task, chat_id: str) -> None:
        """Publish the newest task of a chat if its start died before it did so: a page that was
        reloaded does not send the turn again. Waits for a start that is still under way. Raises
        StoreUnavailable."""
        key, pause = chat_key(chat_id, task.owner), FIRST_PAUSE
        until = time.monotonic() + self._wait
        with suppress(UnknownTask, StartUncertain, QueueRefused):  # the reader is told, or waits
            while needs_publishing(task) and task.attempt == 0:
                if time.monotonic() + pause > until:
                    binding = await self._keys.find(key)
                    if binding is not None and binding.task_id == task.id:
                        log.warning("start of a chat completed for a reader", task_id=task.id)
                        await self._bound_start.complete(task, key, binding)
                    return
                await asyncio.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)
                task = await self._get_task.record(task.id, task.owner)

    async def _try_start(
        self, request: TaskRequest, caller: Caller, turn: Turn, fingerprint: str
    ) -> Started | KeyInUse | KeyLost:
        key = chat_key(turn.chat_id, caller.owner)
        task_id = self._ids.next(self._clock.now())
        binding = await self._keys.bind(key, fingerprint, task_id, ttl=self._ttl)
        former: Binding | None = None
        if binding.task_id != task_id:
            newest = await newest_task(binding, caller.owner, self._get_task)
            if isinstance(newest, KeyInUse):
                return newest
            if isinstance(newest, Task):
                if _same_turn(binding, fingerprint) and self._is_joined(newest, turn):
                    if binding.fingerprint != fingerprint:
                        raise IdempotencyConflict
                    joined = await self._bound_start.resume(newest, request, caller, key, binding)
                    return await self._outcome(joined, caller, fingerprint)
                if not newest.status.terminal:
                    await self._end(newest, turn)
                former = binding
            before = binding.task_id
            binding = await self._keys.bind(key, fingerprint, task_id, binding, self._ttl)
            if binding.task_id != task_id:
                return KeyLost()
            if former is None:
                await self._new.release(caller, before)
        started = await self._bound_start.start(request, caller, key, binding, former)
        return await self._outcome(started, caller, fingerprint)

    def _is_joined(self, task: Task, turn: Turn) -> bool:
        """Whether the turn that has started a task joins it when it is sent again."""
        if task.status is not TaskStatus.COMPLETED:
            return not task.status.terminal
        if turn.key is not None:
            return True
        ended = self._clock.now() - (task.finished_at or 0)
        return turn.trigger != REGENERATE and ended < JOINED_AFTER * 1000

    async def _end(self, task: Task, turn: Turn) -> None:
        """Cancel the task of another turn. Raises ChatBusy."""
        if turn.reject:
            raise ChatBusy
        log.info("another turn of the chat begins", task_id=task.id)
        with suppress(IllegalTransition, UnknownTask):
            await self._cancel_task(task.id, task.owner)

    async def _outcome(
        self, outcome: Started | Superseded | KeyLost, caller: Caller, fingerprint: str
    ) -> Started | KeyLost:
        """Return the task of a start, also if another turn has ended it: a start that tried again
        would end that turn's task in return."""
        if not isinstance(outcome, Superseded):
            return outcome
        if _same_turn(outcome.by, fingerprint):
            return KeyLost()
        task = await self._get_task.record(outcome.task_id, caller.owner)
        return Started(task, outcome.limit_statuses, outcome.joined)


def _fingerprint(request: TaskRequest, turn: Turn) -> str:
    """Return two hashes: one names the turn within its chat, the other is of what it asks for.
    Without an idempotency key both are the same."""
    asked = _hash(turn.trigger, request.digest())
    return f"{asked if turn.key is None else _hash('key', turn.key)}.{asked}"


def _same_turn(binding: Binding, fingerprint: str) -> bool:
    return binding.fingerprint.partition(".")[0] == fingerprint.partition(".")[0]


def _hash(kind: str, text: str) -> str:
    return hashlib.sha256(f"{kind}\n{text}".encode()).hexdigest()
