"""A task and its transitions.

Values are immutable. A transition is a method of `Task` that returns a `Change`: the next record
together with the events that tell of it, so that the two always agree. A transition that the
lifecycle does not allow raises `IllegalTransition`.

Times are integer milliseconds since the Unix epoch.
"""

from dataclasses import dataclass, replace

from domain.answer import Answer
from domain.continuation import ANEW, Opening
from domain.errors import IllegalTransition
from domain.events import Event, StatusChanged, TaskEnded, TaskErrored, TaskStatus, Usage
from domain.failure import CONTINUATION_LOST, MAX_INTERRUPTIONS, RESTARTED_TOO_OFTEN, Failure
from domain.record import Record
from domain.request import TaskRequest
from domain.task_id import check_task_id
from domain.webhook import Webhook


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
class Task(Record):
    """The record of one task, and its transitions."""

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
        self,
        now: int,
        reason: str,
        *,
        counted: bool = True,
        added: bool = False,
        next_attempt_at: int | None = None,
    ) -> Change:
        """Let the task wait for another delivery, since its attempt is lost. `counted`: False if a
        stop or a restart of the service ended it. After MAX_INTERRUPTIONS such in a row the task
        fails instead. `added`: whether it has added something that the next attempt keeps. In
        either case it does not count towards the maximum. `next_attempt_at`: as in the record."""
        interruptions = 0
        if not counted and not added:
            interruptions = self.interruptions + 1
            if interruptions > MAX_INTERRUPTIONS:
                return self.fail(now, RESTARTED_TOO_OFTEN)
        return self._move(
            TaskStatus.PENDING,
            now,
            reason=reason,
            next_attempt_at=next_attempt_at,
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

    def fail(self, now: int, failure: Failure, usage: Usage | None = None) -> Change:
        """Fail the task for good. `usage`: of what it has said, if the attempt that fails it knows
        that."""
        change = self._move(
            TaskStatus.FAILED,
            now,
            reason=failure.code,
            failure=failure,
            finished_at=now,
            usage=usage,
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
        next_attempt_at: int | None = None,
        **changes: object,
    ) -> Change:
        if not self.status.may_become(status):
            raise IllegalTransition(self.id, self.status, status)
        task = replace(
            self,
            status=status,
            updated_at=now,
            next_attempt_at=next_attempt_at,
            **changes,  # type: ignore[arg-type]
        )
        event = StatusChanged(now, status, task.attempt, reason, resumed, next_attempt_at)
        return Change(task, (event,))
