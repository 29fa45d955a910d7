"""A place in an event log, and the ids of events that name it."""

import re
from typing import NamedTuple

from domain.errors import MalformedEventId

POSITION_PATTERN = r"([A-Za-z0-9]{1,64})-([0-9]{1,18})"
"""An event id: the text of a position. 18 digits fit into the integers of every store."""
_POSITION = re.compile(POSITION_PATTERN)


class Position(NamedTuple):
    """A position in a log: the epoch and the offset of the last event before it.

    Offsets count from 1 without gaps; 0 is the position before the first event. An epoch is a part
    of a log within which nothing was lost. If a store loses the end of a log, what is written next
    has another epoch, and so a reader that saw the lost events is noticed and starts from the first
    event. So a position identifies all events up to it. The text of a position is the event's id on
    the wire, which clients treat as opaque.
    """

    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.offset}"

    @staticmethod
    def parse(text: str) -> "Position":
        """Parse an event id. Raises MalformedEventId."""
        if (found := _POSITION.fullmatch(text)) is None:
            raise MalformedEventId("not an event id of this service")
        return Position(found[1], int(found[2]))


START = Position("", 0)
"""The position before the first event of any log."""
