"""How a process resumes the messages of an earlier one: a few at a time. Messages whose deliveries
may have ended several processes are tried apart from each other."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from heapq import heappop, heappush

import structlog

from entrypoints.local_qstash.delivery_response import DeliveryResponse
from entrypoints.local_qstash.line import Limits
from entrypoints.local_qstash.slots import Slots
from entrypoints.local_qstash.store import Pending

log = structlog.get_logger(__name__)

PACE = Limits(parallelism=1, rate=1, period=0.005)
"""How many of these messages begin, and in how many seconds. Fewer while the event loop is late: an
attempt needs some 5 ms to begin, and others use the service meanwhile."""
SUSPECT, TRIAL = 2, 5.0
"""A message that was interrupted so often is tried for so many seconds: one alone, then two
together, then four, those first that were interrupted most. What ends the process at once is soon
tried alone, and takes no others along."""
MAX_INTERRUPTIONS = 10
"""So many processes in a row may end during the delivery of a message that an earlier process left.
Then that costs a retry, with its pause: the message may be what ends them."""
INTERRUPTED = DeliveryResponse(0, {}, b"The process ended during each of many deliveries.")


class Resumption:
    def __init__(self, reset: Callable[[Sequence[str]], Awaitable[None]]) -> None:
        """`reset` is called with the messages that have passed their trial, to forget their
        interruptions."""
        self._reset = reset
        self._slots = Slots()
        self._suspects: list[tuple[int, int, str, asyncio.Future[None]]] = []
        """A heap: interruptions (negative), number, id, turn."""
        self._numbers = 0
        self._trials: asyncio.Task[None] | None = None

    async def turn(self, pending: Pending) -> None:
        """Return once this message may be delivered."""
        if pending.interruptions < SUSPECT:
            async with self._slots.hold("resumed", PACE):
                return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._numbers += 1
        heappush(self._suspects, (-pending.interruptions, self._numbers, pending.id, turn))
        if self._trials is None:
            self._trials = asyncio.create_task(self._try_them())
        await turn

    def close(self) -> None:
        if self._trials is not None:
            self._trials.cancel()

    async def _try_them(self) -> None:
        together = 1
        await asyncio.sleep(0)  # those that are due now are all here
        while self._suspects:
            tried: list[str] = []
            while self._suspects and len(tried) < together:
                *_, message_id, turn = heappop(self._suspects)
                if not turn.done():  # it is cancelled
                    turn.set_result(None)
                    tried.append(message_id)
            await asyncio.sleep(TRIAL)
            try:
                await self._reset(tried)
            except Exception:
                log.exception("interruptions of messages not reset")
            together *= 2
        self._trials = None
