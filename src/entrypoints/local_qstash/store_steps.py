"""Steps of the store that are tried until they succeed: a delivery cannot be undone."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from entrypoints.local_qstash.refusals import Unavailable

log = structlog.get_logger(__name__)

T = TypeVar("T")

STORE_PAUSE, LOG_PAUSE = 2.0, 60.0
"""Seconds until what the store could not do is tried again, and until that is logged again."""


class StoreSteps:
    def __init__(self) -> None:
        self._log_at = 0.0

    async def until_done(self, step: Callable[[], Awaitable[T]]) -> T:
        """Try a step of the store until it succeeds."""
        while True:
            try:
                return await step()
            except Unavailable as error:
                if time.monotonic() >= self._log_at:
                    self._log_at = time.monotonic() + LOG_PAUSE
                    log.error("deliveries wait for the queue's file", error=str(error))
                await asyncio.sleep(STORE_PAUSE)
