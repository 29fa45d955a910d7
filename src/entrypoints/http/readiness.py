"""Whether the parts that this process needs can be reached, asked at a bounded rate.

No key is needed to ask for readiness. So that callers cannot make this process call its store and
its queue at any rate, a result is kept for a moment, and callers that arrive while a part is being
checked share that one check.
"""

import asyncio
from collections.abc import Sequence
from contextvars import Context

import structlog

from adapters.qstash import OFF, QueueClock, SigningKeys
from application.errors import QueueRefused, QueueUnavailable, StoreUnavailable
from application.ports import TaskLog, TaskQueue

log = structlog.get_logger(__name__)

GOOD_FOR, BAD_FOR = 2.0, 1.0
"""Seconds for which a result is kept: a fault for less, so that its end is soon seen."""
TIMEOUT = 5.0
"""Seconds after which a part that does not respond is at fault."""
OK = "ok"


class Readiness:
    """The state of the store, of the queue, and of the keys and the clock by which deliveries are
    checked."""

    def __init__(
        self, tasks: TaskLog, queue: TaskQueue, keys: SigningKeys, clock: QueueClock
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._parts = {"store": _Part(tasks), "queue": _Part(queue)}

    async def checks(self) -> dict[str, str]:
        """By part: "ok", or what is wrong, in words that any client may see. Takes at most TIMEOUT
        seconds."""
        states: Sequence[str] = await asyncio.gather(*(p.state() for p in self._parts.values()))
        checks = dict(zip(self._parts, states, strict=True))
        if self._keys.state != OK:
            checks["keys"] = self._keys.state
        return checks

    def warnings(self) -> dict[str, str]:
        """By part: what is wrong although this process can serve."""
        off = abs(self._clock.offset())
        return {"clock": f"off by {off:.0f} s"} if off > OFF else {}


class _Part:
    def __init__(self, part: TaskLog | TaskQueue) -> None:
        self._part = part
        self._state = OK
        self._good_until = 0.0  # by the event loop's clock
        self._checking: asyncio.Task[None] | None = None

    async def state(self) -> str:
        if self._checking is None and asyncio.get_running_loop().time() >= self._good_until:
            # A check for many callers belongs to none of them: one that leaves does not end it.
            self._checking = asyncio.create_task(self._check(), context=Context())
        if self._checking is not None:
            await asyncio.shield(self._checking)
        return self._state

    async def _check(self) -> None:
        self._state = "failed"  # unless the check comes to an end
        try:
            async with asyncio.timeout(TIMEOUT):
                self._state = await _state(self._part)
        except TimeoutError:
            log.warning("not ready", error="no response")
            self._state = "no response"
        finally:
            kept = GOOD_FOR if self._state == OK else BAD_FOR
            self._good_until = asyncio.get_running_loop().time() + kept
            self._checking = None


async def _state(part: TaskLog | TaskQueue) -> str:
    try:
        await part.check()
    except StoreUnavailable as error:
        log.warning("not ready", error=str(error))
        return error.reason
    except QueueUnavailable as error:
        log.warning("not ready", error=str(error))
        return "unreachable"
    except QueueRefused as error:
        log.error("not ready", error=str(error))
        return "refused"
    return OK
