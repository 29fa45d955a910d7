"""Why a request is refused, and with which status."""


class Refused(Exception):
    """The base. Its text is the error in the response."""

    status = 400


class BadMessage(Refused):
    """Raised for a request that QStash would refuse."""


class TooMany(Refused):
    """Raised for a new record of a kind that is full."""

    status = 412

    def __init__(self, kind: str) -> None:
        """`kind`: the name of such records, in the plural."""
        super().__init__(f"there is no room for more {kind}")


class InUse(Refused):
    """Raised for what cannot be deleted as long as something else needs it."""

    status = 412


class MessageTooLarge(Refused):
    """Raised for a publish with a longer body than a message may have."""

    status = 413

    def __init__(self) -> None:
        super().__init__("the message's body is longer than this queue accepts")


class NotThere(Refused):
    """Raised for a call about dead letters of which one is not there."""

    status = 404


class QueueFull(Refused):
    """Raised for a publish beyond HELD_BYTES."""

    status = 429

    def __init__(self) -> None:
        super().__init__("the queue is full; publish the message again later")


class Unavailable(Refused):
    """Raised for a request that needs the file, which cannot be read or written now. It has changed
    nothing."""

    status = 503

    def __init__(self, reason: str) -> None:
        super().__init__(f"the queue cannot use its file now: {reason}")
