"""When a message may be delivered: the order of its queue, the limits of its flow-control key, and
how many deliveries there may be at the same time.

Source of the rules: QStash's documentation, features/queues and features/flowcontrol.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

from entrypoints.local_qstash.bounds import PARALLELISM
from entrypoints.local_qstash.line import Limits
from entrypoints.local_qstash.message import FlowControl
from entrypoints.local_qstash.names import NO_KEY
from entrypoints.local_qstash.slots import Period, Slots
from entrypoints.local_qstash.store import Pending

ONE_BY_ONE = Limits(parallelism=1)
"""Of a queue for which nothing else is set."""


def queue_line(queue: str) -> str:
    return f"queue:{queue}"


def flow_line(key: str) -> str:
    return f"flow:{key}"


class Turns:
    def __init__(self, note: Callable[[Period], Awaitable[None]], at_once: int | None) -> None:
        """`note`: as `Slots` says. `at_once`: as `Deliveries` says; PARALLELISM, which callbacks
        count for, too, if None. Must be called while an event loop runs."""
        self.slots = Slots(note, PARALLELISM if at_once is None else at_once)
        self._callbacks_count = at_once is None
        self._queues: dict[str, str] = {}
        """By the ids of the messages in them."""
        self._in_queues: dict[str, dict[str, None]] = {}
        self._callbacks: dict[str, set[asyncio.Task[None]]] = {}
        """Those that have not ended, of the messages that are the next of their queues."""

    def restore(self, left: Iterable[Pending], periods: Iterable[Period]) -> None:
        """Go on with the limits of an earlier process: those of its newest messages."""
        flows = [each.flow for each in sorted(left, key=lambda each: each.created_at)]
        given = ((flow_line(flow.key), _limits(flow)) for flow in flows if flow is not None)
        self.slots.restore(periods, given)

    def arrives(self, pending: Pending) -> None:
        """Called once for each message."""
        if pending.queue is not None:
            self._queues[pending.id] = pending.queue
            self._in_queues.setdefault(pending.queue, {})[pending.id] = None
        if not pending.resumed:
            self._give(pending)

    def ended(self, message_id: str) -> None:
        """Called when it is delivered, given up or cancelled."""
        if (queue := self._queues.pop(message_id, None)) is not None:
            ids = self._in_queues[queue]
            del ids[message_id]
            if not ids:
                del self._in_queues[queue]

    def in_queue(self, queue: str) -> list[str]:
        """Return the ids of the messages that are in a queue, in the order of their arrival."""
        return list(self._in_queues.get(queue, ()))

    def queues(self) -> list[str]:
        """Return the names of the queues that have messages."""
        return list(self._in_queues)

    def _give(self, pending: Pending) -> None:
        # All messages of a key follow the limits of the newest one.
        if (flow := pending.flow) is not None:
            with self.slots.changed(flow_line(flow.key)) as line:
                line.give(_limits(flow))

    @asynccontextmanager
    async def of_queue(self, pending: Pending) -> AsyncIterator[None]:
        """Wait until a message is the next of its queue, and let the following one wait until it
        and its callbacks have ended."""
        async with self.slots.hold(queue_line(pending.queue or ""), ONE_BY_ONE, needs_room=False):
            callbacks = self._callbacks[pending.id] = set()
            try:
                yield
                if callbacks:
                    await asyncio.wait(callbacks)
            finally:
                del self._callbacks[pending.id]

    def wait_for(self, pending: Pending, callbacks: Iterable["asyncio.Task[None] | None"]) -> None:
        """Let the queue of this message, if it is in one, wait for these."""
        if (known := self._callbacks.get(pending.id)) is not None:
            for each in callbacks:
                if each is not None:
                    known.add(each)
                    each.add_done_callback(known.discard)

    @asynccontextmanager
    async def of_delivery(self, pending: Pending) -> AsyncIterator[None]:
        """Wait until a message may be delivered, and let it count while it is."""
        needs_room = self._callbacks_count or not pending.callback
        flow, queue = pending.flow, pending.queue
        line = NO_KEY if flow is None else flow_line(flow.key)
        limits = None if flow is None else _limits(flow)
        while True:
            if queue is not None:
                await self.slots.opened(queue_line(queue))
            if flow is None and not needs_room:
                yield
                return
            async with self.slots.hold(line, limits, needs_room):
                if queue is None or not self.slots.paused(queue_line(queue)):
                    yield
                    return


def _limits(flow: FlowControl) -> Limits:
    return Limits(flow.parallelism, flow.rate, flow.period)
