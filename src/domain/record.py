"""The record of a task: what is known of it, beside its request and its log.

Times are integer milliseconds since the Unix epoch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from domain.continuation import Continuation
from domain.events import TaskStatus, Usage
from domain.failure import Failure
from domain.webhook import Note, Webhook


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """All that changes of one task, and not its request.

    `attempt` is the number of the last attempt; 0 means that none has begun. Every `TaskLog`
    refuses an append by an attempt with a lower number.
    """

    id: str
    requested_model: str
    status: TaskStatus
    attempt: int
    created_at: int
    updated_at: int
    owner: str | None = None
    """The only client that may see it; None where the service has no API keys."""
    origin: str | None = None
    """The network address of the client, if the limits need it."""
    ttl: int | None = None
    """Seconds for which it is kept after its end, as its request asks. None: as long as the service
    keeps tasks."""
    not_before: int | None = None
    """The time before which the queue does not deliver it, if its request puts it off."""
    deadline: int | None = None
    """The time at which it fails unless it has ended, if its request sets one."""
    guard_id: str | None = None
    """The id of its guard's message, if it has a deadline or a webhook."""
    webhooks: tuple[Webhook, ...] = ()
    """Those that are called once it has ended."""
    retry_of: str | None = None
    """The task whose request it starts anew, if it is a retry."""
    title: str | None = None
    """How its request begins (`TaskRequest.title`). None: the store has lost the request."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """That of its request."""
    started_at: int | None = None
    finished_at: int | None = None
    next_attempt_at: int | None = None
    """When the next attempt may begin, while the task waits for it after a lost one and that is
    known. It may be later, if no worker has room or none can be reached."""
    message_id: str | None = None
    """The id of the queue's message, once the task is published."""
    model: str | None = None
    """The model that answered, once the task has ended."""
    finish_reason: str | None = None
    usage: Usage | None = None
    """Of the answer, once it has ended: the whole one, or what an attempt said that failed the
    task."""
    valid: bool | None = None
    """Whether the text fits the schema of the request, as `TaskEnded` tells it."""
    failure: Failure | None = None
    uncounted: int = 0
    """How many attempts were ended by a stop or a restart of the service, or added something that
    the next one kept. They do not count towards the maximum of attempts."""
    interruptions: int = 0
    """How many attempts in a row a stop or a restart has ended, up to the last lost one."""
    continuation: Continuation | None = None
    """The answer that an upstream keeps, if one does."""

    @property
    def counted_attempts(self) -> int:
        """The number of attempts that count towards the maximum, the running one included."""
        return self.attempt - self.uncounted

    @property
    def unqueued(self) -> bool:
        """Whether nothing says that the queue has held it: it waits for its first delivery, and has
        no message id."""
        return self.status is TaskStatus.PENDING and self.attempt == 0 and self.message_id is None

    @property
    def leaves_tombstone(self) -> bool:
        """Whether a delivery may come when its record has expired after its end."""
        return self.ttl is not None or self.not_before is not None

    @property
    def due_at(self) -> int:
        """From when on the queue should deliver it, if it waits for a delivery."""
        return max(self.updated_at, self.not_before or 0, self.next_attempt_at or 0)

    def overdue(self, now: int) -> bool:
        """Whether it has not ended though its deadline is over."""
        return self.deadline is not None and now >= self.deadline and not self.status.terminal

    def delay_left(self, now: int) -> float:
        """Return the seconds for which the queue still holds it back: 0 unless it waits for its
        time."""
        waits = self.status is TaskStatus.PENDING and self.attempt == 0
        return max(0, (self.not_before or 0) - now) / 1000 if waits else 0.0

    def with_note(self, number: int, note: Note) -> Self:
        """Return the record of an ended task with that note of one of its webhooks."""
        webhooks = list(self.webhooks)
        webhooks[number : number + 1] = [each.noted(note) for each in webhooks[number : number + 1]]
        return replace(self, webhooks=tuple(webhooks))
