"""The states of a message, as QStash's log names them.

Source: QStash's documentation, howto/debug-logs.
"""

from enum import StrEnum


class State(StrEnum):
    CREATED = "CREATED"
    """It was accepted."""
    ACTIVE = "ACTIVE"
    """It is being delivered."""
    ERROR = "ERROR"
    """A delivery failed."""
    RETRY = "RETRY"
    """It waits for its next delivery."""
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"
    """It was given up, and is a dead letter."""
    CANCEL_REQUESTED = "CANCEL_REQUESTED"
    CANCELED = "CANCELED"
    """The SDKs write it so; the description of the API writes CANCELLED."""


UNDER_WAY = frozenset((State.ACTIVE, State.ERROR, State.RETRY))
"""What a filter means by IN_PROGRESS."""
