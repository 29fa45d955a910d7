"""Every exception that ports and use cases raise.

ApplicationError
├── UnknownTask              no record has this id, or it is another owner's
│   └── DeletedTask          it was deleted, or its own time to live is over
│       └── ExpiredTask      the latter
├── LeaseLost                this attempt may not write any more
├── BudgetExceeded           an attempt may use no more tokens
├── ShuttingDown             this process stops before the attempt has ended
├── FeedClosed               this process stops delivering events
├── StoreUnavailable         the store cannot be reached or does not work
├── Unreadable               another version of this service wrote the data
│   ├── UnreadableTask       a record
│   └── UnreadableEvent      an event of a log
├── QueueError
│   ├── QueueUnavailable     the queue cannot be reached: publishing again is safe
│   └── QueueRefused         the queue does not accept the message
├── ModelError
│   ├── ModelUnavailable     a fault that may be temporary
│   └── ModelRefused         a fault that a retry cannot fix
├── WebhookError
│   ├── WebhookRefused       the target is none that this service may call
│   ├── WebhookUnreachable   the receiver did not respond
│   └── TooManyWebhooks      this process sends its maximum at once
├── ModelNotAllowed          the caller may not use the model that it names
├── PreviousUnusable         the task that a request continues cannot be continued
├── NotRetryable             the task cannot be started anew
├── OverLimit                the caller has used up one of its limits
├── TooManyStreams           this process has its maximum of open streams
├── OperatorsOnly            the usage of others is shown to operators only
├── IdempotencyConflict      the key was used for another request
├── ChatBusy                 the chat's newest task has not ended
└── StartUncertain           it is not known yet whether the task was started
"""

from dataclasses import dataclass


class ApplicationError(Exception):
    """The base of everything that ports and use cases raise."""


class UnknownTask(ApplicationError):
    """Raised when no record has this id: it never existed, it has expired, or it is another
    owner's."""


class DeletedTask(UnknownTask):
    """Raised when a tombstone says that the task of this id was deleted, or that the time for which
    it asked to be kept is over. It must not be created again."""


class ExpiredTask(DeletedTask):
    """Raised when the tombstone says that the task was not deleted: it has ended, and the time
    for which it asked to be kept is over."""


class LeaseLost(ApplicationError):
    """Raised when an attempt may no longer write: another one has begun, or the task has ended."""


class DeadlineOver(Exception):
    """Raised in an attempt when the deadline of its task is over."""


class BudgetExceeded(ApplicationError):
    """Raised when an attempt has used the tokens that its request or its owner may use. `message`:
    for people."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ShuttingDown(ApplicationError):
    """Raised when an attempt is still running a grace period after this process began to stop."""


class FeedClosed(ApplicationError):
    """Raised to a subscriber when this process delivers no more events: it stops, or cannot read
    them. Other processes still do."""


class StoreUnavailable(ApplicationError):
    """Raised when the store cannot be reached or does not work. A write may or may not have been
    carried out. `reason` may be shown to any client; the whole message is for the log only."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class Unreadable(ApplicationError):
    """The base of what is raised for data that another version of this service wrote, as happens
    during an upgrade. An instance of that version can read it."""


class UnreadableTask(Unreadable):
    """Raised when this instance cannot read the record of a task."""

    def __init__(self, task_id: str, detail: str) -> None:
        super().__init__(f"{task_id}: {detail}")


class UnreadableEvent(Unreadable):
    """Raised when this instance cannot read an event, from a log or published. The stream ends as
    if this process stopped, and the client reconnects to another instance."""


class QueueError(ApplicationError):
    """The base of what a queue raises."""


