"""Pages of a log, each read by few statements.

sqlite3 gives up the GIL for every row that it returns, and gets it back late while the event loop
is busy. So SQLite joins the rows of a page, and returns one.
"""

from adapters.event_codec import VERSION, decode_events, page_in_epochs
from adapters.sqlite.schema import OFFSETS, key_of
from adapters.sqlite.stored import Connection, Stored
from application.errors import UnreadableEvent
from application.ports import PAGE_SIZE, Page
from domain.events import Event, begins_anew

# The rows lie in the order of their key, and group_concat keeps that of the subquery. `page` finds
# where the page has its PAGE_SIZE bytes, without reading any event.
_EVENTS = """
WITH start (key) AS (
    SELECT key FROM batches WHERE key BETWEEN ?4 AND ?1 ORDER BY key DESC LIMIT 1
),
sizes AS (
    SELECT key, sum(size) OVER (ORDER BY key) - size AS before FROM batches
    WHERE key BETWEEN (SELECT key FROM start) AND ?2
),
page (first, last) AS (SELECT min(key), max(key) FROM sizes WHERE before < ?3)
SELECT (SELECT first FROM page), CAST(group_concat(events, ',') AS BLOB) FROM (
    SELECT events FROM batches
    WHERE key BETWEEN (SELECT first FROM page) AND (SELECT last FROM page) ORDER BY key
)
"""


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
    """Return some events behind offset `after`: at most `limit`, and PAGE_SIZE bytes."""
    if stored.version != VERSION:
        raise UnreadableEvent("the log has another version")
    if after >= stored.length:
        return ()
    keys = (key_of(stored.row, after + 1), key_of(stored.row, min(after + limit, OFFSETS)))
    values = (*keys, PAGE_SIZE, key_of(stored.row, 1))
    first, joined = connection.execute(_EVENTS, values).fetchone()
    if first is None:
        raise UnreadableEvent("a part of the log is missing")
    return decode_events(b"[" + joined + b"]", after + 1 - (first & OFFSETS), limit)
