"""The port of live delivery: what is added to a log is offered to its subscribers."""

from typing import Protocol

from application.ports.log_pages import Batch


class Subscriber(Protocol):
    """A subscriber of one task. Its methods are called in the event loop and must not block."""

    __slots__ = ()

    def offer(self, batch: Batch) -> None:
        """Receive the events that were added to the log."""
        ...

    def missed(self) -> None:
        """Called when events may have been added that are not offered: read the log."""
        ...

    def closed(self) -> None:
        """Called when nothing more is offered: this process stops or cannot read the events."""
        ...


class EventFeed(Protocol):
    """Delivers what is added to logs, in addition to the log itself: once `subscribe` has
    returned, each batch of the task is offered once and in order, or `missed` is called."""

    async def subscribe(self, task_id: str, subscriber: Subscriber) -> None:
        """Return once everything that is added from now on is offered to the subscriber. Earlier
        batches may be offered, too. A feed that is closed calls `closed` at once. Raises
        StoreUnavailable, and then the subscriber is not subscribed."""
        ...

    def unsubscribe(self, task_id: str, subscriber: Subscriber) -> None:
        """Offer nothing more to the subscriber. Safe to call twice."""
        ...


class FeedObserver(Protocol):
    """Receives measurements of live delivery, for metrics. Its methods must not block."""

    def delivered(self, lag: float) -> None:
        """Count a delivery from another process, `lag` seconds after it was published."""
        ...

    def missed(self) -> None:
        """Count a subscriber that must read the log since it may have missed events."""
        ...

    def reconnected(self) -> None:
        """Count a new connection to the store after one was lost."""
        ...
