"""Whether the parts that this process needs can be reached, asked at a bounded rate.

Readiness is asked for without a key. So that its callers cannot make this process call
its store and its queue as often as they like, an answer is kept for a moment, and callers that come
while a part is being asked share that one question.
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
"""Seconds for which an answer is kept: a fault for less, so that its end is soon seen."""
TIMEOUT = 5.0
"""Seconds after which a part that does not answer is at fault."""
OK = "ok"


class Readiness:
    """What is known of store and queue, and of what deliveries are judged by."""

    def __init__(
        self, tasks: TaskLog, queue: TaskQueue, keys: SigningKeys, clock: QueueClock
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._parts = {"store": _Part(tasks), "queue": _Part(queue)}

    async def checks(self) -> dict[str, str]:
        """By name: "ok", or what is wrong, in words that every client may see. Takes TIMEOUT
        seconds at most."""
        states: Sequence[str] = await asyncio.gather(*(p.state() for p in self._parts.values()))
        checks = dict(zip(self._parts, states, strict=True))
        if self._keys.state != OK:
            checks["keys"] = self._keys.state
        return checks

    def warnings(self) -> dict[str, str]:
        """What is wrong but keeps this process from nothing."""
        off = abs(self._clock.offset() or 0.0)
        return {"clock": f"off by {off:.0f} s"} if off > OFF else {}


class _Part:
    def __init__(self, part: TaskLog | TaskQueue) -> None:
        self._part = part
        self._state = OK
        self._good_until = 0.0  # by the event loop's clock
        self._asking: asyncio.Task[None] | None = None

    async def state(self) -> str:
        if self._asking is None and asyncio.get_running_loop().time() >= self._good_until:
            # A question for many belongs to none of them: one that leaves does not end it.
            self._asking = asyncio.create_task(self._ask(), context=Context())
        if self._asking is not None:
            await asyncio.shield(self._asking)
        return self._state

    async def _ask(self) -> None:
        self._state = "failed"  # unless it is told otherwise
        try:
            async with asyncio.timeout(TIMEOUT):
                self._state = await _state(self._part)
        except TimeoutError:
            log.warning("not ready", error="no answer")
            self._state = "no answer"
        finally:
            kept = GOOD_FOR if self._state == OK else BAD_FOR
            self._good_until = asyncio.get_running_loop().time() + kept
            self._asking = None


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
