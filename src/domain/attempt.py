"""An attempt: one run of a task by one worker."""

from dataclasses import dataclass

from domain.request import TaskRequest
from domain.task import Task


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a task by one worker."""

    task: Task
    """The record as it was when the attempt began."""
    logged: int
    """The number of events in the log when the attempt last wrote to it."""
    request: TaskRequest | None
    """None: the store has lost it."""
    cursor: int | None = None
    """The cursor that was written with the last append of this attempt
    (`Continuation.cursor`)."""
    fence: str = ""
    """The fencing token of its writes, in a store that may lose a task while an attempt of it runs:
    made again, the task has attempts of the same numbers. In other stores the number is the token.
    """

    @property
    def number(self) -> int:
        """The attempt's number."""
        return self.task.attempt
