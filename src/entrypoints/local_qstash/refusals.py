"""What a publisher is told when its message is refused."""


class Refused(Exception):
    """The base. Its text says why."""

    status = 400


class BadMessage(Refused):
    """Raised for a publish that QStash would refuse."""


class TooMany(Refused):
    """Raised for one more of a kind of which there are as many as there may be."""

    status = 412

    def __init__(self, kind: str) -> None:
        """`kind`: what they are called, in the plural."""
        super().__init__(f"there are as many {kind} as there may be")


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
    """Raised for a call that the file could not take part in. What was published is not kept."""

    status = 503

    def __init__(self, reason: str) -> None:
        super().__init__(f"the queue cannot use its file now: {reason}")
