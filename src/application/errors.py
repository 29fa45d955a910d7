"""Every exception of the ports and the use cases.

ApplicationError
├── UnknownTask              no record has this id, or it is another owner's
├── LeaseLost                this attempt may not write any more
├── ShuttingDown             this process stops before the attempt has ended
├── FeedClosed               this process stops delivering events
├── StoreUnavailable         the store cannot do its work now
├── Unreadable               another version of this service wrote it
│   ├── UnreadableTask       a record
│   └── UnreadableEvent      an event of a log
├── QueueError
│   ├── QueueUnavailable     the queue cannot be reached: publishing again is safe
│   └── QueueRefused         the queue does not accept the message as it is
├── ModelError
│   ├── ModelUnavailable     a fault that may pass
│   └── ModelRefused         a fault that trying again cannot mend
├── OverLimit                the caller has used up one of its limits
├── TooManyStreams           this process follows as many streams as it may
├── IdempotencyConflict      the key came back with another request
└── StartUncertain           whether the task was started is not known yet
"""

from dataclasses import dataclass


class ApplicationError(Exception):
    """The base of everything that ports and use cases raise."""


class UnknownTask(ApplicationError):
    """Raised when no record has this id: it never existed, its time to live is over, or it is
    another owner's."""


class LeaseLost(ApplicationError):
    """Raised when an attempt may no longer write: another one was opened, or the task ended."""


class ShuttingDown(ApplicationError):
    """Raised when an attempt is still running a grace period after this process began to stop."""


class FeedClosed(ApplicationError):
    """Raised to a subscriber when this process stops delivering: read on from another one."""


class StoreUnavailable(ApplicationError):
    """Raised when the store cannot be reached or cannot do its work. Whether it has written is not
    known. `reason` may be shown to any client; the whole message belongs into the log."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class Unreadable(ApplicationError):
    """The base of what is raised for something that another version of this service wrote, as
    happens during an upgrade: an instance of that version can read it."""


class UnreadableTask(Unreadable):
    """Raised when the record of this one task cannot be read by this instance."""

    def __init__(self, task_id: str, detail: str) -> None:
        super().__init__(f"{task_id}: {detail}")


class UnreadableEvent(Unreadable):
    """Raised when an event of a log, or a batch that was published, cannot be read by this
    instance. Its reader goes on elsewhere, as if this process stopped."""


class QueueError(ApplicationError):
    """The base of what a queue raises."""


class QueueUnavailable(QueueError):
    """Raised when the queue cannot be reached or is over its limit. It may or may not have the
    message; publishing the same task again is safe. `retry_after`: seconds, where the queue named
    them."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QueueRefused(QueueError):
    """Raised when the queue responded that it will not accept the message as it is."""


class ModelError(ApplicationError):
    """The base of what a model raises: `code` for programs, `message` for people.

    `unbilled`: the model's server refused the request before it did any work for it, or was never
    connected to, so that the request has cost nothing."""

    def __init__(self, code: str, message: str, *, unbilled: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.unbilled = unbilled


class ModelUnavailable(ModelError):
    """Raised for a fault of the model that may pass: the same request may succeed later, after
    `retry_after` seconds where the model named them."""

    def __init__(
        self,
        code: str,
        message: str,
        retry_after: float | None = None,
        *,
        unbilled: bool = False,
    ) -> None:
        super().__init__(code, message, unbilled=unbilled)
        self.retry_after = retry_after


class ModelRefused(ModelError):
    """Raised for a fault that trying again cannot mend: a wrong key, an unknown model, a quota."""


@dataclass(frozen=True, slots=True)
class LimitStatus:
    """What a caller has left of one of its limits.

    `policy` names the limit as the RateLimit headers do. `window` is the length of the window in
    seconds, None for slots; `reset` the seconds after which asking again is worth it."""

    policy: str
    limit: int
    left: int
    reset: float
    window: float | None = None


class OverLimit(ApplicationError):
    """Raised when a caller has used up one of its limits."""

    def __init__(self, status: LimitStatus) -> None:
        super().__init__(f"over the limit {status.policy}")
        self.status = status


class TooManyStreams(ApplicationError):
    """Raised when this process has as many subscribers as it may have."""


class IdempotencyConflict(ApplicationError):
    """Raised when an idempotency key comes back with another request."""


class StartUncertain(ApplicationError):
    """Raised for a start with an idempotency key when the queue did not respond, or when another
    start with the same key has not come to its end. The same request again goes on where this one
    broke off, after `retry_after` seconds where that is known."""

    def __init__(self, retry_after: float | None) -> None:
        super().__init__("it is not known yet whether the task was started")
        self.retry_after = retry_after
