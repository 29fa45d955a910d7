"""Backlog: the batches that wait for one reader while it catches up."""

from collections.abc import Sequence

from application.ports import Batch
from domain.position import Position

WAITING_BATCHES = 512
"""Batches that may wait for one reader. All readers in a process share them, so that one that waits
costs a pointer."""
WAITING_TEXT = 1024 * 1024
"""Characters of text that may wait for one reader, if it is more than one batch: this reader may be
the only one that still refers to them."""


class Backlog:
    """Consecutive batches as the feed offered them: the first ones may be seen already, and there
    may be gaps."""

    __slots__ = ("_batches", "_max_batches", "_size")

    def __init__(self, max_batches: int) -> None:
        self._batches: list[Batch] = []
        self._max_batches = max_batches
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._batches)

    def add(self, batch: Batch) -> bool:
        """Add a batch. Return False if the backlog is now over its bounds."""
        self._size += batch.size
        self._batches.append(batch)
        waiting = len(self._batches)
        return waiting == 1 or (waiting <= self._max_batches and self._size <= WAITING_TEXT)

    def take(self, position: Position) -> Sequence[Batch]:
        """Remove and return the events that follow `position`, up to the first gap. What is behind
        a gap stays."""
        ready: list[Batch] = []
        behind_gap: list[Batch] = []
        for index, batch in enumerate(self._batches):
            if batch.is_seen_at(position):
                continue
            if not batch.follows(position):
                behind_gap = self._batches[index:]
                break
            ready.append(batch.behind(position))
            position = batch.end
        self._batches, self._size = behind_gap, sum(each.size for each in behind_gap)
        return ready

    def clear(self) -> None:
        self._batches.clear()
        self._size = 0
