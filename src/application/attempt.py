"""One attempt: write the model's answer into the log.

The answer is written inside a TaskGroup. Its asyncio tasks renew the lease, watch for an end by
another process, enforce the time limits of the model, and wait for the shutdown. Whatever raises
first ends the attempt: the group cancels the rest, and the model's connection is closed.

The attempt reads pieces from the model, appends them to the log, then reads the next pieces, which
are all that have arrived in the meantime. So with a fast store every token is an event, and
with a slow one an event holds several tokens, without any timer.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from application.attempt_times import ModelTimes, watch_deadline
from application.continuing import Continuing
from application.errors import (
    FeedClosed,
    LeaseLost,
    ModelRefused,
    ModelUnavailable,
    ShuttingDown,
)
from application.meter import Meter
from application.ports import (
    AnswerChecker,
    AttemptsObserver,
    Clock,
    Finished,
    Kept,
    LanguageModel,
    Numbered,
    TaskLog,
    Tokens,
)
from application.store_retries import StoreRetries
from application.task_watch import TaskWatch
from application.transcript import Transcript
from application.usage_count import tokens_of
from domain.answer import Answer
from domain.attempt import Attempt
from domain.events import PieceAdded, Usage
from domain.request import TaskRequest

ID_TIMEOUT = 10.0
"""Seconds for which an attempt whose task was ended by another process waits for the upstream to
say how it calls its answer: only then can the upstream be told of the end."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The whole answer of a model, when all its pieces are in the log."""

    attempt: Attempt
    """The attempt after its last append."""
    answer: Answer
    finished: Finished
    usage: Usage | None
    """Of all attempts that have said any of it, as the model reported it or estimated."""
    valid: bool | None
    """Whether the answer fits the schema of the request, as `TaskEnded` tells it."""


@dataclass(frozen=True, slots=True)
class AttemptBounds:
    lease: float
    """Seconds."""
    read_timeout: float
    """Seconds without a piece from the model (text, reasoning, tool call) after which the attempt
    is lost, unless the model has its own (`LanguageModel.read_timeout`)."""
    attempt_timeout: float
    """Seconds after which the attempt is stopped and the task fails."""
    max_output_chars: int
    """Characters of an answer (text, reasoning and calls of tools) after which the task fails."""
    grace: float
    """Seconds for which the attempt may continue once the process begins to stop."""


