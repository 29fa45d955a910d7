"""The tables in which the local QStash keeps what it holds, and how a row tells of a message."""

import json

from adapters.database import Schema
from adapters.qstash.retry_delay import RetryDelay
from entrypoints.local_qstash.message import FlowControl, QueuedMessage

QUEUE = Schema(
    "queue",
    (
        """
        -- Messages that are not yet delivered, in the order of their publishes.
        CREATE TABLE messages (
            number INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            queue TEXT,
            created_at INTEGER NOT NULL,  -- milliseconds since the Unix epoch
            not_before INTEGER NOT NULL,  -- the same
            retried INTEGER NOT NULL,
            size INTEGER NOT NULL,        -- bytes, as the bounds count them
            head TEXT NOT NULL            -- everything else but the body
        );
        -- Apart from them, so that a retry does not write the body again, and with an index of
        -- their own, since a dead letter takes the body over.
        CREATE TABLE bodies (
            message TEXT PRIMARY KEY,
            body BLOB NOT NULL
        );
        CREATE TABLE recent (
            name TEXT PRIMARY KEY,        -- of a deduplication
            message TEXT NOT NULL,        -- the id of the first message with that name
            at INTEGER NOT NULL           -- milliseconds since the Unix epoch
        );
        CREATE INDEX recent_at ON recent (at);
        CREATE TABLE dead_letters (
            number INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            at INTEGER NOT NULL,
            size INTEGER NOT NULL,
            message TEXT NOT NULL,
            not_before INTEGER NOT NULL,
            retried INTEGER NOT NULL,
            facts TEXT NOT NULL,          -- what lists are filtered by
            head TEXT NOT NULL,
            status INTEGER NOT NULL,
            headers TEXT NOT NULL,
            response BLOB NOT NULL
        );
        CREATE INDEX dead_letters_at ON dead_letters (at);
        CREATE INDEX dead_letters_size ON dead_letters (size);
        CREATE TABLE keys (
            token TEXT NOT NULL,
            current_key TEXT NOT NULL,
            next_key TEXT NOT NULL
        );
        """,
    ),
)


def head_of(message: QueuedMessage) -> str:
    """Return everything about a message that has no column of its own."""
    flow = message.flow
    return json.dumps(
        {
            "url": message.url,
            "method": message.method,
            "headers": message.headers,
            "created_at": message.created_at,
            "retries": message.retries,
            "retry_delay": None if message.retry_delay is None else str(message.retry_delay),
            "timeout": message.timeout,
            "callback": message.callback,
            "callback_headers": message.callback_headers,
            "failure_callback": message.failure_callback,
            "failure_callback_headers": message.failure_callback_headers,
            "queue": message.queue,
            "flow": flow and [flow.key, flow.parallelism, flow.rate, flow.period],
            "label": message.label,
            "caller_ip": message.caller_ip,
            "deduplication": message.deduplication,
            "redacted": sorted(message.redacted),
        }
    )


def message_of(
    message_id: str, head: str, body: bytes, not_before: int, retried: int
) -> QueuedMessage:
    """Return the message whose `head_of` and columns these are."""
    fields = json.loads(head)
    flow, delay, redacted = fields.pop("flow"), fields.pop("retry_delay"), fields.pop("redacted")
    return QueuedMessage(
        id=message_id,
        body=body,
        not_before=not_before,
        retried=retried,
        flow=flow and FlowControl(*flow),
        retry_delay=None if delay is None else RetryDelay(delay),
        redacted=frozenset(redacted),
        **fields,
    )
