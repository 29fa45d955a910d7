"""The tables in which the local QStash keeps what it holds, and how a row becomes a message."""

import json
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from adapters.database import DatabaseUnavailable, Schema
from adapters.qstash.retry_delay import RetryDelay
from entrypoints.local_qstash.filters import Facts
from entrypoints.local_qstash.message import FlowControl, QueuedMessage
from entrypoints.local_qstash.refusals import Unavailable

P = ParamSpec("P")
T = TypeVar("T")

QUEUE = Schema(
    "queue",
    (
        """
        -- Messages that are not yet delivered, in the order of their publishes.
        CREATE TABLE messages (
            number INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            queue TEXT,                   -- the name as JSON
            flow TEXT,                    -- the flow control as JSON
            created_at INTEGER NOT NULL,  -- milliseconds since the Unix epoch
            not_before INTEGER NOT NULL,  -- the same
            retried INTEGER NOT NULL,
            interruptions INTEGER NOT NULL DEFAULT 0,  -- as Pending says
            size INTEGER NOT NULL,        -- bytes, as the bounds count them
            head TEXT NOT NULL            -- everything but the body and what changes
        );
        -- Those of messages and of dead letters. Apart from them, so that neither a retry nor the
        -- end of the retries writes the body again.
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
        """
        -- How many messages have begun in the current period of each rate.
        CREATE TABLE periods (
            name TEXT PRIMARY KEY,        -- that of the slots
            ends_at INTEGER NOT NULL,     -- milliseconds since the Unix epoch
            begun INTEGER NOT NULL
        );
        """,
        """
        CREATE TABLE records (
            kind TEXT NOT NULL,
            name TEXT NOT NULL,
            value TEXT NOT NULL,          -- JSON
            PRIMARY KEY (kind, name)
        );
        """,
    ),
)


def head_of(message: QueuedMessage) -> str:
    """Return everything about a message but its id, its body and what changes."""
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
            "flow": flow_of(message),
            "labels": message.labels,
            "schedule_id": message.schedule_id,
            "url_group": message.url_group,
            "endpoint": message.endpoint,
            "caller_ip": message.caller_ip,
            "deduplication": message.deduplication,
            "redacted": sorted(message.redacted),
        }
    )


def flow_of(message: QueuedMessage) -> list[Any] | None:
    """Return the flow control of a message in the form in which the tables hold it."""
    flow = message.flow
    return None if flow is None else [flow.key, flow.parallelism, flow.rate, flow.period]


def message_of(
    message_id: str, head: str, body: bytes, not_before: int, retried: int
) -> QueuedMessage:
    """Return the message whose `head_of` and columns these are."""
    fields = json.loads(head)
    flow, delay, redacted = fields.pop("flow"), fields.pop("retry_delay"), fields.pop("redacted")
    label = fields.pop("label", None)  # of a version that knew only one
    labels = fields.pop("labels", [] if label is None else [label])
    return QueuedMessage(
        id=message_id,
        body=body,
        not_before=not_before,
        retried=retried,
        flow=flow and FlowControl(*flow),
        retry_delay=None if delay is None else RetryDelay(delay),
        redacted=frozenset(redacted),
        labels=tuple(labels),
        **fields,
    )


FACTS = (
    "json_extract(head, '$.url', '$.labels', '$.label', '$.queue', '$.flow[0]', '$.url_group',"
    " '$.schedule_id', '$.caller_ip')"
)
"""An expression of SQL: what a `head_of` says that messages are found by."""


def facts_of(
    found_by: str, at: int, message_id: str, facts: str, status: int | None = None
) -> Facts:
    """Return what a row is found by, whose id, FACTS and other columns these are."""
    url, labels, label, queue, flow_key, url_group, schedule_id, caller_ip = json.loads(facts)
    return Facts(
        id=found_by,
        at=at,
        url=url,
        message_id=message_id,
        labels=labels if labels is not None else [] if label is None else [label],
        queue=queue,
        flow_key=flow_key,
        url_group=url_group,
        schedule_id=schedule_id,
        caller_ip=caller_ip,
        status=status,
    )


def translated(
    method: Callable[P, Coroutine[Any, Any, T]],
) -> Callable[P, Coroutine[Any, Any, T]]:
    """Let the method raise Unavailable for DatabaseUnavailable."""

    @wraps(method)
    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await method(*args, **kwargs)
        except DatabaseUnavailable as error:
            raise Unavailable(str(error)) from error

    return call
