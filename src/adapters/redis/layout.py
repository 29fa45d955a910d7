r"""What stands where in Redis: keys, channels, scripts, and how values are written.

All keys of a task hold its id in braces, so that they lie in one slot of a cluster and one script
may touch them all.

| key | type | holds |
| --- | --- | --- |
| `longtask:{id}:record` | hash | `task` (JSON), `status`, `attempt`, `epoch` (the last), \
`epochs` (`first-epoch ...`, by the numbers of their first events), `message` (the queue's id), \
`writer` (the attempt that may add events, 0 for none) |
| `longtask:{id}:log` | list | the events, each a JSON array; the index is the number less one |
| `longtask:{id}:lease` | string | there while an attempt's lease is alive: Redis's clock decides |
| `longtask:{id}:awaited` | string | there while the queue may still bring the task |
| `longtask:{id}:events` | channel | `before epoch first [event, ...]`: what one step added, with \
the epoch before it (`-`: none) |
| `longtask:idempotency-key:<sha256>` | string | `fingerprint task-id since`, for 24 hours; \
`since` in ms of Redis's clock |
| `longtask:allowance:<account>` | string or sorted set | what an account used in its window, or \
who holds its places and until when |
| `longtask:check` | string | nothing, for ten seconds: whether the server takes writes |

Record and log live for the time to live after the last change. Each script in scripts/ is one
atomic step; transitions are decided by the domain on a record that was read, and written only if
it is still the same (commit.lua). In a Cluster the channel is a sharded one: it belongs to the slot
of the keys.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import msgspec

from application.ports import Batch, Page
from domain.events import (
    ContentAdded,
    Event,
    StatusChanged,
    TaskEnded,
    TaskErrored,
    TaskStatus,
    Usage,
)
from domain.task import Task

PREFIX = "longtask:"
CHECK_KEY = f"{PREFIX}check"


@dataclass(frozen=True, slots=True)
class TaskKeys:
    record: str
    log: str
    lease: str
    awaited: str
    channel: str


def keys_of(task_id: str) -> TaskKeys:
    tag = f"{PREFIX}{{{task_id}}}"
    names = ("record", "log", "lease", "awaited", "events")
    return TaskKeys(*(f"{tag}:{name}" for name in names))


def idempotency_key(key: str) -> str:
    """A client's text of any kind, as a key of a bounded length."""
    return f"{PREFIX}idempotency-key:{hashlib.sha256(key.encode()).hexdigest()}"


def allowance_key(account: str) -> str:
    return f"{PREFIX}allowance:{account}"


class _Status(msgspec.Struct, array_like=True, tag="s"):
    at: int
    status: TaskStatus
    attempt: int
    reason: str | None


class _Content(msgspec.Struct, array_like=True, tag="c"):
    at: int
    text: str


class _End(msgspec.Struct, array_like=True, tag="e"):
    at: int
    text: str
    finish_reason: str
    model: str
    usage: Usage | None


class _Error(msgspec.Struct, array_like=True, tag="x"):
    at: int
    message: str
    code: str
    retryable: bool


_Stored = _Status | _Content | _End | _Error

_encode_event = msgspec.json.Encoder().encode
_decode_event = msgspec.json.Decoder(_Stored).decode
_decode_events = msgspec.json.Decoder(list[_Stored]).decode
decode_task = msgspec.json.Decoder(Task).decode


def _plain(value: Any) -> Any:
    if isinstance(value, MappingProxyType):
        return dict(value)
    raise NotImplementedError(type(value))


encode_task = msgspec.json.Encoder(enc_hook=_plain).encode


def encode_event(event: Event) -> bytes:
    match event:
        case ContentAdded(at, text):
            return _encode_event(_Content(at, text))
        case StatusChanged(at, status, attempt, reason):
            return _encode_event(_Status(at, status, attempt, reason))
        case TaskEnded(at, text, finish_reason, model, usage):
            return _encode_event(_End(at, text, finish_reason, model, usage))
        case TaskErrored(at, message, code, retryable):
            return _encode_event(_Error(at, message, code, retryable))


def decode_event(data: bytes) -> Event:
    return _event(_decode_event(data))


def decode_batch(data: bytes) -> Batch:
    """What a script published."""
    before, epoch, first, events = data.split(b" ", 3)
    return Batch(
        epoch.decode(),
        int(first),
        tuple(map(_event, _decode_events(events))),
        None if before == b"-" else before.decode(),
    )


def decode_page(epochs: bytes, after: int, length: int, events: Sequence[bytes]) -> Page:
    """What read.lua answered: events behind number `after` of a log of so many. The epochs may
    tell of more events than that: those of a log that was evicted."""
    opened = [each.partition("-") for each in epochs.decode().split()]
    firsts = [int(first) for first, _, _ in opened]
    batches: list[Batch] = []
    before = before_page = None
    for (_, _, epoch), first, end in zip(opened, firsts, [*firsts[1:], length + 1], strict=True):
        if first <= after < end and after <= length:
            before = before_page = epoch
        part = events[max(first, after + 1) - after - 1 : max(0, end - after - 1)]
        if part:
            found = tuple(map(decode_event, part))
            batches.append(Batch(epoch, max(first, after + 1), found, before))
            before = epoch
    return Page(length, after + 1, tuple(batches), before_page)


def _event(stored: _Stored) -> Event:
    match stored:
        case _Content():
            return ContentAdded(stored.at, stored.text)
        case _Status():
            return StatusChanged(stored.at, stored.status, stored.attempt, stored.reason)
        case _End():
            return TaskEnded(
                stored.at, stored.text, stored.finish_reason, stored.model, stored.usage
            )
        case _Error():
            return TaskErrored(stored.at, stored.message, stored.code, stored.retryable)
