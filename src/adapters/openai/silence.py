"""A time limit on silence, for reads that are too many for a timer each: aiohttp would set one for
each piece that arrives."""

import asyncio
import time
from types import TracebackType


class SilenceLimit:
    """A context in which a wait of more than some seconds raises TimeoutError. A wait begins with
    the context, and with `wait`, and ends with `pause`. One timer looks now and then how long the
    wait has lasted. The context belongs to the asyncio task that enters it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._limit = asyncio.timeout(None)
        self._waiting_since: float | None = None

    async def __aenter__(self) -> "SilenceLimit":
        await self._limit.__aenter__()
        self.wait()
        self._look_in(self._seconds)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        await self._limit.__aexit__(kind, error, traceback)

    def wait(self) -> None:
        self._waiting_since = time.monotonic()

    def pause(self) -> None:
        self._waiting_since = None

    def _look(self) -> None:
        now = time.monotonic()
        since = now if self._waiting_since is None else self._waiting_since
        left = since + self._seconds - now
        if left > 0:
            self._look_in(left)
        else:
            self._limit.reschedule(0.0)

    def _look_in(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)
