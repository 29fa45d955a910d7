"""A task and its transitions.

Values are immutable. A transition is a method of `Task` that returns a `Change`: the next record
together with the events that tell of it, so that the two always agree. A transition that the
lifecycle does not allow raises `IllegalTransition`.

Times are integer milliseconds since the Unix epoch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from domain.answer import Answer
from domain.continuation import ANEW, Continuation, Opening
from domain.errors import IllegalTransition
from domain.events import Event, StatusChanged, TaskEnded, TaskErrored, TaskStatus, Usage
from domain.failure import CONTINUATION_LOST, MAX_INTERRUPTIONS, RESTARTED_TOO_OFTEN, Failure
from domain.request import TaskRequest
from domain.task_id import check_task_id
from domain.webhook import Note, Webhook


@dataclass(frozen=True, slots=True)
class Change:
    """A transition: the record after it, and the events to add to the log in the same step."""

    task: "Task"
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Submitted(Change):
    """A new task. Its request is kept beside the record, since it never changes."""

    request: TaskRequest | None
    """None: the store has lost it, and the delivery that creates the task again has only its
    digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The record of one task: all that changes, and not the request.

    `attempt` is the number of the last attempt; 0 means that none has begun. It is also a fencing
    number: every `TaskLog` refuses an append by an attempt with a lower number.
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
    message_id: str | None = None
    """The id of the queue's message, once the task is published."""
    model: str | None = None
    """The model that answered, once the task has ended."""
    finish_reason: str | None = None
    usage: Usage | None = None
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
        return max(self.updated_at, self.not_before or 0)

    def overdue(self, now: int) -> bool:
        """Whether it has not ended though its deadline is over."""
        return self.deadline is not None and now >= self.deadline and not self.status.terminal

    def delay_left(self, now: int) -> float:
        """Return the seconds for which the queue still holds it back: 0 unless it waits for its
        time."""
        waits = self.status is TaskStatus.PENDING and self.attempt == 0
        return max(0, (self.not_before or 0) - now) / 1000 if waits else 0.0

    @staticmethod
    def submit(
        task_id: str,
        request: TaskRequest,
        now: int,
        owner: str | None = None,
        origin: str | None = None,
        retry_of: str | None = None,
        webhooks: tuple[Webhook, ...] = (),
    ) -> Submitted:
        """Create a task that waits for its first delivery. Raises MalformedTaskId."""
        rest = request.ttl, retry_of, request.begins_at(now), request.ends_at(now)
        return Task.restore(
            task_id, request, request.model, now, owner, origin, *rest, webhooks=webhooks
        )

    @staticmethod
    def restore(
        task_id: str,
        request: TaskRequest | None,
        requested_model: str,
        created_at: int,
        owner: str | None,
        origin: str | None,
        ttl: int | None = None,
        retry_of: str | None = None,
        not_before: int | None = None,
        deadline: int | None = None,
        guard_id: str | None = None,
        webhooks: tuple[Webhook, ...] = (),
    ) -> Submitted:
        """Return a task as it was submitted, for a store that has lost it. `request`: None if it is
        lost too. Raises MalformedTaskId."""
        task = Task(
            id=check_task_id(task_id),
            requested_model=requested_model,
            status=TaskStatus.PENDING,
            attempt=0,
            created_at=created_at,
            updated_at=created_at,
            owner=owner,
            origin=origin,
            ttl=ttl,
            retry_of=retry_of,
            not_before=not_before,
            deadline=deadline,
            guard_id=guard_id,
            webhooks=webhooks,
            title=None if request is None else request.title,
            metadata={} if request is None else dict(request.metadata),
        )
        return Submitted(task, (StatusChanged(created_at, TaskStatus.PENDING, 0),), request)

    def with_note(self, number: int, note: Note) -> "Task":
        """Return the record of an ended task with that note of one of its webhooks."""
        webhooks = list(self.webhooks)
        webhooks[number : number + 1] = [each.noted(note) for each in webhooks[number : number + 1]]
        return replace(self, webhooks=tuple(webhooks))

    def begin(self, now: int, opening: Opening = ANEW) -> Change:
        """Begin the next attempt. Unless it is resumed, what earlier attempts said no longer
        counts."""
        attempt = self.attempt + 1
        continuation = self.continuation if opening.resumed else opening.continuation(attempt)
        return self._move(
            TaskStatus.RUNNING,
            now,
            resumed=opening.resumed,
            attempt=attempt,
            continuation=continuation,
            started_at=now if self.started_at is None else self.started_at,
        )

    def claim(self, now: int, opening: Opening = ANEW) -> Change:
        """Begin the next attempt for a worker that has the lease. If the record still says that
        another attempt is running, that attempt has lost its lease: the task is requeued first, so
        that the log tells of it."""
        if self.status is not TaskStatus.RUNNING:
            return self.begin(now, opening)
        lost = self.requeue(now, "lease_lapsed", added=opening.added)
        begun = lost.task.begin(now, opening)
        return Change(begun.task, (*lost.events, *begun.events))

    def restart(
        self, now: int, keeper: str | None, resumes_at: tuple[str, int | None] | None = None
    ) -> Change:
        """Begin anew in the same delivery, since the upstream has forgotten the answer that this
        attempt was to go on with, or has taken back what it said of it. `resumes_at`: as in
        `Opening`. Without it another answer is asked for, and this attempt counts."""
        uncounted = self.uncounted + (resumes_at is not None)
        lost = self._move(TaskStatus.PENDING, now, reason=CONTINUATION_LOST, uncounted=uncounted)
        begun = lost.task.begin(now, Opening(keeper=keeper, resumes_at=resumes_at))
        return Change(begun.task, (*lost.events, *begun.events))

    def requeue(
        self, now: int, reason: str, *, counted: bool = True, added: bool = False
    ) -> Change:
        """Let the task wait for another delivery, since its attempt is lost. `counted`: False if a
        stop or a restart of the service ended it. After MAX_INTERRUPTIONS such in a row the task
        fails instead. `added`: whether it has added something that the next attempt keeps. In
        either case it does not count towards the maximum."""
        interruptions = 0
        if not counted and not added:
            interruptions = self.interruptions + 1
            if interruptions > MAX_INTERRUPTIONS:
                return self.fail(now, RESTARTED_TOO_OFTEN)
        return self._move(
            TaskStatus.PENDING,
            now,
            reason=reason,
            uncounted=self.uncounted + (added or not counted),
            interruptions=interruptions,
        )

    def complete(
        self,
        now: int,
        *,
        answer: Answer,
        finish_reason: str,
        model: str,
        usage: Usage | None,
        valid: bool | None = None,
    ) -> Change:
        """Complete the task. `answer` must be all that the attempt has said."""
        return self._end(TaskStatus.COMPLETED, now, answer, finish_reason, model, usage, valid)

    def cancel(self, now: int, answer: Answer) -> Change:
        """Cancel the task for its client. `answer` must be all that the last attempt has said."""
        model = self.model or self.requested_model
        return self._end(TaskStatus.CANCELLED, now, answer, "cancelled", model, None, None)

    def fail(self, now: int, failure: Failure) -> Change:
        """Fail the task for good."""
        change = self._move(
            TaskStatus.FAILED, now, reason=failure.code, failure=failure, finished_at=now
        )
        error = TaskErrored(now, failure.message, failure.code, failure.retryable)
        return Change(change.task, (*change.events, error))

    def _end(
        self,
        status: TaskStatus,
        now: int,
        answer: Answer,
        finish_reason: str,
        model: str,
        usage: Usage | None,
        valid: bool | None,
    ) -> Change:
        change = self._move(
            status,
            now,
            finish_reason=finish_reason,
            model=model,
            usage=usage,
            valid=valid,
            finished_at=now,
        )
        end = TaskEnded(now, answer, finish_reason, model, usage, valid)
        return Change(change.task, (*change.events, end))

    def _move(
        self,
        status: TaskStatus,
        now: int,
        *,
        reason: str | None = None,
        resumed: bool = False,
        **changes: object,
    ) -> Change:
        if not self.status.may_become(status):
            raise IllegalTransition(self.id, self.status, status)
        task = replace(self, status=status, updated_at=now, **changes)  # type: ignore[arg-type]
        return Change(task, (StatusChanged(now, status, task.attempt, reason, resumed),))
