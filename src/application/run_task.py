"""RunTask: one delivery of one task, from the claim to the verdict.

While an attempt runs, four things go on side by side: writing what the model says, renewing the
lease, listening for a cancellation, and listening for the order to stop. The first that ends the
attempt decides; the others are stopped, the model's connection closed with them.

The model is read and the log written by turns: idle, each piece is an event at once; busy, what the
model said since it was last asked becomes one event. No timer is involved.

A store that is away for less than a lease costs no attempt: what was to be written waits, and the
model with it. An order to stop leaves attempts a grace period.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn, TypeVar

import structlog

from application.admission import Admission
from application.cancellation import end_tasks
from application.ports import (
    Busy,
    Clock,
    Cursor,
    Delivery,
    EventFeed,
    FeedClosed,
    Finished,
    Gap,
    LanguageModel,
    LeaseLost,
    ModelRefused,
    ModelUnavailable,
    Settled,
    StoreUnavailable,
    Subscription,
    TaskLog,
    UnknownTask,
)
from application.standby import settled_or_silent
from domain.events import ContentAdded, Usage
from domain.task import Attempt, Failure

log = structlog.get_logger(__name__)

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two calls of a store that is away."""
EVENT_LIMIT = 32 * 1024
"""Characters of one content event: what comes in larger pieces becomes several."""
FULL_PAUSE = 5.0
"""Seconds after which a delivery that found no room may come again."""


@dataclass(frozen=True, slots=True)
class Done:
    """The task is in a terminal status and the queue may forget it."""


@dataclass(frozen=True, slots=True)
class Again:
    """Deliver again, after `retry_after` seconds where that is known."""

    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Full:
    """This process works on as many deliveries as it may: deliver again, here or elsewhere."""

    retry_after: float


@dataclass(frozen=True, slots=True)
class Failed:
    """The task failed for good: no further delivery can help."""

    code: str


Verdict = Done | Again | Full | Failed


class _Stopping(Exception):
    """This process is shutting down."""


class _SettledElsewhere(Exception):
    """Somebody else ended the task or took it over."""