class RunningAttempt:
    """`billed`, `used` and `continuing` are up to date while the attempt runs and after it has
    ended, however it did."""

    def __init__(
        self,
        attempt: Attempt,
        request: TaskRequest,
        tasks: TaskLog,
        model: LanguageModel,
        clock: Clock,
        bounds: AttemptBounds,
        retries: StoreRetries,
        observer: AttemptsObserver,
        meter: Meter,
        checker: AnswerChecker | None = None,
    ) -> None:
        """`checker`: says whether answers fit the schemas of requests."""
        self.added = False
        """Whether the attempt has written a piece."""
        self.billed = False
        """Whether the request was sent and may have been billed."""
        self.finished: Finished | None = None
        """What the model said at the end of its answer."""
        self._attempt = attempt
        self._request = request
        self._transcript = Transcript(attempt.task.id, bounds.max_output_chars)
        self._tasks = tasks
        self._model = model
        self._clock = clock
        self._bounds = bounds
        self._retries = retries
        self._checker = checker
        read_timeout = model.read_timeout(request.model) or bounds.read_timeout
        self._times = ModelTimes(read_timeout, bounds.attempt_timeout)
        self.continuing = Continuing(attempt, request, tasks, model, observer, self._transcript)
        self._meter = meter
        self.count = meter.count(attempt.task, request.budget_tokens)

    def used(self) -> Tokens:
        """Return what the attempt has used of the model, without what earlier ones have counted of
        the same answer."""
        return tokens_of(self._usage) + -self.continuing.counted if self.billed else Tokens()

    def total_usage(self) -> Usage | None:
        """Return the usage of the answer so far: of this attempt and of all others that have said
        any of it. None: nothing was asked."""
        return self.continuing.total(self._usage) if self.billed else None

    @property
    def _usage(self) -> Usage:
        """As the model reported it at the end of its answer, else estimated by the request and the
        answer so far. Of an answer that an upstream keeps: what all attempts have used."""
        reported = None if self.finished is None else self.finished.usage
        return reported or self.continuing.estimate()

    async def run(
        self, watch: TaskWatch, stopping: asyncio.Event, at_once: asyncio.Event
    ) -> Answered:
        """Write the answer and return it. Raises what ended the attempt early: LeaseLost,
        ModelUnavailable, ModelRefused, ContinuationLost, StoreUnavailable, DeadlineOver,
        BudgetExceeded, or ShuttingDown: a grace period after `stopping` was set, or when `at_once`
        is set too; at once where an upstream keeps the answer, since the next attempt reads on."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101
        cancellations = task.cancelling()
        watchers: list[asyncio.Task[None]] = []
        try:
            async with asyncio.TaskGroup() as group:
                watchers += [
                    group.create_task(self._renew()),
                    group.create_task(self._watch_task(watch)),
                    group.create_task(self._times.watch()),
                    group.create_task(watch_deadline(self._clock, self._attempt.task.deadline)),
                    group.create_task(self._watch_stop(stopping, at_once)),
                    group.create_task(self.count.watch()),
                ]
                answer = await self._write(self._attempt, stopping)
                for watcher in watchers:
                    watcher.cancel()
        except ExceptionGroup as failures:
            # A group of Python 3.11 that fails as its body ends leaves its own cancellation behind.
            while task.cancelling() > cancellations:
                task.uncancel()
            cause = _cause(failures)
            failures.__traceback__ = None  # a frame of it refers to the group
        else:
            return answer
        try:
            raise cause  # not while the group is handled: that would become its context
        finally:
            # What the exception refers to must not refer to it, or only the garbage collector
            # would free this attempt, with its request.
            watchers.clear()
            del cause

    async def _write(self, attempt: Attempt, stopping: asyncio.Event) -> Answered:
        """Append pieces to the log as they come. The model buffers, in bounded memory, what arrives
        during an append."""
        continuing = self.continuing
        resumption = await continuing.resumption(self._retries, self._bounds.lease)
        await self._open_count()
        works = continuing.kept is not None and self._transcript.characters > 0
        self.billed = True
        self._times.wait()
        try:
            async with aclosing(self._model.stream(self._request, resumption)) as stream:
                async for item in stream:
                    works = True
                    if isinstance(item, Finished):
                        self.finished = item
                        continue
                    if isinstance(item, Kept):
                        self._times.pause()
                        note = partial(continuing.note, attempt, item.response_id)
                        await self._retries.while_leased(note, self._bounds.lease)
                        self._times.wait()
                        if stopping.is_set():
                            raise ShuttingDown
                        continue
                    pieces, cursor = (
                        (item.pieces, item.cursor) if isinstance(item, Numbered) else (item, None)
                    )
                    if pieces:
                        events = self._transcript.events(pieces, self._clock.now())
                        self._times.pause()
                        attempt = await self._add(attempt, events, cursor)
                        self.added = True
                    self._times.wait()
        except (ModelUnavailable, ModelRefused) as fault:
            self.billed = works or not fault.unbilled
            raise
        if (finished := self.finished) is None:
            raise ModelUnavailable("incomplete", "The model's answer ended before it was complete.")
        self._times.pause()
        answer = self._transcript.answer()
        valid = await self._fits(answer, finished)
        return Answered(attempt, answer, finished, self.total_usage(), valid)

    async def _open_count(self) -> None:
        """Count the attempt from now on, since its request is sent. Raises BudgetExceeded."""
        self.count.before = self.continuing.spent_before
        asked = tokens_of(self._usage) + -self.continuing.counted
        self.count.check(asked.total)
        await self._meter.open(self.count, self.used, asked)

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
        try:
            return await self._retries.while_leased(append, lease)
        except LeaseLost:
            self._transcript.unwritten(events)
            raise

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
                    if self.continuing.kept and not self.continuing.noted and self.billed:
                        await asyncio.sleep(ID_TIMEOUT)  # `_write` finds that the lease is lost
                    raise LeaseLost
                if watch.missed_events:
                    watch.missed_events = False
                    await self._renew_once()  # raises LeaseLost if the end was among them
        except FeedClosed:
            # This process stops, or cannot read what another version wrote. From now on only a
            # write can find out that the lease is lost.
            await asyncio.Event().wait()
            raise

    async def _watch_stop(self, stopping: asyncio.Event, at_once: asyncio.Event) -> NoReturn:
        await stopping.wait()
        if self.continuing.noted:
            raise ShuttingDown
        with suppress(TimeoutError):
            async with asyncio.timeout(self._bounds.grace):
                await at_once.wait()
        raise ShuttingDown


def _cause(failures: ExceptionGroup[Exception]) -> Exception:
    """Choose the failure that counts. If the lease was lost, other failures do not matter: another
    process has the task."""
    return (failures.subgroup(LeaseLost) or failures).exceptions[0]
