"""What the local QStash holds at most. It lives in the memory of a service or of a developer's
machine, and others decide how much is sent to it: everything that they can make grow ends here.
"""

from entrypoints.local_qstash.message import QueuedMessage

MIB = 1024 * 1024

BODY_LIMIT = 16 * MIB
"""Bytes of a request: a failure callback about the largest message fits."""
BATCH_LIMIT = 1_000
"""Messages of one batch: each of them is answered, even one that is refused."""

HELD_BYTES = 128 * MIB
"""Of all messages that are not yet delivered: 26,000 of a KiB, or 300 of the longest prompt that
the service accepts. A publish beyond it is answered 429, as QStash answers beyond a plan's limits.
"""

RESPONSE_BYTES = 1 * MIB
"""Of a response's body that are read: the largest message of QStash's smallest plan, and so what a
callback could hold of it. The rest is not read, and the connection is closed."""

DEAD_LETTERS = 10_000
"""A long run of the fault tests buries some thousands, and reads them at its end."""
DEAD_BYTES = 32 * MIB
"""More than one message and its response can take, so that the newest dead letter is always kept; a
quarter of what waits to be delivered, since no delivery depends on a dead letter."""
DEAD_AGE = 86_400.0
"""Seconds: as long as a task is kept by default, so that no prompt outlives its task here."""

REMEMBERED = 50_000
"""Deduplication ids, of 300 bytes each. They count for ten minutes: 80 publishes a second all the
while. If one is forgotten early, a message may be delivered twice, as QStash permits itself."""
IDLE_FLOWS = 1_000
"""Flow-control keys that no message has, while their rate's period goes on."""

OVERHEAD = 4 * 1024
"""Bytes that a message takes beside its texts: measured, with the task that carries it."""


def size_of(message: QueuedMessage) -> int:
    """Bytes that a message takes in memory."""
    texts = [message.url, message.callback, message.failure_callback, message.queue, message.label]
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
