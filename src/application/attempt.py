"""One attempt: the model's answer goes into the log, while the attempt is kept and watched.

Five things go on side by side: writing what the model says, renewing the lease, listening for a
cancellation, listening for the order to stop, and watching the time that the model takes. The first
that ends the attempt decides; the others are stopped, the model's connection closed with them.

The model is read and the log written by turns: idle, each piece is an event at once; busy, what the
model said since it was last asked becomes one event. No timer is involved.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn, TypeVar

import structlog

from application.cancellation import end_tasks
from application.errors import FeedClosed, ModelRefused, ModelUnavailable, StoreUnavailable
from application.ports import Clock, Cursor, Finished, Gap, LanguageModel, Subscription, TaskLog
from domain.events import ContentAdded, Usage
from domain.task import Attempt

log = structlog.get_logger(__name__)

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two calls of a store that is away."""
EVENT_LIMIT = 32 * 1024
"""Characters of one content event: what comes in larger pieces becomes several."""


class SettledElsewhere(Exception):
    """Raised when another party ended the task or took it over."""


@dataclass(frozen=True, slots=True)
class AttemptBounds:
    lease: float
    """Seconds."""
    read_timeout: float
    """Seconds of waiting for the model without a piece (text, reasoning, tool call) after which
    the attempt is lost."""
    attempt_timeout: float
    """Seconds after which an attempt fails the task for good."""
    max_text: int
    """Characters of an answer."""


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
        self._room = bounds.max_text
        self._waiting_since: float | None = None
        """The monotonic moment since which the model is waited for; None while the store is."""

    async def stream(
        self, live: Subscription, until_stopped: Coroutine[Any, Any, NoReturn]
    ) -> tuple[Attempt, str, Finished]:
        """All the text, once it is in the log, and the attempt as it stands then. Raises whatever
        ended the attempt early, what `until_stopped` raises among it."""
        writer = asyncio.create_task(self._write(self._attempt))
        endless: list[Coroutine[Any, Any, NoReturn]] = [
            self._renew(),
            self._watch_log(live),
            self._watch_model(),
            until_stopped,
        ]
        others = [asyncio.create_task(coroutine) for coroutine in endless]
        running: set[asyncio.Task[Any]] = {writer, *others}
        try:
            while not writer.done():
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                # An attempt that another party ended has not failed by what that broke in it.
                for task in sorted(done, key=others.__contains__, reverse=True):
                    task.result()
            return writer.result()
        finally:
            await end_tasks([writer, *others])

    async def _write(self, attempt: Attempt) -> tuple[Attempt, str, Finished]:
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
        return attempt, "".join(written), finished

    def _count(self, text: str) -> None:
        self.cost.characters += len(text)
        self._room -= len(text)
        if self._room < 0:
            message = f"The answer is longer than {self._bounds.max_text} characters."
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

    async def _watch_log(self, live: Subscription) -> NoReturn:
        """Raise as soon as the feed tells that the task ended: this attempt did not end it, since
        it stops watching before it does."""
        cursor: Cursor | None = None
        try:
            while True:
                received = await live.receive(3600.0, cursor)
                if isinstance(received, Gap):
                    await self._hold()  # refused if the end was what we missed
                elif received:
                    last = received[-1]
                    if last.closes:
                        raise SettledElsewhere
                    # What we add ourselves is let pass without waking us.
                    cursor = Cursor(last.epoch, last.last, lambda _: True)
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


async def retry_while_leased(call: Callable[[], Awaitable[T]], lease: float) -> T:
    """Make a call of the store that may be repeated, for up to a lease while it is away: no
    longer, since another may have the task by then. Raises StoreUnavailable."""
    until, pause = time.monotonic() + lease, FIRST_PAUSE
    while True:
        try:
            return await call()
        except StoreUnavailable as error:
            if time.monotonic() + pause > until:
                raise
            log.warning("store unavailable, trying again", error=str(error))
        await asyncio.sleep(pause)
        pause = min(LONGEST_PAUSE, pause * 2)
