"""Pages of a log, each read by few statements.

sqlite3 gives up the GIL for every row that it returns, and gets it back late while the event loop
is busy. So SQLite joins the rows of a page, and returns one.
"""

from adapters.event_codec import VERSION, decode_events, page_in_epochs
from adapters.sqlite.stored import Connection, Stored
from application.errors import UnreadableEvent
from application.ports import PAGE_SIZE, Page
from domain.events import Event, begins_anew

# The rows lie in the order of their key, and group_concat keeps that of the subquery. The inner
# SELECT finds where the page has its PAGE_SIZE bytes, without reading any event.
_EVENTS = """
SELECT min(first), CAST(group_concat(events, ',') AS BLOB) FROM (
    SELECT first, events FROM batches
    WHERE task = ?1 AND first >= ?2 AND first <= (
        SELECT max(first) FROM (
            SELECT first, sum(size) OVER (ORDER BY first) - size AS before FROM batches
            WHERE task = ?1 AND first BETWEEN ?2 AND ?3
        ) WHERE before < ?4
    )
    ORDER BY first
)
"""
_FIRST = "SELECT first FROM batches WHERE task = ? AND first <= ? ORDER BY first DESC LIMIT 1"


def read_page(connection: Connection, stored: Stored, after: int, limit: int) -> Page:
    """Return at most `limit` events behind offset `after`. Raises UnreadableEvent."""
    events = _read(connection, stored, after, limit)
    return page_in_epochs(stored.epochs, after, stored.length, events)


def read_events(connection: Connection, stored: Stored, after: int, until: int) -> list[Event]:
    """Return the events from behind offset `after` to `until`. Raises UnreadableEvent."""
    events: list[Event] = []
    while (seen := after + len(events)) < until:
        events += _read(connection, stored, seen, until - seen)
    return events


def read_last_attempt(connection: Connection, stored: Stored) -> list[Event]:
    """Return the last events of a log, with all pieces that count. Raises UnreadableEvent."""
    events: list[Event] = []
    until = stored.length
    for epoch in reversed(stored.epochs.split()):
        before = int(epoch.partition("-")[0]) - 1
        part = read_events(connection, stored, before, until)
        events, until = [*part, *events], before
        if any(map(begins_anew, part)):
            break
    return events


def _read(connection: Connection, stored: Stored, after: int, limit: int) -> tuple[Event, ...]:
    if stored.version != VERSION:
        raise UnreadableEvent("the log has another version")
    if after >= stored.length:
        return ()
    (start,) = connection.execute(_FIRST, (stored.row, after + 1)).fetchone()
    values = (stored.row, start, after + limit, PAGE_SIZE)
    first, joined = connection.execute(_EVENTS, values).fetchone()
    return decode_events(b"[" + joined + b"]", after + 1 - first, limit)
