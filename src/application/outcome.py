"""What the queue is told of a delivery."""

from dataclasses import dataclass

UNREADABLE_RETRY_AFTER = 30.0
"""Seconds after which what this instance cannot read is to be delivered again."""


@dataclass(frozen=True, slots=True)
class Ack:
    """The task has ended or was deleted. The queue need not deliver it again."""


@dataclass(frozen=True, slots=True)
class Retry:
    """The queue should deliver the task again, after `retry_after` seconds if that is known."""

    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Overloaded:
    """This process has its maximum of concurrent deliveries. The queue should deliver the task
    again, to this process or another, after `retry_after` seconds."""

    retry_after: float


@dataclass(frozen=True, slots=True)
class OverShare:
    """Other tasks of the same owner use up its share. The queue should deliver the task again after
    `retry_after` seconds."""

    retry_after: float


@dataclass(frozen=True, slots=True)
class Reject:
    """The task failed. Another delivery cannot change that."""

    code: str


Outcome = Ack | Retry | Overloaded | OverShare | Reject
