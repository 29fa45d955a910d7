"""Which names of models label metrics."""

from domain.events import TaskStatus
from domain.task import Task

MOST = 50
OTHER = "other"


class ModelNames:
    """The names that an upstream has answered with, the first `MOST` of this process. A name that
    only a client wrote is never one: clients could make up any number of them."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def label(self, task: Task) -> str:
        """Return the label of a task that has ended, `OTHER` if its model has none."""
        name = task.model or task.requested_model
        if name in self._names:
            return name
        if task.status is not TaskStatus.COMPLETED or len(self._names) >= MOST:
            return OTHER
        self._names.add(name)
        return name
