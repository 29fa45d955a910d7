"""The ports of the time and of new ids."""

from typing import Protocol


class Clock(Protocol):
    def now(self) -> int:
        """Milliseconds since the Unix epoch."""
        ...


class TaskIds(Protocol):
    def next(self, now: int) -> str:
        """A new task id: unguessable (96 random bits or more), and sorted by time."""
        ...
