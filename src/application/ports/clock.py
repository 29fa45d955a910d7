"""The ports of the current time and of new ids."""

from typing import Protocol


class Clock(Protocol):
    def now(self) -> int:
        """Return the time in milliseconds since the Unix epoch."""
        ...


class TaskIds(Protocol):
    def next(self, now: int) -> str:
        """Return a new task id: unguessable (at least 96 random bits), and sortable by time.

        `now`: milliseconds since the Unix epoch."""
        ...
