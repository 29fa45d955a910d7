"""The port of live delivery: what is added to a log is offered to those who follow it."""

from typing import Protocol

from application.ports.log_pages import Batch


class Subscriber(Protocol):
    """One reader of one task. Its methods are called in the event loop and never wait."""

    __slots__ = ()

    def offer(self, batch: Batch) -> None:
        """Take what was added to the log next."""
        ...

    def missed(self) -> None:
        """Something may have been added that is not offered: read the log again."""
        ...

    def closed(self) -> None:
        """Nothing more is offered, since this process stops or cannot read what was added."""
        ...


class EventFeed(Protocol):
    """Live delivery of what is added to logs. It promises nothing that the log does not hold: from
    the moment that `subscribe` returns, each batch of the task is offered in order and once, or
    `missed` is called for what is not."""

    async def subscribe(self, task_id: str, subscriber: Subscriber) -> None:
        """Return once all that is added from now on reaches the subscriber; what comes before may
        reach it, too. A feed that was closed calls `closed` at once. Raises StoreUnavailable if
        live delivery does not come about: then the subscriber is not subscribed."""
        ...

    def unsubscribe(self, task_id: str, subscriber: Subscriber) -> None:
        """Offer nothing more. Safe to call twice."""
        ...


class FeedObserver(Protocol):
    """Is told how live delivery fares, for metrics. Takes no time over it."""

    def delivered(self, lag: float) -> None:
        """Something arrived that was made `lag` seconds ago."""
        ...

    def missed(self) -> None:
        """Subscribers of a channel are sent to the log."""
        ...

    def reconnected(self) -> None:
        """The connection to the store was lost and is made anew."""
        ...
