"""How a transaction changes the messages in the tables, and the deduplication ids."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from adapters.database import Insert, Transaction
from entrypoints.local_qstash.bounds import DEDUPLICATION_WINDOW, size_of
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.tables import flow_of, head_of, message_of

_MESSAGE = Insert(
    "INSERT INTO messages (id, queue, flow, created_at, not_before, retried, size, head)", 8
)
_BODY = Insert("INSERT INTO bodies (message, body)", 2)
_RECENT = Insert("INSERT OR REPLACE INTO recent (name, message, at)", 3)
WINDOW = int(DEDUPLICATION_WINDOW * 1000)
"""Milliseconds for which a deduplication id is valid."""


class MessageRow(NamedTuple):
    """A message as the tables hold it."""

    id: str
    name: str | None
    """Of its deduplication."""
    columns: tuple[Any, ...]
    body: bytes

    @classmethod
    def of(cls, message: QueuedMessage) -> "MessageRow":
        columns = (
            message.id,
            None if message.queue is None else json.dumps(message.queue),
            None if message.flow is None else json.dumps(flow_of(message)),
            message.created_at,
            message.not_before,
            message.retried,
            size_of(message),
            head_of(message),
        )
        return cls(message.id, message.deduplication, columns, message.body)


def known_messages(
    execute: Callable[[str, Sequence[Any]], Iterable[Any]], names: Sequence[str], at: int
) -> dict[str, str]:
    """What these names of deduplications stand for. A clock that was set back by less than the
    window changes nothing; beyond that it was wrong before, and what it has dated is not valid."""
    rows = execute(
        "SELECT name, message FROM recent"
        " WHERE name IN (SELECT value FROM json_each(?)) AND at > ? AND at < ?",
        (json.dumps(names), at - WINDOW, at + WINDOW),
    )
    return dict(rows)


def add_messages(tx: Transaction, rows: Sequence[MessageRow], at: int) -> list[str]:
    """Insert the messages that are no duplicates. Returns the id under which each is known."""
    named = [row.name for row in rows if row.name is not None]
    known = known_messages(tx.execute, named, at) if named else {}
    ids: list[str] = []
    for row in rows:
        if row.name is not None:
            if row.name in known:
                ids.append(known[row.name])
                continue
            known[row.name] = row.id
            tx.insert(_RECENT, (row.name, row.id, at))
        tx.insert(_MESSAGE, row.columns)
        tx.insert(_BODY, (row.id, row.body))
        ids.append(row.id)
    return ids


def delete_messages(tx: Transaction, message_ids: Sequence[str]) -> list[QueuedMessage]:
    """Delete the messages; return those that there were, without their bodies."""
    if not message_ids:
        return []
    rows = tx.execute(
        "SELECT id, head, not_before, retried FROM messages"
        " WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(message_ids)),),
    )
    found = [message_of(one, head, b"", *changing) for one, head, *changing in rows]
    kept = (json.dumps([each.id for each in found]),)
    tx.execute("DELETE FROM messages WHERE id IN (SELECT value FROM json_each(?))", kept)
    tx.execute("DELETE FROM bodies WHERE message IN (SELECT value FROM json_each(?))", kept)
    return found
