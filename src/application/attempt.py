"""One attempt: the model's answer goes into the log, while the attempt is kept and watched.

Five things go on side by side in a TaskGroup: writing what the model says, renewing the lease,
watching for an end by another process, watching for the order to stop, and watching the time that
the model takes. The first that fails ends the attempt; the group cancels the others, the model's
connection with them.

The model is read and the log written by turns: idle, each piece is an event at once; busy, what the
model said since it was last asked becomes one event. No timer is involved.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import NoReturn, TypeVar

import structlog

from application.errors import (
    FeedClosed,
    LeaseLost,
    ModelRefused,
    ModelUnavailable,
    ShuttingDown,
    StoreUnavailable,
)
from application.ports import Clock, Finished, LanguageModel, TaskLog
from application.task_watch import TaskWatch
from domain.events import ContentAdded, Usage
from domain.task import Attempt

log = structlog.get_logger(__name__)

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two calls of a store that is away."""
EVENT_LIMIT = 32 * 1024
"""Characters of one content event: what comes in larger pieces becomes several."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The whole answer of a model, once all its text is in the log, and the attempt as it stands
    then."""

    attempt: Attempt
    text: str
    finished: Finished


@dataclass(frozen=True, slots=True)
class AttemptBounds:
    lease: float
    """Seconds."""
    read_timeout: float
    """Seconds of waiting for the model without a piece (text, reasoning, tool call) after which
    the attempt is lost."""
    attempt_timeout: float
    """Seconds after which an attempt fails the task for good."""
    max_output_chars: int
    """Characters of an answer."""
    grace: float
    """Seconds that the attempt may go on after the order to stop."""


@dataclass(slots=True)
class Cost:
    """What an attempt has used of a model: nothing until the request goes to it, then what was
    sent and what was said."""

    characters: int
    usage: Usage | None = None
    incurred: bool = False


