"""How long an attempt may take: watches that end it."""

import asyncio
import time
from typing import NoReturn

from application.errors import DeadlineOver, ModelRefused, ModelUnavailable
from application.ports import Clock

CLOCK_READ_EVERY = 1.0
"""Seconds between two looks at the time of day of an attempt that has a deadline."""


class ModelTimes:
    """The time limits of the model in one attempt."""

    def __init__(self, read_timeout: float, attempt_timeout: float) -> None:
        """As AttemptBounds has them."""
        self._read_timeout = read_timeout
        self._attempt_timeout = attempt_timeout
        self._waiting_since: float | None = None
        """The monotonic time at which the attempt began to wait for the model."""

    def wait(self) -> None:
        """Note that the attempt waits for the model from now on."""
        self._waiting_since = time.monotonic()

    def pause(self) -> None:
        """Note that it does not wait for the model: it waits for the store, or has the answer."""
        self._waiting_since = None

    async def watch(self) -> NoReturn:
        """Raise once the model has taken too long. A piece sets `_waiting_since` and no timer; this
        task sleeps until the earliest time at which a limit can be reached, then checks again."""
        read_timeout, attempt_timeout = self._read_timeout, self._attempt_timeout
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


async def watch_deadline(clock: Clock, deadline: int | None) -> None:
    """Raise DeadlineOver once the deadline is over. It is a time of day, which may be set
    meanwhile."""
    while deadline is not None:
        if (left := (deadline - clock.now()) / 1000) <= 0:
            raise DeadlineOver
        await asyncio.sleep(min(left, CLOCK_READ_EVERY))
