"""Which tasks a list is to have."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.events import TaskStatus
from domain.task import Task


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """A task must match every condition that is given."""

    statuses: frozenset[TaskStatus] = frozenset()
    """One of these. Empty: any."""
    model: str | None = None
    """The model that was requested, or the one that answered."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Pairs that the task's metadata has, among others."""
    created_after: int | None = None
    created_before: int | None = None
    """Milliseconds since the Unix epoch. Neither includes its own millisecond."""

    @property
    def unfinished_only(self) -> bool:
        """Whether no task matches that has ended."""
        return bool(self.statuses) and not any(each.terminal for each in self.statuses)

    def matches(self, task: Task) -> bool:
        return (
            (not self.statuses or task.status in self.statuses)
            and self.model in (None, task.requested_model, task.model)
            and self.metadata.items() <= task.metadata.items()
            and (self.created_after is None or task.created_at > self.created_after)
            and (self.created_before is None or task.created_at < self.created_before)
        )