class RunningAttempt:
    def __init__(
        self,
        attempt: Attempt,
        tasks: TaskLog,
        model: LanguageModel,
        clock: Clock,
        bounds: AttemptBounds,
    ) -> None:
        conversation = attempt.task.request.conversation()
        self.cost = Cost(sum(len(each.content) for each in conversation))
        self._attempt = attempt
        self._tasks = tasks
        self._model = model
        self._clock = clock
        self._bounds = bounds
        self._room = bounds.max_output_chars
        self._waiting_since: float | None = None
        """The monotonic moment since which the model is waited for; None while the store is."""

    async def run(self, watch: TaskWatch, stopping: asyncio.Event) -> Answer:
        """Return the answer. Raises what ended the attempt early: LeaseLost, ModelUnavailable,
        ModelRefused, StoreUnavailable, or ShuttingDown a grace period after `stopping` was set."""
        try:
            async with asyncio.TaskGroup() as group:
                watchers = [
                    group.create_task(self._renew()),
                    group.create_task(self._watch_log(watch)),
                    group.create_task(self._watch_model()),
                    group.create_task(self._watch_stop(stopping)),
                ]
                answer = await self._write(self._attempt)
                for watcher in watchers:
                    watcher.cancel()
        except ExceptionGroup as failures:
            raise _cause(failures) from None
        return answer

    async def _write(self, attempt: Attempt) -> Answer:
        """From the model into the log, step by step: what the model says during a step waits in
        its connection, which bounds it, and is the next one."""
        written: list[str] = []
        finished: Finished | None = None
        works = False
        self.cost.incurred = True
        self._waiting_since = time.monotonic()
        try:
            async with aclosing(self._model.stream(attempt.task.request)) as stream:
                async for item in stream:
                    works = True
                    if isinstance(item, Finished):
                        finished = item
                        self.cost.usage = item.usage
                        continue
                    if item:
                        self._count(item)
                        self._waiting_since = None
                        attempt = await self._add(attempt, item)
                        written.append(item)
                    self._waiting_since = time.monotonic()
        except (ModelUnavailable, ModelRefused) as fault:
            self.cost.incurred = works or not fault.unbilled
            raise
        if finished is None:
            raise ModelUnavailable("incomplete", "The model's answer broke off.")
        return Answer(attempt, "".join(written), finished)

    def _count(self, text: str) -> None:
        self.cost.characters += len(text)
        self._room -= len(text)
        if self._room < 0:
            message = f"The answer is longer than {self._bounds.max_output_chars} characters."
            raise ModelRefused("answer_too_long", message)

    async def _add(self, attempt: Attempt, text: str) -> Attempt:
        now, lease = self._clock.now(), self._bounds.lease
        events = [
            ContentAdded(now, text[begin : begin + EVENT_LIMIT])
            for begin in range(0, len(text), EVENT_LIMIT)
        ]
        return await retry_while_leased(partial(self._tasks.append, attempt, events, lease), lease)

    async def _renew(self) -> NoReturn:
        while True:
            await asyncio.sleep(self._bounds.lease / 3)
            await self._hold()

    async def _hold(self) -> None:
        lease = self._bounds.lease
        await retry_while_leased(lambda: self._tasks.renew(self._attempt, lease), lease)

    async def _watch_log(self, watch: TaskWatch) -> NoReturn:
        """Raise as soon as the feed tells that the task ended. This attempt did not end it, since
        it stops watching before it does."""
        try:
            while True:
                await watch.change()
                if watch.ended:
                    raise LeaseLost
                if watch.missed_events:
                    watch.missed_events = False
                    await self._hold()  # refused if the end was among them
        except FeedClosed:
            # We are stopping. In the time that is left, only a refusal will tell.
            await asyncio.Event().wait()
            raise

    async def _watch_model(self) -> NoReturn:
        """Raise once the model has taken too long. Nothing is set per piece but a moment: this
        wakes when the time that began with the one it saw last would be over, and looks again."""
        read_timeout, attempt_timeout = self._bounds.read_timeout, self._bounds.attempt_timeout
        now = time.monotonic()
        end = now + attempt_timeout
        while True:
            since = now if self._waiting_since is None else self._waiting_since
            if now >= end:
                message = f"The model had not finished after {attempt_timeout:g} seconds."
                raise ModelRefused("attempt_timeout", message)
            if now - since >= read_timeout:
                message = f"The model said nothing for {read_timeout:g} seconds."
                raise ModelUnavailable("model_timeout", message)
            await asyncio.sleep(min(end, since + read_timeout) - now)
            now = time.monotonic()

    async def _watch_stop(self, stopping: asyncio.Event) -> NoReturn:
        await stopping.wait()
        await asyncio.sleep(self._bounds.grace)
        raise ShuttingDown


def _cause(failures: ExceptionGroup[Exception]) -> Exception:
    """Choose which of an attempt's failures counts. An attempt that another process ended has not
    failed by what that broke in it."""
    return (failures.subgroup(LeaseLost) or failures).exceptions[0]


async def retry_while_leased(call: Callable[[], Awaitable[T]], lease: float) -> T:
    """Make a call of the store that may be repeated, for up to a lease while it is away: no
    longer, since another may have the task by then. Raises StoreUnavailable."""
    until, pause = time.monotonic() + lease, FIRST_PAUSE
    while True:
        try:
            result = await call()
        except StoreUnavailable as error:
            if time.monotonic() + pause > until:
                raise
            log.warning("store unavailable, trying again", error=str(error))
        else:
            _heed_cancellation()
            return result
        await asyncio.sleep(pause)
        pause = min(LONGEST_PAUSE, pause * 2)


def _heed_cancellation() -> None:
    """Raise CancelledError if this task was cancelled and a driver forgot it: asyncio.wait_for of
    Python 3.11 does, if it is cancelled as its future is done (python/cpython#86296)."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