class QueueUnavailable(QueueError):
    """Raised when the queue cannot be reached or limits the rate. It may or may not have accepted
    the message; publishing the same task again is safe. `retry_after`: seconds, if the queue named
    them."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QueueRefused(QueueError):
    """Raised when the queue responded that it does not accept the message."""


class ModelError(ApplicationError):
    """The base of what a model raises: `code` for programs, `message` for people.

    `unbilled`: the request has cost nothing, since there was no connection or the model's server
    refused the request before it did any work.

    `answer_ended`: of an upstream that keeps answers. This one has failed there, or was never begun
    since the upstream refused to: there is nothing to go on with."""

    def __init__(
        self, code: str, message: str, *, unbilled: bool = False, answer_ended: bool = False
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.unbilled = unbilled
        self.answer_ended = answer_ended


class ModelUnavailable(ModelError):
    """Raised for a fault that may be temporary: the same request may succeed later. `retry_after`:
    seconds, if the model's server named them."""

    def __init__(
        self,
        code: str,
        message: str,
        retry_after: float | None = None,
        *,
        unbilled: bool = False,
        answer_ended: bool = False,
    ) -> None:
        super().__init__(code, message, unbilled=unbilled, answer_ended=answer_ended)
        self.retry_after = retry_after


class ModelRefused(ModelError):
    """Raised for a fault that a retry cannot fix: a wrong key, an unknown model, a quota."""


class ContinuationLost(ModelError):
    """Raised when an upstream does not have the answer with which an attempt was to go on, or has
    taken back what it said of it: what the log counts is no longer a part of the answer.

    `resumes_at`: the upstream's id of an answer that it still has, and the number of the event
    behind which all of it comes (None: all events). Without it the next attempt asks for another
    answer."""

    def __init__(
        self, code: str, message: str, *, resumes_at: tuple[str, int | None] | None = None
    ) -> None:
        super().__init__(code, message)
        self.resumes_at = resumes_at


class WebhookError(ApplicationError):
    """The base of what sending a webhook raises. `reason` is one sentence part without an address,
    a secret or anything of the message."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class WebhookRefused(WebhookError):
    """Raised when this service may not call the target. Its name may resolve to another address
    later."""


class WebhookUnreachable(WebhookError):
    """Raised when the receiver did not respond. It may or may not have the message."""


class TooManyWebhooks(WebhookError):
    """Raised when this process sends its maximum of webhooks at once. Nothing was sent."""


class ModelNotAllowed(ApplicationError):
    """Raised for a request of an owner that may not use its model. `allowed`: the names of those
    that it may use, for people."""

    def __init__(self, model: str, allowed: str) -> None:
        super().__init__(f"the model {model} is not allowed")
        self.model = model
        self.allowed = allowed


class PreviousUnusable(ApplicationError):
    """Raised when the task that a request names as its previous one cannot be continued: `code` for
    programs (`previous_unknown`, also for another owner's; `previous_not_ended`, `previous_failed`,
    `previous_too_long`), `message` for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class NotRetryable(ApplicationError):
    """Raised when a task cannot be started anew: `code` for programs (`task_not_ended`,
    `task_completed`, `input_lost`), `message` for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class LimitStatus:
    """What a caller has left of one of its limits."""

    policy: str
    """The name of the limit in the RateLimit headers."""
    limit: int
    left: int
    reset: float
    """Seconds after which more may be left."""
    window: float | None = None
    """The length of the window in seconds. None for a limit of slots, which has no window."""


class OverLimit(ApplicationError):
    """Raised when a caller has used up one of its limits."""

    def __init__(self, status: LimitStatus) -> None:
        super().__init__(f"over the limit {status.policy}")
        self.status = status


class TooManyStreams(ApplicationError):
    """Raised when this process has its maximum of open streams."""


class OperatorsOnly(ApplicationError):
    """Raised when an owner asks for the usage of another one and is no operator."""


class IdempotencyConflict(ApplicationError):
    """Raised when an idempotency key was already used for another request."""


class ChatBusy(ApplicationError):
    """Raised for a start that is to be refused while the newest task of its chat has not ended."""


class StartUncertain(ApplicationError):
    """Raised for a start with an idempotency key, in a chat, or by an SDK that repeats its
    requests, if the queue did not respond, or if another start of the same task or in the same chat
    has not finished. The same request, sent again, resumes the start. `retry_after`: seconds, if
    known."""

    def __init__(self, retry_after: float | None) -> None:
        super().__init__("it is not known yet whether the task was started")
        self.retry_after = retry_after
