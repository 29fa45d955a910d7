"""One attempt: write the model's answer into the log.

The answer is written inside a TaskGroup. Its asyncio tasks renew the lease, watch for an end by
another process, enforce the time limits of the model, and wait for the shutdown. Whatever raises
first ends the attempt: the group cancels the rest, and the model's connection is closed.

The attempt reads pieces from the model, appends them to the log, then reads the next pieces, which
are all that have arrived in the meantime. So with a fast store every token is an event, and
with a slow one an event holds several tokens, without any timer.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from application.errors import (
    DeadlineOver,
    FeedClosed,
    LeaseLost,
    ModelRefused,
    ModelUnavailable,
    ShuttingDown,
)
from application.ports import AnswerChecker, Clock, Finished, Kept, LanguageModel, Numbered, TaskLog
from application.store_retries import StoreRetries
from application.task_watch import TaskWatch
from application.transcript import Transcript
from domain.answer import Answer
from domain.attempt import Attempt
from domain.events import PieceAdded, Usage
from domain.request import TaskRequest

CLOCK_READ_EVERY = 1.0
"""Seconds between two looks at the time of day of an attempt that has a deadline."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The whole answer of a model, when all its pieces are in the log."""

    attempt: Attempt
    """The attempt after its last append."""
    answer: Answer
    finished: Finished
    valid: bool | None
    """Whether the answer fits the schema of the request, as `TaskEnded` tells it."""


@dataclass(frozen=True, slots=True)
class AttemptBounds:
    lease: float
    """Seconds."""
    read_timeout: float
    """Seconds without a piece from the model (text, reasoning, tool call) after which the attempt
    is lost."""
    attempt_timeout: float
    """Seconds after which the attempt is stopped and the task fails."""
    max_output_chars: int
    """Characters of an answer (text, reasoning and calls of tools) after which the task fails."""
    grace: float
    """Seconds for which the attempt may continue once the process begins to stop."""


