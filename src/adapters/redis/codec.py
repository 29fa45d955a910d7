"""What Redis publishes and its scripts return, as batches and pages of events."""

from collections.abc import Sequence

from adapters.event_codec import VERSION, decode_event, decode_events, page_in_epochs
from adapters.record_codec import is_readable
from application.errors import UnreadableEvent
from application.ports import Batch, Page
from domain.position import START, Position

_VERSION = str(VERSION).encode()


def decode_batch(data: bytes) -> Batch:
    """Return what a script published. Raises UnreadableEvent."""
    try:
        version, before, epoch, first, events = data.split(b" ", 4)
        if version == _VERSION:
            after = START if before == b"-" else Position(before.decode(), int(first) - 1)
            return Batch(after, epoch.decode(), decode_events(events))
    except (ValueError, IndexError) as error:
        raise UnreadableEvent("a batch is none of ours") from error
    raise UnreadableEvent("a batch has another version")


def decode_page(
    version: bytes | None, epochs: bytes, after: int, length: int, events: Sequence[bytes]
) -> Page:
    """Return what read.lua returned: events behind offset `after` of a log of so many. Raises
    UnreadableEvent."""
    if not is_readable(int(version or 0)):
        raise UnreadableEvent("the log has another version")
    return page_in_epochs(epochs.decode(), after, length, [*map(decode_event, events)])
