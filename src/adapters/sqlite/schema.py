"""The tables of tasks.

The log of a task is kept as batches: one row, or a few, per step that added events. Each is the
inside of a JSON array, so that the rows of a page are joined with commas by SQLite, and read by one
statement.

The key of a batch is one number, as the rowid of the table: the row of its task and, in the lowest
28 bits, the offset of its first event. (A key of two columns would make the table an index, whose
pages hold long rows badly.) So there is room for 2^35 tasks one after the other, which is a hundred
a second for ten years, and for 2^28 events in each log. What would go beyond is refused as if the
disk was full (DatabaseUnavailable), and what is there goes on.
"""

from adapters.database import DatabaseUnavailable, Insert, Schema

TASKS = Schema(
    "tasks",
    (
        """
        CREATE TABLE tasks (
            task INTEGER PRIMARY KEY CHECK (task < 1 << 35),
            id TEXT UNIQUE,             -- NULL: deleted, and to be swept
            v INTEGER NOT NULL,         -- the version of the record (record_codec)
            status TEXT NOT NULL,
            attempt INTEGER NOT NULL,
            state BLOB NOT NULL,        -- the record (record_codec)
            message TEXT,               -- the id of the queue's message
            epochs TEXT NOT NULL,       -- 'first-epoch ...', by the offsets of their first events
            expires INTEGER             -- ms since 1970; NULL until the task has ended
        );
        CREATE INDEX tasks_expire ON tasks (expires) WHERE expires IS NOT NULL;
        CREATE INDEX tasks_unfinished ON tasks (task) WHERE expires IS NULL;
        CREATE INDEX tasks_running ON tasks (task) WHERE status = 'running';
        CREATE TABLE requests (
            task INTEGER PRIMARY KEY,
            v INTEGER NOT NULL,
            request BLOB NOT NULL
        );
        CREATE TABLE batches (
            key INTEGER PRIMARY KEY,    -- task << 28 | the offset of the first event (key_of)
            count INTEGER NOT NULL,
            size INTEGER NOT NULL,      -- of the events, in bytes
            events BLOB NOT NULL        -- JSON arrays with commas between them
        );
        CREATE TABLE tombstones (
            id TEXT PRIMARY KEY,
            expires INTEGER NOT NULL    -- ms since 1970
        ) WITHOUT ROWID;
        CREATE INDEX tombstones_expire ON tombstones (expires);
        CREATE TABLE checks (id INTEGER PRIMARY KEY, at INTEGER NOT NULL);
        """,
        # The index of each owner's tasks. What its columns say is in the record, too.
        """
        ALTER TABLE tasks ADD COLUMN owner TEXT;
        ALTER TABLE tasks ADD COLUMN created INTEGER;   -- ms since 1970
        ALTER TABLE tasks ADD COLUMN ended INTEGER;     -- EndedEntry.cursor
        UPDATE tasks SET
            owner = json_extract(CAST(state AS TEXT), '$.owner'),
            created = json_extract(CAST(state AS TEXT), '$.created_at')
        WHERE id IS NOT NULL AND json_valid(CAST(state AS TEXT));
        UPDATE tasks SET created = 0 WHERE created IS NULL;
        -- Each as soon as its task ended, but behind all that ended before.
        UPDATE tasks SET ended = found.place + found.shift FROM (
            SELECT task, place, max(finished - place) OVER (ORDER BY place) AS shift FROM (
                SELECT task, finished, row_number() OVER (ORDER BY finished, task) AS place FROM (
                    SELECT task, coalesce(
                        CASE WHEN json_valid(CAST(state AS TEXT))
                        THEN json_extract(CAST(state AS TEXT), '$.finished_at') END, created
                    ) AS finished
                    FROM tasks WHERE expires IS NOT NULL AND id IS NOT NULL
                )
            )
        ) AS found WHERE tasks.task = found.task;
        CREATE INDEX tasks_listed ON tasks (owner, created, id) WHERE id IS NOT NULL;
        CREATE INDEX tasks_unfinished_of ON tasks (owner, created, id) WHERE expires IS NULL;
        CREATE INDEX tasks_ended_of ON tasks (owner, ended, id) WHERE ended IS NOT NULL;
        """,
        # The last event of an upstream's answer of which all is in the log with this batch
        # (Continuation.cursor), NULL where no upstream keeps the answer.
        """
        ALTER TABLE batches ADD COLUMN cursor INTEGER;
        -- 1: the task was not deleted. Its own time to live is over, or will be.
        ALTER TABLE tombstones ADD COLUMN expired INTEGER NOT NULL DEFAULT 0;
        """,
    ),
)

BATCH_SIZE = 32 * 1024
"""Bytes of events after which a row ends. An event may be longer."""
BATCHES = Insert("INSERT INTO batches (key, count, size, events, cursor)", 5)
OFFSETS = (1 << 28) - 1
"""The largest offset of an event."""


def key_of(task: int, first: int) -> int:
    """Return the key of the batch that begins with that event. Raises DatabaseUnavailable for an
    offset that no log has room for."""
    if first > OFFSETS:
        raise DatabaseUnavailable(f"a log has at most {OFFSETS:,} events")
    return task << 28 | first
