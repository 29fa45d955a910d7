"""Waiting beside an attempt that another delivery holds."""

from application.ports import Gap, Subscription
from domain.events import StatusChanged


async def settled_or_silent(live: Subscription, lease_left: float) -> None:
    """Return as soon as the task changed its status, or after `lease_left` seconds in which the
    attempt added nothing: only then can its lease have lapsed. Either way the store must be asked
    what is the case. Raises FeedClosed."""
    while True:
        received = await live.receive(lease_left)
        if received is None or isinstance(received, Gap):
            return
        if any(isinstance(event, StatusChanged) for batch in received for event in batch.events):
            return
