"""Stretches of an event log, as stores write, publish and read them."""

from collections.abc import Iterable
from dataclasses import dataclass

from domain.events import Event, Position, is_last, text_size


class Batch:
    """Consecutive events of one epoch of a log, at least one.

    Compared by identity: all subscribers of a process share one object for what was added in one
    step, so that what is derived from it (a wire frame) is derived once. Not to be changed.
    """

    __slots__ = ("__weakref__", "after", "closes", "end", "events")

    def __init__(self, after: Position, epoch: str, events: tuple[Event, ...]) -> None:
        """`after` is the position before the first event, `epoch` that of the events."""
        self.after = after
        self.events = events
        self.end = Position(epoch, after.offset + len(events))
        """The position of the last event, at which a reader of this batch then is."""
        self.closes = is_last(events[-1])
        """Whether the log ends here."""

    def __repr__(self) -> str:
        return f"Batch({self.after!r}, {self.end!r}, {self.events!r})"

    @property
    def first(self) -> int:
        """The offset of the first event."""
        return self.after.offset + 1

    @property
    def size(self) -> int:
        """Characters of text."""
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


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a log as it stood at one moment, when it held `length` events in all.

    `after` is the position from which it was read, as the log has it then: START where it was read
    from the first event, and also where the log has no event of the offset that was asked for. May
    be empty.
    """

    length: int
    after: Position
    batches: tuple[Batch, ...]

    @property
    def events(self) -> tuple[Event, ...]:
        return tuple(event for batch in self.batches for event in batch.events)

    @property
    def end(self) -> Position:
        """The position behind this page."""
        return self.batches[-1].end if self.batches else self.after

    @property
    def caught_up(self) -> bool:
        """Whether it reaches to the end of the log."""
        return self.end.offset >= self.length


def page_of(
    length: int, after: Position, stretches: Iterable[tuple[str, tuple[Event, ...]]]
) -> Page:
    """Build a page of stretches of events, each of one epoch. Empty ones are left out."""
    batches: list[Batch] = []
    position = after
    for epoch, events in stretches:
        if events:
            batches.append(Batch(position, epoch, events))
            position = batches[-1].end
    return Page(length, after, tuple(batches))
