"""The most that the local QStash holds, in memory or in its file.

Its clients decide how much they send to it, so everything that they can make grow has a bound here.
"""

from entrypoints.local_qstash.message import QueuedMessage

MIB = 1024 * 1024

BODY_LIMIT = 16 * MIB
"""Bytes of a request. A failure callback about the largest message fits."""
MESSAGE_LIMIT = 8 * MIB
"""Bytes of a message's body, unless the process that starts the local QStash sets another limit."""
BATCH_LIMIT = 1_000
"""Messages in one batch. Each has a result in the response, even one that is refused."""

FANNED_OUT = 10_000
"""Messages that the entries of one batch come to, since one to a URL group is several."""

HELD_BYTES = 128 * MIB
"""Bytes of all messages that are not yet delivered: 26,000 messages of 1 KiB, or 300 with the
longest prompt that the service accepts. A publish beyond that gets 429, as QStash responds beyond a
plan's limits."""

RESPONSE_BYTES = 1 * MIB
"""Bytes that are read of a response's body: the largest message of QStash's smallest plan, which is
the most that a callback could hold of it. The rest is not read, and the connection is closed."""
SMALL_BYTES = 16 * 1024
"""Bytes of it that are read in any case."""
READING_BYTES = 64 * MIB
"""Bytes that all responses which are being read may have beyond SMALL_BYTES of each: there may be
as many as deliveries, and one may take two hours."""

DEAD_LETTERS = 10_000
"""A long run of the fault tests makes some thousands, and reads them at its end."""
DEAD_BYTES = 32 * MIB
"""Bytes of all dead letters: more than one message and its response can have, so that the newest
is always kept; a quarter of HELD_BYTES, since no delivery depends on a dead letter."""
DEAD_AGE = 86_400.0
"""Seconds that a dead letter is kept: as long as a task by default, so that no prompt outlives its
task here."""

PAGE_BYTES = 4 * MIB
"""Bytes of the dead letters or events on a page of their list, unless a single one has more."""

LOG_EVENTS = 10_000
"""As many as QStash keeps: three of each message that is delivered at once."""
LOG_BYTES = 12 * MIB
"""Bytes of the events and their messages without their bodies."""
LOG_AGE = 86_400.0
"""Seconds for which an event is kept."""
LOG_BODY_BYTES = 8 * MIB
"""Bytes of the bodies of messages that have ended: for the log, and for a look at one of them."""
LOG_BODY_AGE = 600.0
"""Seconds for which these are kept."""
LOG_RESPONSE_BYTES = 16 * 1024
"""Bytes of a response's body that an event shows. A dead letter has all that was read of it."""
LOG_EVENT_BYTES, LOG_MESSAGE_BYTES = 256, 1_536
"""Bytes that an event, and a message that has events, need in addition to their texts:
measured."""

REMEMBERED = 50_000
"""Deduplication ids, of 300 bytes each. With that window this allows 80 publishes
per second. If one is dropped early, a message may be delivered twice, as QStash itself may do."""
DEDUPLICATION_WINDOW = 600.0
"""Seconds for which a deduplication id is valid."""
RECORDS = 1_000
"""Of each kind of what clients name: queues, schedules, URL groups and flow-control settings."""

ENDPOINTS = 100
"""Of one URL group, as many as QStash's paid plans allow."""
GROUP_BYTES = 64 * 1024
"""Bytes of one URL group."""

RUNS = 1_000
"""Runs of Upstash Workflow that have not ended. Then the oldest is forgotten, since one that fails
does not say so."""
RUN_BYTES = 32 * MIB
"""Bytes of their steps, and of one run. A step has STEP_BYTES beside its body."""
STEP_BYTES = 256
LISTED_BYTES = 64 * 1024
"""Bytes of a run up to which all its steps are delivered with each. The SDK asks for those of a
longer one, so that a step costs no more than that to publish, however many there were."""
WAIT_BYTES = 64 * 1024
"""Bytes of what a run says when it waits for an event."""
SCHEDULE_BYTES = 32 * MIB
"""Bytes of what all schedules publish."""

IDLE_FLOWS = 1_000
"""Flow-control keys that no message uses but whose rate period has not ended, or that were used
just now."""
PERIODS = 10_000
"""Flow-control keys whose count of the current period a start goes on with. Beyond that the periods
that end first are forgotten; a sweep does it, since no delivery is to wait for more writes."""
LONGEST_PERIOD = 7 * 86_400
"""Seconds of the period of a rate. QStash takes no longer one."""
PARALLELISM = 10_000
"""Deliveries at the same time, unless the process that starts the local QStash sets another limit.
Each needs a connection."""

OVERHEAD = 4 * 1024
"""Bytes that a message needs in addition to its texts: measured, with its asyncio task."""


def size_of(message: QueuedMessage) -> int:
    """Return the bytes that a message needs in memory."""
    texts = [
        message.url,
        message.callback,
        message.failure_callback,
        message.queue,
        message.schedule_id,
        message.url_group,
        message.endpoint,
        *message.labels,
    ]
    settings = [message.callback_headers, message.failure_callback_headers]
    return (
        OVERHEAD
        + len(message.body)
        + sum(len(text) for text in texts if text)
        + sum(len(name) + sum(map(len, values)) for name, values in message.headers.items())
        + sum(len(name) + len(value) for each in settings for name, value in each.items())
        + (len(message.flow.key) if message.flow else 0)
        + sum(map(len, message.redacted))
    )
