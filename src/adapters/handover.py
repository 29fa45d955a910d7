"""What one store hands over to another: tasks that have ended and the bindings of keys, in the form
in which every store keeps them."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EndedTask:
    """The record is in the form of record_codec, the request in that of request_codec."""

    id: str
    version: int
    status: str
    attempt: int
    record: bytes
    message_id: str | None
    request: bytes | None
    request_version: int | None
    epochs: Sequence[tuple[int, str]]
    """Each with the offset of its first event."""
    ttl: float
    """Seconds for which the task is still kept."""
    tombstone_ttl: float | None
    """Seconds for which the tombstone is that it leaves when it expires. None: it leaves none."""
    cursor: int
    """Of its end, in the index (EndedEntry)."""


@dataclass(frozen=True, slots=True)
class BoundKey:
    """An idempotency key, or what the service uses as one."""

    digest: bytes
    """The SHA-256 of the key."""
    fingerprint: str
    task_id: str
    since: int
    ttl: float


@dataclass(frozen=True, slots=True)
class Tombstone:
    task_id: str
    ttl: float
    expired: bool
    """Whether the task was not deleted: its own time to live is over, or will be."""
