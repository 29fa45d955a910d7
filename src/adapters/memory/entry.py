"""One task in the memory of a process: its record, its request and its log."""

import secrets
from dataclasses import dataclass, field, replace

from domain.events import Event
from domain.position import START, Position
from domain.request import TaskRequest
from domain.task import Task


@dataclass(slots=True)
class Entry:
    task: Task
    request: TaskRequest | None
    expires: float
    epoch: str = field(default_factory=lambda: secrets.token_hex(8))
    events: list[Event] = field(default_factory=list)
    lease_until: float = 0.0
    heartbeat_until: float = 0.0
    """When the task becomes orphaned, unless there is another heartbeat."""
    cursor: tuple[int, int, int] | None = None
    """The arguments of `Continuation.advanced`, until the record is read: to make a record anew
    for each token would cost half as much again as the token."""

    def advance(self) -> None:
        """Write the cursor into the record."""
        cursor, continuation = self.cursor, self.task.continuation
        if cursor is not None and continuation is not None:
            self.task = replace(self.task, continuation=continuation.advanced(*cursor))
        self.cursor = None

    def position(self, offset: int) -> Position:
        return Position(self.epoch, offset) if offset else START
