"""The port of live delivery: what is added to a log reaches those who follow it."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from application.ports.log_pages import Batch

Take = Callable[[Batch], bool]
"""Hands a batch on if that can be done at once, and answers whether it did. If it raises, it did
not."""


@dataclass(slots=True)
class Cursor:
    """Where a subscriber stands in a log: the number of the last event that it has, and that one's
    epoch (0 and None: it has none)."""

    epoch: str | None
    after: int
    take: Take

    def move(self, batch: Batch) -> None:
        self.epoch, self.after = batch.epoch, batch.last


@dataclass(frozen=True, slots=True)
class Gap:
    """Live delivery had a hole here: read the log again from the last event seen."""


class Subscription(Protocol):
    async def receive(
        self, timeout: float, cursor: Cursor | None = None
    ) -> Sequence[Batch] | Gap | None:
        """All that waits, oldest first; if nothing does, what comes next; None after `timeout`
        seconds of silence. For one caller at a time. Raises FeedClosed when this process stops
        delivering.

        While it waits, a batch that goes on right at the cursor and does not close the log is
        given to the cursor's `take` at once, by whoever brings it. What that takes moves the
        cursor, and is not received: the waiting goes on."""
        ...


class EventFeed(Protocol):
    """Live delivery of what is added to logs. It promises nothing that the log does not hold:
    from the moment `subscribe` is entered, each batch of the task arrives in order and once, or a
    Gap stands for what is missing. What one subscriber leaves unread costs bounded memory."""

    def subscribe(self, task_id: str) -> AbstractAsyncContextManager[Subscription]: ...


class FeedWatch(Protocol):
    """Is told how live delivery fares, for whoever operates it. Takes no time over it."""

    def heard(self, lag: float) -> None:
        """Something arrived that was made so many seconds ago."""
        ...

    def gap(self) -> None:
        """A subscriber has to read the log."""
        ...

    def reconnected(self) -> None:
        """The connection was lost and is made anew."""
        ...