class RunTask:
    def __init__(
        self,
        tasks: TaskLog,
        feed: EventFeed,
        model: LanguageModel,
        clock: Clock,
        admission: Admission,
        *,
        lease: float,
        grace: float,
        max_running: int,
        max_text: int,
    ) -> None:
        """`lease` and `grace` (of attempts once `stop` was called) in seconds; at most
        `max_running` deliveries are worked on at once; an answer has at most `max_text`
        characters."""
        self._tasks = tasks
        self._feed = feed
        self._model = model
        self._clock = clock
        self._admission = admission
        self._lease = lease
        self._grace = grace
        self._max_running = max_running
        self._max_text = max_text
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = asyncio.Event()

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    def stop(self) -> None:
        """Give back every delivery that still comes, and every running attempt that has not ended
        after the grace period."""
        self._stopping.set()

    async def drained(self) -> None:
        """Return once no delivery is being worked on: at the latest a moment after the grace that
        began with `stop`."""
        await self._idle.wait()

    async def __call__(self, delivery: Delivery) -> Verdict:
        """Run the task unless it has ended; wait while another live attempt holds it, and take
        over when that one's lease lapses. Never raises for a fault of model or store: that is
        what the verdict is for."""
        if self.stopping:
            return Again()
        if self._running >= self._max_running:
            log.warning("no room for a delivery", running=self._running)
            return Full(FULL_PAUSE)
        self._running += 1
        self._idle.clear()
        try:
            async with self._feed.subscribe(delivery.task_id) as live:
                while True:
                    claimed = await self._claim(delivery)
                    if isinstance(claimed, Settled):
                        log.info("task already settled", status=claimed.task.status)
                        return Done()
                    if isinstance(claimed, Busy):
                        log.info("waiting beside a running attempt", lease=claimed.lease_left)
                        await settled_or_silent(live, claimed.lease_left)
                        continue
                    with structlog.contextvars.bound_contextvars(attempt=claimed.number):
                        verdict = await self._run(claimed, live, delivery)
                    if verdict is not None:
                        return verdict
        except FeedClosed:
            return Again()
        except StoreUnavailable as error:
            log.error("store unavailable", error=str(error))
            return Again()
        finally:
            self._running -= 1
            if self._running == 0:
                self._idle.set()

    async def _claim(self, delivery: Delivery) -> Attempt | Busy | Settled:
        try:
            return await self._tasks.claim(delivery.task_id, self._lease, self._clock.now())
        except UnknownTask:
            log.info("no record: made from the delivery")
            await self._tasks.create(delivery.submitted())
            return await self._tasks.claim(delivery.task_id, self._lease, self._clock.now())

    async def _run(
        self, attempt: Attempt, live: Subscription, delivery: Delivery
    ) -> Verdict | None:
        """The verdict on one attempt; None if it lost the task to another, and the store must be
        asked again. Raises StoreUnavailable."""
        log.info("attempt began", model=attempt.task.request.model)
        cost = _Cost(sum(len(each.content) for each in attempt.task.request.conversation()))
        try:
            return await self._to_its_end(attempt, live, delivery, cost)
        finally:
            if cost.incurred:
                await asyncio.shield(
                    self._admission.charge(attempt.task, cost.usage, cost.characters)
                )

    async def _to_its_end(
        self, attempt: Attempt, live: Subscription, delivery: Delivery, cost: "_Cost"
    ) -> Verdict | None:
        task, now = attempt.task, self._clock.now
        try:
            written, text, finished = await self._stream(attempt, live, cost)
            change = task.complete(
                now(),
                text=text,
                finish_reason=finished.reason,
                model=finished.model,
                usage=finished.usage,
            )
            await self._outlasting(lambda: self._tasks.settle(written, change))
        except (LeaseLost, _SettledElsewhere):
            log.info("attempt ended by another")
            return None
        except ModelRefused as error:
            return await self._fail(attempt, Failure(error.code, error.message, False))
        except ModelUnavailable as error:
            if attempt.number >= delivery.max_attempts:
                return await self._fail(attempt, Failure(error.code, error.message, True))
            return await self._give_back(attempt, error.code, error.retry_after)
        except _Stopping:
            return await self._give_back(attempt, "shutting_down", None)
        except StoreUnavailable:
            raise
        except asyncio.CancelledError:
            # The server is being torn down: let the next delivery start at once if we still can.
            await asyncio.shield(self._give_back(attempt, "shutting_down", None))
            raise
        except Exception:
            log.exception("attempt broke")
            if attempt.number >= delivery.max_attempts:
                failure = Failure("internal_error", "The service made an error.", True)
                return await self._fail(attempt, failure)
            return await self._give_back(attempt, "internal_error", None)
        log.info("attempt completed", finish_reason=finished.reason, characters=len(text))
        return Done()

    async def _fail(self, attempt: Attempt, failure: Failure) -> Verdict | None:
        log.warning("attempt failed", code=failure.code)
        change = attempt.task.fail(self._clock.now(), failure)
        try:
            await self._outlasting(lambda: self._tasks.settle(attempt, change))
        except LeaseLost:
            return None
        return Failed(failure.code)

    async def _give_back(
        self, attempt: Attempt, reason: str, retry_after: float | None
    ) -> Verdict | None:
        log.warning("attempt lost", reason=reason, retry_after=retry_after)
        try:
            await self._tasks.settle(attempt, attempt.task.give_back(self._clock.now(), reason))
        except LeaseLost:
            return None
        return Again(retry_after)

    async def _outlasting(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call of the store that may be repeated, for up to a lease while it is away: no
        longer, since another may have the task by then. Raises StoreUnavailable."""
        until, pause = time.monotonic() + self._lease, FIRST_PAUSE
        while True:
            try:
                return await call()
            except StoreUnavailable as error:
                if time.monotonic() + pause > until:
                    raise
                log.warning("store unavailable, trying again", error=str(error))
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)

    async def _stream(
        self, attempt: Attempt, live: Subscription, cost: "_Cost"
    ) -> tuple[Attempt, str, Finished]:
        """All the text, once it is in the log, and the attempt as it stands then. Raises whatever
        ended the attempt early."""
        writer = asyncio.create_task(self._write(attempt, cost))
        endless: list[Coroutine[Any, Any, NoReturn]] = [
            self._renew(attempt),
            self._watch(attempt, live),
            self._watch_stop(),
        ]
        others = [asyncio.create_task(coroutine) for coroutine in endless]
        running: set[asyncio.Task[Any]] = {writer, *others}
        try:
            while not writer.done():
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                # An attempt that somebody ended has not failed by what that broke in it.
                for task in sorted(done, key=others.__contains__, reverse=True):
                    task.result()
            return writer.result()
        finally:
            await end_tasks([writer, *others])

    async def _write(self, attempt: Attempt, cost: "_Cost") -> tuple[Attempt, str, Finished]:
        """From the model into the log, step by step: what the model says during a step waits in
        its connection, which bounds it, and is the next one."""
        written: list[str] = []
        finished: Finished | None = None
        room = self._max_text
        async with aclosing(self._model.stream(attempt.task.request)) as stream:
            async for item in stream:
                if isinstance(item, Finished):
                    finished = item
                    cost.usage, cost.incurred = item.usage, True
                elif item:
                    cost.characters += len(item)
                    cost.incurred = True
                    room -= len(item)
                    if room < 0:
                        raise ModelRefused(
                            "answer_too_long",
                            f"The answer is longer than {self._max_text} characters.",
                        )
                    attempt = await self._add(attempt, item)
                    written.append(item)
        if finished is None:
            raise ModelUnavailable("incomplete", "The model's answer broke off.")
        return attempt, "".join(written), finished

    async def _add(self, attempt: Attempt, text: str) -> Attempt:
        now = self._clock.now()
        events = [
            ContentAdded(now, text[begin : begin + EVENT_LIMIT])
            for begin in range(0, len(text), EVENT_LIMIT)
        ]
        return await self._outlasting(partial(self._tasks.append, attempt, events, self._lease))

    async def _renew(self, attempt: Attempt) -> NoReturn:
        while True:
            await asyncio.sleep(self._lease / 3)
            await self._hold(attempt)

    async def _hold(self, attempt: Attempt) -> None:
        await self._outlasting(lambda: self._tasks.renew(attempt, self._lease))

    async def _watch(self, attempt: Attempt, live: Subscription) -> NoReturn:
        """Raise as soon as the feed tells that the task ended: this attempt did not end it, since
        it stops watching before it does."""
        cursor: Cursor | None = None
        try:
            while True:
                received = await live.receive(3600.0, cursor)
                if isinstance(received, Gap):
                    await self._hold(attempt)  # refused if the end was what we missed
                elif received:
                    last = received[-1]
                    if last.closes:
                        raise _SettledElsewhere
                    # What we add ourselves is let pass without waking us.
                    cursor = Cursor(last.epoch, last.last, lambda _: True)
        except FeedClosed:
            # We are stopping. In the time that is left, only a refusal will tell.
            await asyncio.Event().wait()
            raise

    async def _watch_stop(self) -> NoReturn:
        await self._stopping.wait()
        await asyncio.sleep(self._grace)
        raise _Stopping


@dataclass(slots=True)
class _Cost:
    """What an attempt has used of a model: nothing until the model says something."""

    characters: int
    usage: Usage | None = None
    incurred: bool = False
