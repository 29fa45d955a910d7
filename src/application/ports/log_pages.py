"""Stretches of an event log, as stores write, publish and read them."""

from dataclasses import dataclass

from domain.events import Event, is_last, text_size


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Batch:
    """Consecutive events of one epoch of a log. The first has number `first`; there is at least
    one.

    Compared by identity: all subscribers of a process share one object for what was added in one
    step, so that whatever is derived from it (a wire frame) can be derived once.
    """

    epoch: str
    first: int
    events: tuple[Event, ...]
    before: str | None
    """The epoch of the event before the first, if there is one."""

    @property
    def last(self) -> int:
        return self.first + len(self.events) - 1

    @property
    def size(self) -> int:
        """Characters of text."""
        return sum(text_size(event) for event in self.events)

    @property
    def closes(self) -> bool:
        """Whether the log ends here."""
        return is_last(self.events[-1])

    def joins(self, epoch: str | None, sequence: int) -> bool:
        """Whether this goes on where somebody stands who has seen that event last (None and 0:
        none): without a hole, and behind the very same events."""
        if self.first == sequence + 1:
            return self.before == epoch
        return self.first <= sequence and self.epoch == epoch

    def after(self, sequence: int) -> "Batch":
        """The part behind `sequence`, which must lie before `last`."""
        if sequence < self.first:
            return self
        rest = self.events[sequence + 1 - self.first :]
        return Batch(self.epoch, sequence + 1, rest, self.epoch)


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a log, from number `first`, as it stood at one moment, when it held `length`
    events in all. May be empty."""

    length: int
    first: int
    batches: tuple[Batch, ...]
    before: str | None
    """The epoch of the event before the first, if there is one."""

    @property
    def events(self) -> tuple[Event, ...]:
        return tuple(event for batch in self.batches for event in batch.events)

    @property
    def level(self) -> bool:
        """Whether it reaches to the end of the log."""
        return self.first > self.length or (
            bool(self.batches) and self.batches[-1].last == self.length
        )