class RunningAttempt:
    """`billed` and `usage` are up to date while the attempt runs and after it has ended, however it
    did."""

    def __init__(
        self,
        attempt: Attempt,
        request: TaskRequest,
        tasks: TaskLog,
        model: LanguageModel,
        clock: Clock,
        bounds: AttemptBounds,
        retries: StoreRetries,
        checker: AnswerChecker | None = None,
    ) -> None:
        """`checker`: says whether answers fit the schemas of requests."""
        self.billed = False
        """Whether the request was sent and may have been billed."""
        self._reported: Usage | None = None
        self._attempt = attempt
        self._request = request
        self._transcript = Transcript(attempt.task.id, bounds.max_output_chars)
        self._tasks = tasks
        self._model = model
        self._clock = clock
        self._bounds = bounds
        self._retries = retries
        self._checker = checker
        self._waiting_since: float | None = None
        """The monotonic time at which this attempt began to wait for the model. None while it
        waits for the store."""

    @property
    def usage(self) -> Usage:
        """What the attempt has used of the model: as the model reported it at the end of its
        answer, else estimated by the request and the answer so far."""
        if self._reported is not None:
            return self._reported
        return Usage.estimate(self._request.tokens(), self._transcript.answer().tokens)

    async def run(
        self, watch: TaskWatch, stopping: asyncio.Event, at_once: asyncio.Event
    ) -> Answered:
        """Write the answer and return it. Raises what ended the attempt early: LeaseLost,
        ModelUnavailable, ModelRefused, StoreUnavailable, DeadlineOver, or ShuttingDown: a grace
        period after `stopping` was set, or when `at_once` is set too."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101
        cancellations = task.cancelling()
        try:
            async with asyncio.TaskGroup() as group:
                watchers = [
                    group.create_task(self._renew()),
                    group.create_task(self._watch_task(watch)),
                    group.create_task(self._watch_model()),
                    group.create_task(self._watch_deadline(self._attempt.task.deadline)),
                    group.create_task(self._watch_stop(stopping, at_once)),
                ]
                answer = await self._write(self._attempt)
                for watcher in watchers:
                    watcher.cancel()
        except ExceptionGroup as failures:
            # A group of Python 3.11 that fails as its body ends leaves its own cancellation behind.
            while task.cancelling() > cancellations:
                task.uncancel()
            raise _cause(failures) from None
        return answer

    async def _write(self, attempt: Attempt) -> Answered:
        """Append pieces to the log as they come. The model buffers, in bounded memory, what arrives
        during an append."""
        finished: Finished | None = None
        works = False
        self.billed = True
        self._waiting_since = time.monotonic()
        try:
            async with aclosing(self._model.stream(self._request)) as stream:
                async for item in stream:
                    works = True
                    if isinstance(item, Finished):
                        finished = item
                        self._reported = item.usage
                        continue
                    if isinstance(item, Kept):
                        attempt = await self._tasks.note_response(attempt, item.response_id)
                        continue
                    pieces, cursor = (
                        (item.pieces, item.cursor) if isinstance(item, Numbered) else (item, None)
                    )
                    if pieces:
                        events = self._transcript.events(pieces, self._clock.now())
                        self._waiting_since = None
                        attempt = await self._add(attempt, events, cursor)
                    self._waiting_since = time.monotonic()
        except (ModelUnavailable, ModelRefused) as fault:
            self.billed = works or not fault.unbilled
            raise
        if finished is None:
            raise ModelUnavailable("incomplete", "The model's answer ended before it was complete.")
        self._waiting_since = None  # not for the model any more
        answer = self._transcript.answer()
        return Answered(attempt, answer, finished, await self._fits(answer, finished))

    async def _fits(self, answer: Answer, finished: Finished) -> bool | None:
        """Check a whole answer while the lease is still renewed. Return None if the request gives
        no schema."""
        wanted = self._request.options.get("response_format")
        whole = finished.whole and not answer.refusal and not answer.tool_calls
        if self._checker is None or not whole or not isinstance(wanted, Mapping):
            return None
        return await self._checker.fits(wanted, answer.text)

    async def _add(
        self, attempt: Attempt, events: Sequence[PieceAdded], cursor: int | None
    ) -> Attempt:
        lease = self._bounds.lease
        append = partial(self._tasks.append, attempt, events, lease, cursor)
        return await self._retries.while_leased(append, lease)

    async def _renew(self) -> NoReturn:
        while True:
            await asyncio.sleep(self._bounds.lease / 3)
            await self._renew_once()

    async def _renew_once(self) -> None:
        lease = self._bounds.lease
        await self._retries.while_leased(lambda: self._tasks.renew(self._attempt, lease), lease)

    async def _watch_task(self, watch: TaskWatch) -> NoReturn:
        """Raise LeaseLost as soon as the feed tells that the task has ended. It was not this
        attempt that ended it, since `run` stops watching before."""
        try:
            while True:
                await watch.change()
                if watch.ended:
                    raise LeaseLost
                if watch.missed_events:
                    watch.missed_events = False
                    await self._renew_once()  # raises LeaseLost if the end was among them
        except FeedClosed:
            # This process stops, or cannot read what another version wrote. From now on only a
            # write can find out that the lease is lost.
            await asyncio.Event().wait()
            raise

    async def _watch_model(self) -> NoReturn:
        """Raise once the model has taken too long. A piece sets `_waiting_since` and no timer; this
        task sleeps until the earliest time at which a limit can be reached, then checks again."""
        read_timeout, attempt_timeout = self._bounds.read_timeout, self._bounds.attempt_timeout
        now = time.monotonic()
        end = now + attempt_timeout
        while True:
            since = now if self._waiting_since is None else self._waiting_since
            if now >= end:
                message = f"The model did not finish within {attempt_timeout:g} seconds."
                raise ModelRefused("attempt_timeout", message)
            if now - since >= read_timeout:
                message = f"The model sent nothing for {read_timeout:g} seconds."
                raise ModelUnavailable("model_timeout", message)
            await asyncio.sleep(min(end, since + read_timeout) - now)
            now = time.monotonic()

    async def _watch_deadline(self, deadline: int | None) -> None:
        """Raise once the deadline is over. It is a time of day, which may be set meanwhile."""
        while deadline is not None:
            if (left := (deadline - self._clock.now()) / 1000) <= 0:
                raise DeadlineOver
            await asyncio.sleep(min(left, CLOCK_READ_EVERY))

    async def _watch_stop(self, stopping: asyncio.Event, at_once: asyncio.Event) -> NoReturn:
        await stopping.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._bounds.grace):
                await at_once.wait()
        raise ShuttingDown


def _cause(failures: ExceptionGroup[Exception]) -> Exception:
    """Choose the failure that counts. If the lease was lost, other failures do not matter: another
    process has the task."""
    return (failures.subgroup(LeaseLost) or failures).exceptions[0]
