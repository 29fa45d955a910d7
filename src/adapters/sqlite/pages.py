"""Pages of a log, each read by one statement, together with the row of its task.

sqlite3 gives up the GIL at every step of a statement, and gets it back late while the event loop is
busy: after 5 ms for each step. So SQLite joins the rows of a page, and returns one.
"""

from adapters.event_codec import decode_events, page_in_epochs
from adapters.record_codec import is_readable
from adapters.sqlite.schema import OFFSETS
from adapters.sqlite.stored import COLUMNS, Connection, Stored
from application.errors import UnreadableEvent
from application.ports import PAGE_SIZE, Page
from domain.events import Event, begins_anew

# `start` is the batch with the first event that is wanted, NULL if there is none. The rows lie in
# the order of their key, and group_concat keeps that of the subquery. A page of more than PAGE_SIZE
# bytes ends with the batch that has the last of them; to find that one takes longer than all the
# rest, so it is done for such pages only.
_PAGE = f"""
SELECT found.*, (
    SELECT CAST(group_concat(events) AS BLOB) FROM (
        SELECT events FROM batches WHERE key BETWEEN start AND CASE
            WHEN ?4 >= (SELECT sum(size) FROM batches WHERE key BETWEEN start AND until)
            THEN until
            ELSE (
                SELECT max(key) FROM (
                    SELECT key, sum(size) OVER (ORDER BY key) - size AS before FROM batches
                    WHERE key BETWEEN start AND until
                ) WHERE before < ?4
            )
        END ORDER BY key
    )
)
FROM (
    SELECT {COLUMNS}, (task << 28) + ?3 AS until, (
        SELECT key FROM (
            SELECT key, count FROM batches
            WHERE key BETWEEN task << 28 AND (task << 28) + ?2 ORDER BY key DESC LIMIT 1
        ) WHERE key + count > (task << 28) + ?2
    ) AS start
    FROM tasks WHERE id = ?1
) AS found
"""  # noqa: S608

Joined = tuple[int, bytes] | None
"""The key of the first of some batches, and the events of all of them. None for no events."""


def find_with_page(
    connection: Connection, task_id: str, after: int, limit: int
) -> tuple[Stored | None, Joined]:
    """Return a task, and the batches with the events behind offset `after`: at most `limit` events
    of them, and PAGE_SIZE bytes."""
    offsets = (min(after + 1, OFFSETS), min(after + limit, OFFSETS))
    found = connection.execute(_PAGE, (task_id, *offsets, PAGE_SIZE)).fetchone()
    if found is None:
        return None, None
    *row, _, start, events = found
    return Stored(*row), None if events is None else (start, events)


def page_of(stored: Stored, joined: Joined, after: int, limit: int) -> Page:
    """Return the page of what was found. Raises UnreadableEvent."""
    events = _events(stored, joined, after, limit)
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
    _, joined = find_with_page(connection, stored.id, after, limit)
    return _events(stored, joined, after, limit)


def _events(stored: Stored, joined: Joined, after: int, limit: int) -> tuple[Event, ...]:
    if not is_readable(stored.version):
        raise UnreadableEvent("the log has another version")
    if after >= stored.length:
        return ()
    if joined is None:
        raise UnreadableEvent("a part of the log is missing")
    start, events = joined
    return decode_events(b"[%b]" % events, after + 1 - (start & OFFSETS), limit)
