"""The tombstones of tasks in the memory of one process."""

from collections.abc import Callable

from application.errors import DeletedTask, UnknownTask


class Tombstones:
    def __init__(self, ttl: float, elapsed: Callable[[], float]) -> None:
        """`ttl`: seconds for which each is kept. `elapsed`: a monotonic clock, in seconds."""
        self._ttl = ttl
        self._elapsed = elapsed
        self._stones: dict[str, tuple[float, type[DeletedTask]]] = {}
        """When each expires, the first one first, and what to raise for its task."""

    def add(self, task_id: str, why: type[DeletedTask]) -> None:
        self._stones.pop(task_id, None)  # keeps the dict in the order of expiry
        self._stones[task_id] = self._elapsed() + self._ttl, why

    def unknown(self, task_id: str) -> UnknownTask:
        """Return what to raise for a task that is not there."""
        expires, why = self._stones.get(task_id, (0.0, DeletedTask))
        return why(task_id) if expires > self._elapsed() else UnknownTask(task_id)

    def drop_expired(self) -> None:
        now = self._elapsed()
        while self._stones and (first := next(iter(self._stones))):
            if self._stones[first][0] > now:
                break
            del self._stones[first]
