"""What a watch of an owner's tasks tells."""

from dataclasses import dataclass

from domain.task import Task


@dataclass(frozen=True, slots=True)
class Changed:
    """A task as it is now."""

    task: Task
    cursor: int | None
    """Where to go on behind it; None if the index has not noted that the task has ended."""


@dataclass(frozen=True, slots=True)
class Gone:
    """A task was deleted, or has expired."""

    task_id: str


@dataclass(frozen=True, slots=True)
class Reached:
    """All that had ended up to this cursor was told."""

    cursor: int


@dataclass(frozen=True, slots=True)
class Missed:
    """Notices were lost. The statuses follow, but not which of the tasks that had ended before are
    deleted."""


@dataclass(frozen=True, slots=True)
class Ping:
    """Nothing was told for the ping interval."""


Told = Changed | Gone | Reached | Missed | Ping
