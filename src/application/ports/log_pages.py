"""Batches and pages: the parts of an event log that stores publish and read."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from domain.events import Event, is_last, text_size
from domain.position import Position


class Batch:
    """One or more consecutive events of one epoch of a log. Immutable.

    Compared by identity: all subscribers in a process share one object, so that what is derived
    from it (its bytes on the wire) is computed once.
    """

    __slots__ = ("__weakref__", "after", "closes", "end", "events")

    def __init__(self, after: Position, epoch: str, events: tuple[Event, ...]) -> None:
        """`after` is the position before the first event, `epoch` that of the events."""
        self.after = after
        self.events = events
        self.end = Position(epoch, after.offset + len(events))
        """The position of a reader that has seen this batch."""
        self.closes = is_last(events[-1])
        """Whether the last event ends the log."""

    def __repr__(self) -> str:
        return f"Batch({self.after!r}, {self.end!r}, {self.events!r})"

    @property
    def first(self) -> int:
        """Return the offset of the first event."""
        return self.after.offset + 1

    @property
    def size(self) -> int:
        """Return the number of characters of text."""
        return sum(map(text_size, self.events))

    def is_seen_at(self, position: Position) -> bool:
        """Whether a reader at `position` has seen all of it."""
        return position.epoch == self.end.epoch and position.offset >= self.end.offset

    def follows(self, position: Position) -> bool:
        """Whether the next event of a reader at `position` is in this batch."""
        seen = position.offset - self.after.offset
        return position == self.after or (
            position.epoch == self.end.epoch and 0 < seen < len(self.events)
        )

    def behind(self, position: Position) -> "Batch":
        """Return the part that a reader at `position`, which the batch follows, has not seen."""
        if position == self.after:
            return self
        seen = position.offset - self.after.offset
        return Batch(position, self.end.epoch, self.events[seen:])

    def singles(self) -> "Iterator[Batch]":
        """Yield its events one by one, each as a batch."""
        after = self.after
        for event in self.events:
            single = Batch(after, self.end.epoch, (event,))
            yield single
            after = single.end


@dataclass(frozen=True, slots=True)
class Page:
    """Consecutive events of a log, as it was at one moment. May be empty."""

    length: int
    """The number of events in the whole log."""
    after: Position
    """The position from which the page was read, with the epoch that the log has there. START if it
    was read from the first event, or if the log is shorter than the offset that was asked for."""
    batches: tuple[Batch, ...]

    @property
    def events(self) -> tuple[Event, ...]:
        return tuple(event for batch in self.batches for event in batch.events)

    @property
    def end(self) -> Position:
        """Return the position of a reader that has seen this page."""
        return self.batches[-1].end if self.batches else self.after

    @property
    def caught_up(self) -> bool:
        """Whether the page reaches to the last event of the log."""
        return self.end.offset >= self.length


def page_of(length: int, after: Position, epochs: Iterable[tuple[str, tuple[Event, ...]]]) -> Page:
    """Build a page from epochs and their events, in order. Epochs without events are skipped."""
    batches: list[Batch] = []
    position = after
    for epoch, events in epochs:
        if events:
            batches.append(Batch(position, epoch, events))
            position = batches[-1].end
    return Page(length, after, tuple(batches))
